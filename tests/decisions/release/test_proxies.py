"""Features that give a protected column away, against scipy and by what is known to be independent."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import association as cramer

from fielded.decisions.release.proxies import association, contingency, feature_parts, proxy_findings
from fielded.definition.release import FairnessGate

GATE = FairnessGate(proxy=0.5)

TABLES = st.integers(2, 4).flatmap(
    lambda wide: st.lists(st.lists(st.integers(1, 50), min_size=wide, max_size=wide), min_size=2, max_size=5)
)


@given(TABLES)
def test_the_association_is_cramers_v_with_bergsmas_correction(counts: list[list[int]]) -> None:
    table = np.array(counts)
    rows, (high, wide) = table.sum(), table.shape
    square = cramer(table, method="cramer") ** 2 * (min(table.shape) - 1)
    left = max(0.0, square - (high - 1) * (wide - 1) / (rows - 1))
    most = min(side - (side - 1) ** 2 / (rows - 1) for side in table.shape) - 1
    found = association(table, 0.95)
    assert found.value == pytest.approx(min(1.0, np.sqrt(left / most)), abs=1e-7)
    assert found.low <= found.value <= found.high


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    shares = np.array([[0.30, 0.05, 0.05], [0.05, 0.20, 0.05], [0.02, 0.03, 0.25]])
    independent = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0, keepdims=True)
    truth = np.sqrt(((shares**2 / independent).sum() - 1) / 2)
    random = np.random.default_rng(2)
    found = [association(random.multinomial(300, shares.ravel()).reshape(3, 3), 0.95) for _ in range(500)]
    assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.01)
    assert 0.92 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.98


def test_a_wide_table_of_independent_columns_shows_no_association() -> None:
    random = np.random.default_rng(3)
    tables = [contingency(random.integers(0, 20, 400), random.integers(0, 8, 400)) for _ in range(50)]
    assert np.mean([cramer(table, method="cramer") for table in tables]) > 0.2  # the plain one takes chance for it
    assert np.mean([association(table, 0.95).value for table in tables]) < 0.06


def test_nothing_varies_nothing_is_given_away() -> None:
    assert association(np.array([[10, 20, 30]]), 0.95).value is None
    assert association(np.array([[10, 0], [30, 0]]), 0.95).value is None


def ships(rows: int, **columns: np.ndarray) -> pa.Table:
    random = np.random.default_rng(9)
    hull = random.choice(["CVN-68", "DDG-51", "LCS-1"], rows)
    return pa.table(
        {
            "hull": hull,
            "crew": np.select([hull == "CVN-68", hull == "DDG-51"], [3200.0, 300.0], 60.0)
            + random.normal(0, 5, rows),
            "port": np.where(hull == "LCS-1", "San Diego", random.choice(["Norfolk", "Yokosuka"], rows)),
            "hours": random.normal(size=rows),
            "urgent": random.random(rows) < 0.3,
            **columns,
        }
    )


def test_a_feature_that_gives_the_column_away_fails_and_others_pass() -> None:
    found = {one.item: one for one in proxy_findings(ships(2000), ["hull"], GATE)}
    assert found["proxy[crew for hull]"].outcome == "failed"
    assert found["proxy[crew for hull]"].numbers["value"] == pytest.approx(1.0, abs=0.05)
    assert found["proxy[port for hull]"].outcome == "failed"
    assert found["proxy[hours for hull]"].outcome == "passed"
    assert found["proxy[urgent for hull]"].outcome == "passed"
    assert len(found) == 4


def test_a_feature_that_is_missing_for_one_group_gives_it_away() -> None:
    table = ships(1500)
    hull = np.array(table["hull"])
    draft = np.random.default_rng(1).normal(size=1500)
    for missing in (pa.array(draft, mask=hull == "LCS-1"), pa.array(np.where(hull == "LCS-1", np.nan, draft))):
        found = proxy_findings(pa.table({"hull": hull, "draft": missing}), ["hull"], GATE)
        assert found[0].outcome == "failed"


def test_too_few_rows_are_not_enough_evidence() -> None:
    assert {one.outcome for one in proxy_findings(ships(80), ["hull"], GATE)} == {"not enough evidence"}


def test_a_feature_with_another_value_in_every_row_is_judged_by_its_common_parts() -> None:
    names = np.array([f"order {number}" for number in range(2000)])
    found = {one.item: one for one in proxy_findings(ships(2000, order=names), ["hull"], GATE)}
    assert found["proxy[order for hull]"].outcome == "passed"


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        (pa.chunked_array([[1, 1, 2], [3, None]]), [0, 0, 1, 2, 3]),
        (pa.chunked_array([["a", "b", "b", None, "c"]]), [1, 0, 0, 3, 2]),
        (pa.chunked_array([["a", "b", "b", None, "c"]]).dictionary_encode(), [1, 0, 0, 3, 2]),
        (pa.chunked_array([[True, False, True, True, None]]), [0, 1, 0, 0, 3]),
        (pa.chunked_array([[float("nan"), 1.0, 2.0, 2.0, 2.0]]), [3, 0, 1, 1, 1]),
        (pa.chunked_array([[None, None]], type=pa.string()), [3, 3]),
    ],
)
def test_values_fall_into_parts_and_nulls_into_their_own(column: pa.ChunkedArray, parts: list[int]) -> None:
    assert feature_parts(column, 3).tolist() == parts


@given(st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=100, unique=True), st.integers(2, 10))
def test_numbers_fall_into_parts_of_about_equally_many_rows(values: list[float], most: int) -> None:
    counts = np.bincount(feature_parts(pa.chunked_array([values]), most), minlength=most)
    assert len(counts) == most
    assert counts.max() - counts.min() <= 2
