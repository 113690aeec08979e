"""Which pairs are discrepancies and why, against the rules in plain Python."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.discrepancies import COMPARED, discrepancies_of

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
FEATURES = pa.struct([("hours", pa.float64()), ("crew", pa.int64()), ("kind", pa.string())])
SIDE = pa.struct(
    [
        ("request_id", pa.string()), ("scored_date", pa.date32()), ("scored_at", pa.timestamp("us", tz="UTC")),
        ("score", pa.float64()), ("decision", pa.string()), ("threshold", pa.float64()),
        ("band_low", pa.float64()), ("band_high", pa.float64()), ("model_name", pa.string()),
        ("model_version", pa.string()), ("artifact_sha256", pa.string()), ("definition_sha256", pa.string()),
        ("features", FEATURES),
    ]
)  # fmt: skip
PAIRS = pa.schema([("subject", pa.string()), ("live", SIDE), ("batch", SIDE)])


def side(**changes: Any) -> dict[str, Any]:
    values = {
        "request_id": "r", "scored_date": date(2026, 3, 2), "scored_at": AT, "score": 0.5, "decision": "clear",
        "threshold": 0.65, "band_low": 0.6, "band_high": 0.7, "model_name": "m", "model_version": "2",
        "artifact_sha256": "a", "definition_sha256": "d", "features": {"hours": 1.5, "crew": 3, "kind": None},
    }  # fmt: skip
    features = {**values["features"], **changes.pop("features", {})}
    return {**values, **changes, "features": features}


def pairs(*rows: tuple[dict[str, Any], dict[str, Any]]) -> pa.RecordBatch:
    listed = [{"subject": f"s{place}", "live": live, "batch": batch} for place, (live, batch) in enumerate(rows)]
    return pa.RecordBatch.from_pylist(listed, schema=PAIRS)


def test_a_pair_has_all_that_is_compared() -> None:
    assert [field.name for field in SIDE] == list(COMPARED)


@pytest.mark.parametrize(
    ("live", "reasons", "features"),
    [
        ({"score": 0.8, "model_version": "3"}, ("other version",), {}),
        ({"score": 0.8, "artifact_sha256": "b"}, ("other version",), {}),
        ({"score": 0.8, "features": {"crew": 4}}, ("other features",), {"crew": (4, 3)}),
        ({"score": 0.8, "features": {"hours": None}}, ("other features",), {"hours": (None, 1.5)}),
        (
            {"score": 0.8, "model_version": "3", "features": {"kind": "hull"}},
            ("other version", "other features"),
            {"kind": ("hull", None)},
        ),
        ({"score": 0.8}, ("neither",), {}),
        ({"score": 0.8, "definition_sha256": "e"}, ("neither",), {}),  # a definition makes no score
        ({"decision": "flagged", "definition_sha256": "e", "threshold": 0.4}, ("other definition",), {}),
        ({"decision": "review", "band_low": 0.4}, ("other definition",), {}),
        (
            {"score": 0.9, "decision": "flagged", "definition_sha256": "e", "model_version": "3"},
            ("other version", "other definition"),
            {},
        ),
    ],
)
def test_a_discrepancy_names_its_reasons(
    live: dict[str, Any], reasons: tuple[str, ...], features: dict[str, tuple[Any, Any]]
) -> None:
    (found,) = discrepancies_of(pairs((side(**live, request_id="l"), side(request_id="b"))), 0.05)
    assert (found.subject, found.reasons, found.features) == ("s0", reasons, features)
    assert (found.live.request_id, found.batch.request_id) == ("l", "b")
    assert found.apart == abs(live.get("score", 0.5) - 0.5)
    assert found.live.scored_at == AT


@pytest.mark.parametrize(
    "live",
    [
        {},
        {"score": 0.55},
        {"model_version": "3", "features": {"crew": 4}},  # other versions and features, one score
        {"definition_sha256": "e", "threshold": 0.66},  # another rule, one decision
        {"score": 0.51, "decision": "flagged"},  # near the threshold: the score is within the limit
    ],
)
def test_a_pair_that_fits_is_none(live: dict[str, Any]) -> None:
    assert discrepancies_of(pairs((side(**live), side())), 0.0500001) == []


SIDES = st.fixed_dictionaries(
    {
        "score": st.sampled_from([0.0, 0.5, 0.55, 0.56, 1.0]) | st.floats(0, 1),
        "decision": st.sampled_from(["clear", "flagged", "review"]),
        "threshold": st.sampled_from([0.5, 0.65]),
        "definition_sha256": st.sampled_from(["d", "e"]),
        "model_version": st.sampled_from(["2", "3"]),
        "features": st.fixed_dictionaries({"hours": st.none() | st.sampled_from([1.0, 2.0])}),
    }
)


@given(rows=st.lists(st.tuples(SIDES, SIDES), max_size=8), limit=st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_those_and_only_those_that_a_rule_names_are_found(
    rows: list[tuple[dict[str, Any], dict[str, Any]]], limit: float
) -> None:
    expected = [
        f"s{place}"
        for place, (live, batch) in enumerate(rows)
        if abs(live["score"] - batch["score"]) > limit
        or (
            live["decision"] != batch["decision"]
            and (live["definition_sha256"], live["threshold"]) != (batch["definition_sha256"], batch["threshold"])
        )
    ]
    batch = pairs(*((side(**live), side(**other)) for live, other in rows))
    assert [found.subject for found in discrepancies_of(batch, limit)] == expected
    for part in range(len(rows)):  # a slice of a batch is read where it begins
        found = discrepancies_of(batch.slice(part, 1), limit)
        assert [item.subject for item in found] == [name for name in expected if name == f"s{part}"]
