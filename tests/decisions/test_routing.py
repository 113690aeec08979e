"""Each row against an oracle in plain Python; and the draw of audits, which anybody can do again."""

import math
import random
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DEFINITION
from fielded.decisions.monitoring.histograms import Grid
from fielded.decisions.routing import (
    REVIEW,
    Routing,
    drawn,
    needs_profile,
    profile_findings,
    reasons,
    routing_of,
)
from fielded.decisions.scoring import DECISIONS
from fielded.definition.deployment import Document
from fielded.definition.loading import parse_document
from fielded.words.identifiers import uuid7_array

BAND = (0.55, 0.75)
AGES, COUNTS, KINDS = (1.5, 40.0), (0, 9), ("hull", "radar")
ROUTING = Routing(
    threshold=0.65,
    band=BAND,
    ranges={"age": AGES, "count": COUNTS},
    categories={"kind": KINDS},
    holds=(("kind", "sail;boat"), ("wet", "true")),
    audit_share=0.25,
)
NO_FEATURES = pa.record_batch({"age": pa.array([], pa.float64())})


def ids(rows: int, seed: int = 0) -> pa.Array:
    return uuid7_array(rows, 1_700_000_000_000, random.Random(seed).randbytes)


def batch(rows: list[dict]) -> pa.RecordBatch:
    schema = [("age", pa.float64()), ("count", pa.int64()), ("kind", pa.string()), ("wet", pa.bool_())]
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema(schema))


def is_drawn(request_id: str, share: float) -> bool:
    return Fraction(int(request_id[-12:], 16), 16**12) < Fraction(share)


def routed(score: float, row: dict, request_id: str | None, share: float) -> tuple[str, str | None, float]:
    """Decision, `routed_by` and propensity of a row."""
    tokens = ["band"] if BAND[0] <= score <= BAND[1] else []
    for name, (low, high) in (("age", AGES), ("count", COUNTS)):
        value = row[name]
        if value is not None and not math.isnan(value) and not low <= value <= high:
            tokens.append(f"range:{name}")
    if row["kind"] is not None and row["kind"] not in KINDS:
        tokens.append("unseen:kind")
    if row["kind"] == "sail;boat":
        tokens.append("hold:kind=sail%3Bboat")
    if row["wet"] is True:
        tokens.append("hold:wet=true")
    if tokens:
        return "review", ";".join(tokens), 1.0
    audit = request_id is not None and is_drawn(request_id, share)
    return "flagged" if score >= 0.65 else "clear", "audit" if audit else None, share


def around(value: float) -> list[float]:
    return [math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)]


ROWS = st.fixed_dictionaries(
    {
        "age": st.sampled_from([None, math.nan, *around(1.5), *around(40.0), -0.0, 20.0]),
        "count": st.sampled_from([None, -1, 0, 9, 10, 2**53 + 1]),
        "kind": st.sampled_from([None, "hull", "radar", "sail;boat", "", "Hull"]),
        "wet": st.sampled_from([None, True, False]),
    }
)
CASES = st.tuples(ROWS, st.sampled_from([0.0, *around(0.55), 0.65, *around(0.75), 1.0]))
SHARES = st.sampled_from([0.0, 0.25, 0.02, 1.0, 5e-324, 1 - 2**-53]) | st.floats(0, 1)


@settings(deadline=None, max_examples=60)
@given(st.lists(CASES, max_size=30), SHARES, st.integers(0, 9), st.booleans())
def test_each_row_is_routed_as_the_oracle_says(
    cases: list[tuple[dict, float]], share: float, seed: int, with_ids: bool
) -> None:
    rows, scores = [row for row, _ in cases], [score for _, score in cases]
    routing = Routing(
        threshold=0.65, band=BAND, ranges=ROUTING.ranges, categories=ROUTING.categories, holds=ROUTING.holds,
        audit_share=share,
    )  # fmt: skip
    given_ids = ids(len(rows), seed) if with_ids else None
    found = routing.route(np.array(scores, float), batch(rows), given_ids)
    found.routed_by.validate(full=True)
    assert (found.decisions.dtype, found.propensity.dtype) == (np.int8, np.float64)
    names = given_ids.to_pylist() if given_ids is not None else [None] * len(rows)
    expected = [routed(score, row, name, share) for row, score, name in zip(rows, scores, names, strict=True)]
    decisions = [DECISIONS[place] for place in found.decisions]
    assert list(zip(decisions, found.routed_by.to_pylist(), found.propensity, strict=True)) == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(CASES, min_size=1, max_size=30), st.integers(0, 9))
def test_drawing_audits_afterwards_comes_to_the_same(cases: list[tuple[dict, float]], seed: int) -> None:
    rows, scores, names = (
        batch([row for row, _ in cases]),
        np.array([score for _, score in cases]),
        ids(len(cases), seed),
    )
    at_once, before = ROUTING.route(scores, rows, names), ROUTING.route(scores, rows)
    assert ROUTING.audited(before.routed_by, names).equals(at_once.routed_by)
    assert before.decisions.tolist() == at_once.decisions.tolist()
    assert before.propensity.tolist() == at_once.propensity.tolist()


@settings(deadline=None, max_examples=60)
@given(st.lists(CASES, min_size=2, max_size=30), st.data())
def test_a_row_is_routed_alone_as_among_others(cases: list[tuple[dict, float]], data: st.DataObject) -> None:
    rows, scores, names = (
        batch([row for row, _ in cases]),
        np.array([score for _, score in cases]),
        ids(len(cases)),
    )
    together = ROUTING.route(scores, rows, names)
    place = data.draw(st.integers(0, len(cases) - 1))
    alone = ROUTING.route(scores[place : place + 1], rows.slice(place, 1), names.slice(place, 1))
    assert alone.routed_by[0] == together.routed_by[place]
    assert alone.decisions[0] == together.decisions[place]


