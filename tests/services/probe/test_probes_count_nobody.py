"""A probe is a row like any other: found, replayed, sealed. And nothing that is counted counts it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import DAY, Spare, World, make_orders
from fielded.decisions.rows import PROBE, TIMESTAMP
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.services.audit import Books, find_subject
from fielded.services.discrepancies import find_discrepancies
from fielded.services.drain import drain
from fielded.services.outcomes import load_outcomes
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.probe.batch import probe_batch
from fielded.services.probe.live import probing
from fielded.services.probe.scratch import scratch_copy
from fielded.services.probe.subjects import PREFIX, Examples, marked_subject
from fielded.services.replay import replay
from fielded.services.review.act import claim
from fielded.services.review.queue import look
from fielded.services.review.stats import review_stats
from fielded.services.score_day import score_day
from fielded.services.seal import seal
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from fielded.world.counted_runs import counted_runs
from fielded.world.key_files import make_key
from fielded.world.keys import open_signer
from fielded.world.labelled_scores import labelled_scores
from fielded.world.latest_scores import Days
from fielded.world.lookup import find_rows
from fielded.world.recent_rows import recent_features
from fielded.world.recent_scores import recent_scores
from fielded.world.secrets import path_of
from fielded.world.window_tallies import TallyOf, daily_tallies
from fielded.world.workplace import Workplace
from trials import begin, candidate_of

FULL = {"hours": 31.5, "age": 12.0, "earlier": 3, "month": 7, "kind": "engine"}


def scorer_of(workplace: Workplace) -> Scorer:
    return Scorers(workplace).get(*resolve(workplace))


def row_of(workplace: Workplace, **changes: Any) -> pa.RecordBatch:
    schema = feature_schema(workplace.deployment.features)
    return pa.RecordBatch.from_pylist([{**FULL, **changes}], schema=schema)


def by_batch(workplace: Workplace, features: pa.RecordBatch) -> str:
    subject = marked_subject(workplace)
    probe_batch(workplace, scorer_of(workplace), subject, features)
    return subject


def by_api(workplace: Workplace, features: pa.RecordBatch) -> str:
    subject = marked_subject(workplace)
    with probing(workplace) as ask:
        ask(subject, features)
    return subject


def books(workplace: Workplace) -> Books:
    return Books(workplace.tables, workplace.ledger.predictions, workplace.journals)


@pytest.mark.parametrize("score", [by_batch, by_api])
def test_a_probe_is_found_replayed_and_sealed(
    world: World, score: Callable[[Workplace, pa.RecordBatch], str]
) -> None:
    workplace = world.open("os:prober")
    subject = score(workplace, row_of(workplace))
    assert subject.startswith(PREFIX)
    assert drain(workplace).failures == {}
    (row,) = find_rows(workplace.tables.open(workplace.ledger.predictions), "subject", subject)
    assert (row["channel"], row["requested_by"], row["model_version"]) == (PROBE, "os:prober", "2")
    assert (row["journal"] is None) == (score is by_batch)
    assert replay(workplace, row["request_id"]).outcome == "exact"
    assert verify(workplace, strict=True).findings == []


def counted(world: World) -> dict[str, Any]:
    """All that is counted of a ledger."""
    workplace = world.open()
    model, sha256 = resolve(workplace)
    table = workplace.tables.open(workplace.ledger.predictions)
    first, last = DAY - timedelta(days=7), DAY + timedelta(days=7)
    tallies = daily_tallies(workplace, TallyOf(model.version, sha256, first, last, None))
    labelled = labelled_scores(workplace, model.version, sha256, first, last, datetime(2027, 1, 1, tzinfo=UTC))
    recent = recent_scores(table, 7, 7)
    assert recent is not None
    stats = review_stats(replace(workplace, clock=lambda: datetime(2026, 3, 2, 9, tzinfo=UTC)))
    gold = workplace.tables.open(workplace.deployment.batch.output)
    return {
        "runs": counted_runs(table, first, last),
        "place": workplace.ledger.latest_place(DAY),
        "tallies": {
            (day, place): {name: pytest.approx(value, rel=1e-9) for name, value in asdict(tally).items()}
            for day, found in tallies.daily.items()
            for place, tally in found.items()
        },
        "last scored": tallies.last_scored_at,
        "labelled": (labelled.rows, dict(labelled.by_day), float(labelled.scores.sum())),
        "recent": (len(recent.subjects), recent.first, recent.last, float(recent.scores.sum())),
        "features": recent_features(table, workplace.deployment, 5000).num_rows,
        "queue": sorted(item.case.request_id for item in look(workplace)),
        "review": {name: value for name, value in asdict(stats).items() if name not in ("at", "queue")},
        "gold": (gold.version(), gold.to_pyarrow_table().num_rows),
        "discrepancies": list(find_discrepancies(books(workplace), workplace.site, 0.0, Days())),
        "scored": len(workplace.ledger.events_of("day_scored")),
    }


def test_nothing_that_is_counted_counts_a_probe(world: World) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    before = counted(world)
    inside, outside = Examples(workplace, scorer_of(workplace)).in_band(), row_of(workplace, hours=900.0)
    assert inside is not None
    for features in (inside.features, outside):
        by_batch(workplace, features)
        by_api(workplace, features)
    later = replace(workplace, clock=lambda: datetime(2026, 3, 6, 2, tzinfo=UTC))  # a day with nothing else
    by_batch(later, outside)
    drain(workplace)
    assert workplace.tables.open(workplace.ledger.predictions).to_pyarrow_table().num_rows == 2005
    assert counted(world) == before


def test_a_day_is_scored_as_ever_after_a_probe(world: World) -> None:
    workplace, scorers = world.scorers()
    by_batch(workplace, row_of(workplace))
    summary = score_day(workplace, scorers, DAY)
    assert (summary.state, summary.scored) == ("published", 2000)
    assert workplace.ledger.latest_place(DAY) == 1


def test_what_came_true_of_a_probe_is_matched_to_no_score(world: World, tmp_path: Path) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    subject = by_batch(workplace, row_of(workplace))
    told = pa.table(
        {
            "order_id": [subject, "WO-00000000"],
            "label": [True, True],
            "known_at": pa.array([datetime(2026, 4, 1, tzinfo=UTC)] * 2, TIMESTAMP),
        }
    )
    pq.write_table(told, tmp_path / "told.parquet")
    later = replace(workplace, clock=lambda: datetime(2026, 5, 1, tzinfo=UTC))
    loaded = load_outcomes(later, tmp_path / "told.parquet")
    assert (loaded.rows, loaded.matched) == (2, 1)


def test_a_probe_in_the_band_is_in_no_queue_but_for_one_that_asks_for_it(world: World) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    inside = Examples(workplace, scorer_of(workplace)).in_band()
    assert inside is not None
    subject = by_batch(workplace, inside.features)
    assert look(workplace, subject) == []
    (item,) = look(workplace, subject, probes=True)
    assert (item.case.subject, item.case.routed_by, item.state.stage) == (subject, ("band",), "open")
    assert subject in {one.case.subject for one in look(workplace, probes=True)}
    assert subject not in {one.case.subject for one in look(workplace)}


def test_nobody_can_act_on_a_probe(world: World) -> None:
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    inside = Examples(workplace, scorer_of(workplace)).in_band()
    assert inside is not None
    subject = by_batch(workplace, inside.features)
    (row,) = find_subject(books(workplace), subject)
    with pytest.raises(WrongUse, match="no person was asked about"):
        claim(workplace, row["request_id"])


def test_a_row_that_breaks_the_rules_is_no_probe(world: World) -> None:
    workplace = world.open()
    with pytest.raises(Refused, match="break the definition's rules"):
        by_batch(workplace, row_of(workplace, month=13))
    assert workplace.ledger.events_of("day_refused") == []


def test_examples_come_from_the_newest_rows_or_else_from_the_model(world: World) -> None:
    workplace, scorers = world.scorers()
    scorer = scorer_of(workplace)
    assert Examples(workplace, scorer, 1).any().source == "the model's input example"
    score_day(workplace, scorers, DAY)
    found = Examples(workplace, scorer, 1).any()
    assert (found.source, found.features.num_rows) == ("a recorded row", 1)
    unrouted = Examples(workplace, scorer).unrouted()
    assert unrouted is not None
    assert scorer.score(unrouted.features).column("decision")[0].as_py() in ("clear", "flagged")


def test_features_in_the_band_are_mixed_where_no_row_has_them(world: World) -> None:
    """One order far below the band and one far above: only what lies between them is in it."""
    workplace, scorers = world.scorers()
    scorer = replace(scorer_of(workplace), background=None)
    orders = make_orders(2000).to_pandas()
    batch = pa.RecordBatch.from_pylist(
        [{**row, "age": 20.0} for row in orders[["hours", "earlier", "month", "kind"]].to_dict("records")],
        schema=feature_schema(workplace.deployment.features),
    )
    scores = scorer.score(batch).column("score").to_numpy()
    chosen = [int(scores.argmin()), int(scores.argmax())]
    world.write("silver.orders", make_orders(2000).take(chosen).set_column(1, "hull", pa.array([20, 20])))
    score_day(workplace, scorers, DAY)
    low, high = sorted(row["score"] for row in world.rows("ledger.overrun.predictions"))
    assert low < scorer.band[0] < scorer.band[1] < high
    found = Examples(workplace, scorer).in_band()
    assert found is not None
    assert found.source == "two rows, mixed: a recorded row"
    assert scorer.band[0] <= scorer.score(found.features).column("score")[0].as_py() <= scorer.band[1]


def test_a_probe_is_no_part_of_a_trial(spare: Spare) -> None:
    """The canary would take every subject; a probe is answered by production, and not counted."""
    version = candidate_of(spare)
    begin(spare, version, "canary", 1.0)
    workplace = spare.open("os:prober")
    with probing(workplace) as ask:
        answer = ask(marked_subject(workplace), row_of(workplace))
        assert workplace.journals.serving() == []
    assert answer.model_version == "2"
    drain(workplace)
    (row,) = find_rows(workplace.tables.open(workplace.ledger.predictions), "channel", PROBE)
    assert row["model_version"] == "2"


def test_a_scratch_copy_of_a_production_site_has_a_key_of_its_own(world: World) -> None:
    """Nobody gives a copy the site's key, and a production site makes none by itself."""
    workplace, scorers = world.scorers()
    score_day(workplace, scorers, DAY)
    site = world.site
    make_key(path_of(site.signing_key).with_name("production.pem"))
    key = f"file:{path_of(site.signing_key).with_name('production.pem')}"
    workplace = replace(workplace, site=replace(site, environment="production", signing_key=key))
    with scratch_copy(workplace) as copy:
        copy.record("probed", "a scratch copy", {})
        seal(copy)
        assert copy.site.signing_key != key
        assert open_signer(copy.site).key_id != open_signer(workplace.site).key_id
