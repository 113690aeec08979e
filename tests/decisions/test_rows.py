"""A ledger row says everything about where its score came from; a gold row is a view of it."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DEFINITION, POPULATION
from fielded.decisions.columns import gold_subject_type
from fielded.decisions.routing import Routing
from fielded.decisions.rows import (
    JOURNALED,
    PARTITION,
    Asked,
    LiveRows,
    Stamp,
    gold_rows,
    prediction_rows,
    predictions_schema,
    quarantine_rows,
    quarantine_schema,
    scores_schema,
)
from fielded.decisions.rules import Rules, Sorted
from fielded.decisions.scoring import Scorer
from fielded.definition import Deployment, load_deployment

MOMENT = datetime(2026, 3, 2, 2, 0, 0, 123_456, tzinfo=UTC)
SCORES = [0.1, 0.6, 0.9]
SCORER = Scorer(
    model_name="overrun",
    model_version="3",
    artifact_sha256="a" * 64,
    definition_sha256="d" * 64,
    routing=Routing(threshold=0.65, band=(0.55, 0.75)),
    predict=lambda batch: np.array(SCORES[: batch.num_rows]),
)
BATCH = Stamp(run_id="run", channel="batch", requested_by="os:tester", client_address=None, scored_at=MOMENT)
LIVE = Stamp(run_id=None, channel="api", requested_by="oidc:alex", client_address="192.0.2.1", scored_at=MOMENT)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder: Path = tmp_path_factory.mktemp("overrun")
    (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "overrun"))
    (folder / "population.py").write_text(POPULATION)
    return load_deployment(folder)


def parted(deployment: Deployment, subjects: list[object]) -> Sorted:
    """Three rows that keep every rule, then two that do not."""
    population = {
        "order_id": subjects,
        "hours": [1.5, 2.5, 3.5, -1.0, 1.0],
        "age": [None, 20.0, 30.0, 1.0, 1.0],
        "earlier": [0, 1, 2, 3, 4],
        "month": [1, 12, 6, 7, 13],
        "kind": ["hull", "radar", "valve", "hull", "sail"],
    }
    return Rules(deployment.subject, deployment.features, pa.array([], pa.string())).apply(
        pa.record_batch(population)
    )


def without_partition(schema: pa.Schema) -> pa.Schema:
    assert schema.names[-1] == PARTITION
    return schema.remove(len(schema) - 1)


def rows_of(batch: pa.RecordBatch, schema: pa.Schema) -> list[dict]:
    """As written: every column cast to the table's type."""
    written = [field for field in without_partition(schema) if field.name not in JOURNALED.names]
    return pa.Table.from_batches([batch]).cast(pa.schema(written)).to_pylist()


@pytest.mark.parametrize("stamp", [BATCH, LIVE], ids=["batch", "live"])
def test_a_prediction_row_says_where_its_score_came_from(deployment: Deployment, stamp: Stamp) -> None:
    accepted = parted(deployment, list("abcde"))
    batch = prediction_rows(accepted, SCORER, stamp, random.Random(0).randbytes)
    rows = rows_of(batch, predictions_schema(deployment.features))
    ids = [row.pop("request_id") for row in rows]
    assert ids == sorted(set(ids))
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert {uuid.UUID(text).int >> 80 for text in ids} == {int(MOMENT.timestamp()) * 1000 + 123}
    shared = {
        "run_id": stamp.run_id,
        "channel": stamp.channel,
        "threshold": 0.65,
        "band_low": 0.55,
        "band_high": 0.75,
        "model_name": "overrun",
        "model_version": "3",
        "artifact_sha256": "a" * 64,
        "definition_sha256": "d" * 64,
        "requested_by": stamp.requested_by,
        "client_address": stamp.client_address,
        "scored_at": MOMENT,
    }
    first = {"hours": 1.5, "age": None, "earlier": 0, "month": 1, "kind": "hull"}
    second = {"hours": 2.5, "age": 20.0, "earlier": 1, "month": 12, "kind": "radar"}
    third = {"hours": 3.5, "age": 30.0, "earlier": 2, "month": 6, "kind": "valve"}
    clear, band = {"routed_by": None, "review_propensity": 0.0}, {"routed_by": "band", "review_propensity": 1.0}
    assert rows == [
        {"subject": "a", "features": first, "score": 0.1, "flag": False, "decision": "clear", **clear, **shared},
        {"subject": "b", "features": second, "score": 0.6, "flag": False, "decision": "review", **band, **shared},
        {"subject": "c", "features": third, "score": 0.9, "flag": True, "decision": "flagged", **clear, **shared},
    ]


