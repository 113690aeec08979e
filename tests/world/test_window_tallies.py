"""Tallies are those that Python makes of the same rows, and of no others."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from conftest import DEFINITION, NOWHERE
from fielded.decisions.monitoring.histograms import OVERALL, Place
from fielded.decisions.monitoring.measure import Tally
from fielded.decisions.monitoring.profile import Profile, counted, profile_of
from fielded.decisions.rows import predictions_schema
from fielded.definition.deployment import Deployment
from fielded.definition.loading import load_deployment
from fielded.definition.site import Site
from fielded.world.ledger import Ledger
from fielded.world.tables import DeltaTables
from fielded.world.window_tallies import Tallies, TallyOf, daily_tallies
from fielded.world.workplace import Workplace

FIRST = date(2026, 3, 1)
SLICES = "slices: [kind, age]"
FEATURES = ("hours", "age", "earlier", "month", "kind")
RNG = np.random.default_rng(8)


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """As much of one as the query needs: a definition and an empty ledger."""
    (tmp_path / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "m").replace("slices: [kind]", SLICES))
    (tmp_path / "population.py").write_text("def pending(tables, as_of):\n    return tables.orders\n")
    deployment = load_deployment(tmp_path)
    site = Site(
        root=str(tmp_path / "tables"), tracking_uri="none", artifact_root="none", cache=tmp_path, **NOWHERE
    )
    (tmp_path / "tables").mkdir()
    tables = DeltaTables(site)
    ledger = Ledger(tables, site, deployment.name)
    ledger.prepare(deployment)
    parts = {"deployment": deployment, "site": site, "tables": tables, "ledger": ledger}
    nothing = dict.fromkeys(("user", "clock", "random_bytes", "registry", "artifacts", "journals"))
    return Workplace(**parts, **nothing)  # type: ignore[arg-type]


def rows(count: int, seed: int, day: date = FIRST, **changed: object) -> pa.Table:
    rng = np.random.default_rng(seed)
    score = rng.random(count)
    features = {
        "hours": rng.lognormal(3, 1, count),
        "age": pa.array(rng.integers(1, 50, count).astype(float), mask=rng.random(count) < 0.1),
        "earlier": rng.integers(0, 20, count),
        "month": rng.integers(1, 13, count),
        "kind": pa.array(rng.choice(["engine", "hull", "other", "new"], count), mask=rng.random(count) < 0.05),
    }
    columns = {
        "request_id": [f"{seed}-{number}" for number in range(count)],
        "run_id": pa.nulls(count, pa.string()),
        "channel": ["api"] * count,
        "subject": [f"s{number}" for number in range(count)],
        "features": pa.StructArray.from_arrays(
            [pa.array(column) for column in features.values()], names=list(features)
        ),
        "score": score,
        "flag": score >= 0.65,
        "decision": np.where((score > 0.55) & (score < 0.75), "review", "clear"),
        "model_name": ["m"] * count,
        "model_version": ["3"] * count,
        "artifact_sha256": ["ab"] * count,
        "scored_at": pa.array([datetime(day.year, day.month, day.day, 5, tzinfo=UTC)] * count),
        "scored_date": [day] * count,
    }
    columns |= {name: [value] * count for name, value in changed.items()}
    return pa.table(columns)


def append(workplace: Workplace, *tables: pa.Table) -> None:
    schema = predictions_schema(workplace.deployment.features)
    for table in tables:
        full = {
            field.name: table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in schema
        }
        write_deltalake(
            workplace.tables.uri(workplace.ledger.predictions), pa.table(full, schema=schema), mode="append"
        )


def look(workplace: Workplace, profile: Profile | None = None, days: int = 30) -> Tallies:
    return daily_tallies(workplace, TallyOf("3", "ab", FIRST, FIRST + timedelta(days=days), profile))


def by_hand(table: pa.Table, mask: np.ndarray) -> Tally:
    score = table.column("score").to_numpy()[mask]
    review = np.array(table.column("decision").to_pylist())[mask] == "review"
    flags = table.column("flag").to_numpy(zero_copy_only=False)[mask]
    return Tally(len(score), int(flags.sum()), int(review.sum()), float(score.sum()), float((score**2).sum()))


def alike(found: Tally, expected: Tally) -> bool:
    counts = (found.rows, found.flagged, found.review) == (expected.rows, expected.flagged, expected.review)
    return counts and bool(
        np.allclose([found.score, found.squares], [expected.score, expected.squares], rtol=1e-12)
    )


def flat(table: pa.Table) -> pa.Table:
    held = table.column("features").combine_chunks()
    return pa.table({field.name: part for field, part in zip(held.type, held.flatten(), strict=True)})


def profile_for(deployment: Deployment) -> Profile:
    training = rows(2000, 99)
    features = flat(training).set_column(4, "kind", pa.array(RNG.choice(["engine", "hull"], 2000)))
    return profile_of(deployment.features, ["kind", "age"], features, training.column("score").to_numpy())


def test_each_day_and_place_is_as_python_has_it(workplace: Workplace) -> None:
    profile = profile_for(workplace.deployment)
    days = {
        FIRST + timedelta(days=number): rows(300, number, FIRST + timedelta(days=number)) for number in range(3)
    }
    append(workplace, *days.values())
    found = look(workplace, profile)
    assert set(found.daily) == set(days)
    for day, table in days.items():
        held = found.daily[day]
        assert alike(held[OVERALL], by_hand(table, np.ones(300, dtype=bool)))
        for column in ("kind", "age"):
            parts = profile.parts(column)
            part = parts.of_bin[profile.grids[column].place(flat(table).column(column))]
            names = {Place(column, parts.names[place]) for place in np.unique(part)}
            assert {place for place in held if place.column == column} == names
            for place in np.unique(part):
                assert alike(held[Place(column, parts.names[place])], by_hand(table, part == place)), place
    assert found.last_scored_at == datetime(2026, 3, 3, 5, tzinfo=UTC)
    assert found.notes == ()


def test_the_places_are_those_of_the_daily_counts(workplace: Workplace) -> None:
    profile, table = profile_for(workplace.deployment), rows(400, 5)
    append(workplace, table)
    expected = counted(profile, flat(table).append_column("score", table.column("score")))
    held = look(workplace, profile).daily[FIRST]
    assert {place: tally.rows for place, tally in held.items()} == {
        place: expected.rows(place) for place in expected.counts
    }


def test_without_a_profile_categories_have_their_values_and_numbers_are_left_out(workplace: Workplace) -> None:
    table = rows(200, 6)
    append(workplace, table)
    found = look(workplace)
    kinds = np.array(flat(table).column("kind").to_pylist(), dtype=object)
    assert {place for place in found.daily[FIRST] if place != OVERALL} == {
        Place("kind", part) for part in ("engine", "hull", '"other"', "new", "null")
    }
    assert alike(found.daily[FIRST][Place("kind", "null")], by_hand(table, kinds == None))  # noqa: E711 - of each
    (note,) = found.notes
    assert note.startswith("slice age: got numbers without a profile")


def test_only_rows_that_were_given_out_by_this_version_count(workplace: Workplace) -> None:
    counts = rows(50, 1)
    append(
        workplace,
        counts,
        rows(50, 2, channel="shadow"),
        rows(50, 2, channel="probe"),
        rows(50, 3, model_version="2"),
        rows(50, 4, artifact_sha256="cd"),
        rows(50, 5, FIRST - timedelta(days=1)),
        rows(50, 6, FIRST + timedelta(days=31)),
        rows(50, 7, channel="batch", run_id="a run that does not count"),
    )
    found = look(workplace)
    assert set(found.daily) == {FIRST}
    assert alike(found.daily[FIRST][OVERALL], by_hand(counts, np.ones(50, dtype=bool)))


def test_a_slice_of_thousands_of_values_is_left_out(workplace: Workplace) -> None:
    table = rows(1200, 8)
    kinds = pa.array([f"k{number}" for number in range(1200)])
    features = [kinds if name == "kind" else flat(table).column(name).combine_chunks() for name in FEATURES]
    place = table.column_names.index("features")
    append(
        workplace, table.set_column(place, "features", pa.StructArray.from_arrays(features, names=list(FEATURES)))
    )
    found = look(workplace)
    assert set(found.daily[FIRST]) == {OVERALL}
    assert any("got more than 500 values" in note for note in found.notes)


def test_a_ledger_without_rows_or_table_has_none(workplace: Workplace, tmp_path: Path) -> None:
    assert look(workplace).daily == {}
    (tmp_path / "elsewhere").mkdir()
    site = replace(workplace.site, root=str(tmp_path / "elsewhere"))
    bare = replace(workplace, tables=DeltaTables(site), ledger=Ledger(DeltaTables(site), site, "overrun"))
    assert look(bare) == Tallies({}, None, ())
