"""The query counts what numpy counts of the same rows, on real Delta tables."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DAY, NOWHERE, World, make_pipeline
from fielded.decisions.monitoring.histograms import OVERALL, Histograms, Place
from fielded.decisions.monitoring.profile import Profile, counted, profile_of
from fielded.decisions.rows import predictions_schema
from fielded.definition.site import Site
from fielded.services.score_day import score_day
from fielded.words.errors import Unreachable
from fielded.world.tables import DeltaTables
from fielded.world.window_counts import CountSource, Wanted, daily_counts
from profiled_rows import FEATURES, FIRST, MODEL, SHA256, SLICES, rows, scores, written

TRAINING = rows(2000, 99)
PROFILE = profile_of(FEATURES, SLICES, TRAINING, scores(TRAINING))
WANTED = Wanted(MODEL, SHA256, FIRST, FIRST + timedelta(days=30))


@pytest.fixture
def source(tmp_path: Path) -> CountSource:
    site = Site(
        root=str(tmp_path / "tables"), tracking_uri="none", artifact_root="none", cache=tmp_path, **NOWHERE
    )
    (tmp_path / "tables").mkdir()
    tables = DeltaTables(site)
    tables.ensure("ledger.predictions", predictions_schema(FEATURES), partition="scored_date", append_only=True)
    return CountSource(tables, "ledger.predictions", site)


def append(source: CountSource, table: pa.Table) -> None:
    write_deltalake(source.tables.uri(source.predictions), table, mode="append", schema_mode="merge")


def alike(found: Histograms, profile: Profile, table: pa.Table) -> bool:
    """Whether these are the counts that numpy makes of the rows: same places, same numbers."""
    expected = counted(profile, flattened(table))
    return set(found.counts) == set(expected.counts) and all(
        np.array_equal(counts, found.of(place, name))
        for place, held in expected.counts.items()
        for name, counts in held.items()
    )


def flattened(table: pa.Table) -> pa.Table:
    held = table.column("features").combine_chunks()
    columns = {field.name: part for field, part in zip(held.type, held.flatten(), strict=True)}
    return pa.table({**columns, "score": table.column("score")})


def test_each_day_is_counted_as_numpy_counts_it(source: CountSource) -> None:
    days = {FIRST + timedelta(days=number): rows(700, number, shift=number / 10) for number in range(4)}
    for day, table in days.items():
        append(source, written(table, day))
    found = daily_counts(source, PROFILE, WANTED)
    assert list(found) == sorted(days)
    for day, table in days.items():
        assert alike(found[day], PROFILE, written(table, day)), day
    window = daily_counts(source, PROFILE, Wanted(MODEL, SHA256, FIRST + timedelta(1), FIRST + timedelta(2)))
    assert list(window) == [FIRST + timedelta(1), FIRST + timedelta(2)]


@settings(deadline=None, max_examples=8)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(), st.sampled_from(PROFILE.grids["hours"].edges.tolist())), max_size=60
    )
)
def test_any_number_falls_into_the_bin_that_numpy_has(
    tmp_path_factory: pytest.TempPathFactory, hours: list
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    table = rows(len(hours), 3).set_column(0, "hours", pa.array(hours, pa.float64()))
    site = Site(root=str(folder), tracking_uri="none", artifact_root="none", cache=folder, **NOWHERE)
    found = CountSource(DeltaTables(site), "predictions", site)
    write_deltalake(found.tables.uri("predictions"), written(table, FIRST))
    counts = daily_counts(found, PROFILE, WANTED)
    assert len(counts) == bool(hours)
    assert all(alike(one, PROFILE, written(table, FIRST)) for one in counts.values())


def test_only_what_was_given_to_somebody_by_this_version_counts(source: CountSource) -> None:
    batch = written(rows(50, 1), FIRST, run_id="first")
    again = written(rows(60, 2), FIRST, run_id="second")
    live = written(rows(7, 3), FIRST, run_id=None, channel="api")
    for table in (
        batch, again, live,
        written(rows(11, 4), FIRST, run_id=None, channel="shadow"),
        written(rows(12, 4), FIRST, run_id=None, channel="probe"),
        written(rows(12, 5), FIRST, run_id="second", channel="probe"),
        written(rows(13, 5), FIRST, run_id="second", version="2"),
        written(rows(17, 6), FIRST, run_id="second", sha256="f" * 64),
    ):  # fmt: skip
        append(source, table)
    found = daily_counts(source, PROFILE, Wanted(MODEL, SHA256, FIRST, FIRST, frozenset({"second"})))
    assert alike(found[FIRST], PROFILE, pa.concat_tables([again, live]))
    everything = daily_counts(source, PROFILE, WANTED)
    assert alike(everything[FIRST], PROFILE, pa.concat_tables([batch, again, live]))
    only_live = daily_counts(source, PROFILE, Wanted(MODEL, SHA256, FIRST, FIRST, frozenset()))
    assert only_live[FIRST].rows() == 7


def test_a_feature_that_came_later_or_never_is_null_in_rows_without_it(source: CountSource) -> None:
    table = rows(40, 1)
    fewer = {name: rule for name, rule in FEATURES.items() if name not in ("age", "kind")}
    old = DeltaTables(source.site)
    old.ensure("ledger.old", predictions_schema(fewer), partition="scored_date")
    write_deltalake(old.uri("ledger.old"), written(table, FIRST, features=fewer), mode="append")
    before = CountSource(old, "ledger.old", source.site)
    found = daily_counts(before, PROFILE, WANTED)[FIRST]
    assert found.of(OVERALL, "age")[-1] == 40
    assert found.rows(Place("kind", "null")) == 40
    assert alike(found, PROFILE, written(table, FIRST, features=fewer))
    write_deltalake(old.uri("ledger.old"), written(table, FIRST), mode="append", schema_mode="merge")
    both = daily_counts(before, PROFILE, WANTED)[FIRST]
    assert both.of(OVERALL, "age")[-1] == 40 + table.column("age").null_count


def test_no_table_and_no_rows_are_no_days(source: CountSource) -> None:
    assert daily_counts(source, PROFILE, WANTED) == {}
    assert daily_counts(CountSource(source.tables, "ledger.none", source.site), PROFILE, WANTED) == {}


def test_a_profile_without_slices_counts_all_rows_only(source: CountSource) -> None:
    append(source, written(rows(30, 1), FIRST))
    plain = Profile(PROFILE.grids, (), PROFILE.reference, PROFILE.rows)
    found = daily_counts(source, plain, WANTED)[FIRST]
    assert set(found.counts) == {OVERALL}
    assert found.rows() == 30


def test_a_file_that_is_gone_is_unreachable_and_nothing_is_left_behind(source: CountSource) -> None:
    append(source, written(rows(30, 1), FIRST))
    for path in Path(source.tables.uri(source.predictions)).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(Unreachable, match=r"table ledger\.predictions: cannot be counted \(.*audit verify"):
        daily_counts(source, PROFILE, WANTED)
    assert list((source.site.cache / "spill").iterdir()) == []


def test_counting_twice_gives_the_same_and_leaves_the_ledger_alone(source: CountSource) -> None:
    append(source, written(rows(300, 1), FIRST))
    version = source.tables.open(source.predictions).version()
    first, second = (daily_counts(source, PROFILE, WANTED)[FIRST] for _ in range(2))
    assert all(np.array_equal(first.of(OVERALL, name), second.of(OVERALL, name)) for name in PROFILE.grids)
    assert source.tables.open(source.predictions).version() == version


def test_a_day_that_fielded_scored_is_counted(world: World) -> None:
    workplace, scorers = world.scorers()
    first = score_day(workplace, scorers, DAY)
    second = score_day(workplace, scorers, DAY, again="once more")
    pipeline, frame = make_pipeline()
    training = pa.Table.from_pandas(frame, preserve_index=False)
    deployment = workplace.deployment
    profile = profile_of(deployment.features, deployment.slices, training, pipeline.predict_proba(frame)[:, 1])
    stamped = next(iter(workplace.ledger.run_rows(second.run_id, DAY, ("artifact_sha256",))))
    wanted = Wanted(second.model_version, str(stamped.column(0)[0]), DAY, DAY, frozenset({second.run_id}))
    found = daily_counts(
        CountSource(workplace.tables, workplace.ledger.predictions, workplace.site), profile, wanted
    )
    batches = workplace.ledger.run_rows(second.run_id, DAY, ("features", "score"))
    assert alike(found[DAY], profile, pa.Table.from_batches(batches))
    assert found[DAY].rows() == first.scored == second.scored > 1500