def test_a_live_row_is_a_batch_row_with_its_own_caller_and_its_place(deployment: Deployment) -> None:
    accepted = parted(deployment, list("abcde"))
    asked = Asked(
        subjects=["a", "b", "c"],
        features=accepted.features,
        requested_by=["oidc:alex", "oidc:blair", "cert:CN=C"],
        client_addresses=["192.0.2.1", None, "192.0.2.3"],
    )
    chance = random.Random(0)
    live = LiveRows(SCORER, "journal").of(asked, MOMENT, 41, chance.randbytes)
    batch = prediction_rows(accepted, SCORER, LIVE, random.Random(0).randbytes)
    assert live.schema.names == [*batch.schema.names, *JOURNALED.names[:2]], "the chain comes after its digest"
    wanted = predictions_schema(deployment.features)
    assert [field.type for field in live.schema] == [wanted.field(field.name).type for field in live.schema]
    own = {"requested_by": asked.requested_by, "client_address": asked.client_addresses}
    expected = [
        {**row, **{name: values[place] for name, values in own.items()}, "journal": "journal",
         "journal_sequence": 41 + place}
        for place, row in enumerate(rows_of(batch, wanted))
    ]  # fmt: skip
    assert live.to_pylist() == expected


def test_a_quarantine_row_carries_its_run_and_all_its_reasons(deployment: Deployment) -> None:
    rows = rows_of(quarantine_rows(parted(deployment, list("abcde")), BATCH), quarantine_schema())
    fields = [[reason["field"] for reason in row.pop("reasons")] for row in rows]
    assert rows == [
        {"run_id": "run", "subject": "d", "quarantined_at": MOMENT},
        {"run_id": "run", "subject": "e", "quarantined_at": MOMENT},
    ]
    assert fields == [["hours"], ["month", "kind"]]


@pytest.mark.parametrize("subjects", [list("abcde"), [5, 4, 3, 2, 1]], ids=["text", "number"])
def test_a_gold_row_is_a_view_of_the_ledger_row(deployment: Deployment, subjects: list[object]) -> None:
    found = pa.array(subjects).type
    ledger = prediction_rows(parted(deployment, subjects), SCORER, BATCH, random.Random(0).randbytes)
    gold = gold_rows(ledger, deployment, gold_subject_type(found))
    schema = scores_schema(deployment, gold_subject_type(found))
    assert gold.schema.names == without_partition(schema).names
    rows = rows_of(gold, schema)
    assert [row["order_id"] for row in rows] == subjects[:3]
    assert [row["overrun_probability"] for row in rows] == SCORES
    assert [row["overrun_flag"] for row in rows] == [False, False, True]
    shared = [name for name in gold.schema.names if name in ledger.schema.names]
    assert set(shared) == {
        *("decision", "threshold", "model_name", "model_version", "request_id", "run_id", "scored_at")
    }
    before = pa.Table.from_batches([ledger]).select(shared).to_pylist()
    assert [{name: row[name] for name in shared} for row in rows] == before


@pytest.mark.parametrize("stamp", [BATCH, LIVE], ids=["batch", "live"])
def test_no_rows(deployment: Deployment, stamp: Stamp) -> None:
    rules = Rules(deployment.subject, deployment.features, pa.array([], pa.string()))
    schema = pa.schema([("order_id", pa.string()), *((name, pa.null()) for name in deployment.features)])
    empty = rules.apply(pa.RecordBatch.from_pylist([], schema=schema))
    assert rows_of(prediction_rows(empty, SCORER, stamp, bytes), predictions_schema(deployment.features)) == []
    assert rows_of(quarantine_rows(empty, stamp), quarantine_schema()) == []


def test_the_gold_table_has_no_column_twice(deployment: Deployment) -> None:
    names = scores_schema(deployment, pa.string()).names
    assert len(set(names)) == len(names)
    assert names[:3] == ["order_id", "overrun_probability", "overrun_flag"]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 4_000_000_000_000_000))
def test_an_id_carries_the_very_millisecond_of_its_score(microseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    stamp = Stamp(run_id=None, channel="api", requested_by="x", client_address=None, scored_at=moment)
    one = Sorted(pa.array(["s"]), pa.record_batch({"f": [1]}), pa.RecordBatch.from_pylist([]))
    row = prediction_rows(one, SCORER, stamp, random.Random(0).randbytes).to_pylist()[0]
    assert uuid.UUID(row["request_id"]).int >> 80 == microseconds // 1000
    assert row["scored_at"] == moment