@given(st.integers(0, 16**12 - 1), st.integers(0, 16**12 - 1) | st.just(16**12))
def test_the_draw_is_exact_to_the_last_digit(number: int, limit: int) -> None:
    share = limit / 16**12
    names = pa.array(
        [f"0195e8a0-7c00-7000-8000-{near % 16**12:012x}" for near in (number, limit - 1, limit, limit + 1)]
    )
    assert drawn(names, share).tolist() == [is_drawn(name, share) for name in names.to_pylist()]


def test_the_draw_takes_the_share_that_was_asked_for() -> None:
    names = ids(200_000)
    for share in (0.02, 0.5):
        taken = drawn(names, share).mean()
        assert abs(taken - share) < 4 * math.sqrt(share * (1 - share) / len(names))  # four standard errors


def test_audits_of_a_larger_share_take_in_those_of_a_smaller() -> None:
    names = ids(5000)
    assert not (drawn(names, 0.1) & ~drawn(names, 0.2)).any()


@pytest.mark.parametrize(
    "names", [pa.array(["short"]), pa.array(["", "0195e8a0" * 9]), pa.array([None], pa.string())]
)
def test_what_is_no_id_is_not_drawn_from(names: pa.Array) -> None:
    with pytest.raises(ValueError, match="expected UUIDs"):
        drawn(names, 0.5)


def test_a_slice_of_ids_is_read_where_it_begins() -> None:
    names = ids(50)
    assert drawn(names.slice(7, 9), 0.3).tolist() == drawn(names, 0.3)[7:16].tolist()


def test_reasons_are_the_tokens() -> None:
    assert reasons("band;range:age") == ["band", "range:age"]
    assert reasons(None) == []


def test_more_rules_than_a_word_has_bits() -> None:
    columns = {f"f{place:02d}": [float(place % 2 == row) for row in range(2)] for place in range(90)}
    routing = Routing(threshold=0.5, band=(0.5, 0.5), ranges=dict.fromkeys(columns, (0.0, 0.5)))
    found = routing.route(np.array([0.1, 0.1]), pa.record_batch(columns)).routed_by.to_pylist()
    assert found == [";".join(f"range:f{place:02d}" for place in range(side, 90, 2)) for side in (0, 1)]


# From a definition and a profile.

REVIEWED = (
    DEFINITION.replace("unseen: quarantine", "unseen: score")
    + """\
review:
  outside_training: review
  unseen_category: review
  audit_share: 0.02
  on_hold:
    - {feature: kind, value: radar, reason: New antenna}
    - {feature: kind, value: radar, reason: Said twice}
"""
)
GRIDS = {
    "hours": Grid("hours", "number", np.array([0.5, 3.0, math.nextafter(80.0, math.inf)])),
    "age": Grid("age", "number", np.array([])),
    "earlier": Grid("earlier", "number", np.array([0.0, math.nextafter(0.0, math.inf)])),
    "month": Grid("month", "number", np.array([1.0, math.nextafter(12.0, math.inf)])),
    "kind": Grid("kind", "category", np.array([]), ("engine", "hull")),
}  # fmt: skip


def document(text: str) -> Document:
    return parse_document(text)


def test_a_definition_and_a_profile_make_the_rules() -> None:
    asked = document(REVIEWED)
    assert profile_findings(asked, GRIDS) == []
    routing = routing_of(asked, GRIDS)
    assert (routing.threshold, routing.band, routing.audit_share) == (0.65, (0.55, 0.75), 0.02)
    assert routing.ranges == {
        "hours": (0.5, 80.0), "age": (math.inf, -math.inf), "earlier": (0.0, 0.0), "month": (1.0, 12.0),
    }  # fmt: skip
    assert routing.categories == {"kind": ("engine", "hull")}
    assert routing.holds == (("kind", "radar"),)


def test_a_number_of_which_training_had_none_goes_to_a_person() -> None:
    routing = routing_of(document(REVIEWED), GRIDS)
    row = {"hours": 1.0, "age": 3.0, "earlier": 0, "month": 1, "kind": "hull"}
    rows = pa.RecordBatch.from_pylist([row, {**row, "age": None}])
    assert routing.route(np.array([0.1, 0.1]), rows).routed_by.to_pylist() == ["range:age", None]


def test_without_a_review_section_the_band_alone_decides() -> None:
    plain = document(DEFINITION)
    assert not needs_profile(plain)
    assert profile_findings(plain, None) == []
    assert routing_of(plain, {}) == Routing(threshold=0.65, band=(0.55, 0.75))
    found = routing_of(plain, {}).route(np.array([0.1, 0.6]), NO_FEATURES, ids(2))
    assert (found.routed_by.to_pylist(), found.decisions.tolist()) == ([None, "band"], [0, REVIEW])


def test_what_a_profile_lacks_is_said_field_by_field() -> None:
    asked = document(REVIEWED)
    (none,) = profile_findings(asked, None)
    assert (none.field, none.got) == ("profile", "none")
    assert "profile_metadata" in none.next_step
    assert "review.outside_training and review.unseen_category" in none.next_step
    other = {**GRIDS, "kind": Grid("kind", "number", np.array([1.0, 2.0]))}
    del other["month"]
    assert [(one.field, one.got) for one in profile_findings(asked, other)] == [
        ("profile.month", "none"),
        ("profile.kind", "number"),
    ]
    ranges_only = document(REVIEWED.replace("unseen_category: review", "unseen_category: score"))
    assert [one.field for one in profile_findings(ranges_only, other)] == ["profile.month"]
