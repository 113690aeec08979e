"""Every metric is measured on the rows that the window names, with its interval, or says what it lacks."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pytest

from fielded.decisions.measuring.accuracy import metrics
from fielded.decisions.measuring.intervals import mean, proportion
from fielded.decisions.monitoring import drift
from fielded.decisions.monitoring.histograms import NO_ROWS, OVERALL, Histograms, Place
from fielded.decisions.monitoring.instances import Measurer, labels_from, measure, read_from
from fielded.decisions.monitoring.measure import DayRun, Decided, Latency, Measured, Sources, Tally
from fielded.decisions.monitoring.metrics import mean_of
from fielded.decisions.monitoring.windows import newest, silence
from fielded.definition.monitoring import Labels, Monitoring, Significance, Trigger, Window
from watched import LAST, MONITORING, profile, sources

SEEN = sources()


def trigger(metric: str, **changed: object) -> Trigger:
    options = {"id": "t", "metric": metric, "when": "> 0.10", "min_sample": 1, **changed}
    return Trigger(**options)  # type: ignore[arg-type]


def one(metric: str, read: Sources = SEEN, **changed: object) -> Measured:
    (found,) = measure(trigger(metric, **changed), read, MONITORING.labels)
    return found


def added(days: Mapping[date, Histograms], last: int, place: Place = OVERALL) -> tuple[Histograms, int]:
    """The newest days that hold `last` rows, counted by hand."""
    total, rows = NO_ROWS, 0
    for day in sorted(days, reverse=True):
        if rows >= last:
            break
        total, rows = total + days[day], rows + days[day].rows(place)
    return total, rows


def test_drift_is_of_the_newest_days_that_hold_enough_rows() -> None:
    window = Window(last=500)
    found = one("psi(ship_age_years)", window=window)
    total, rows = added(SEEN.daily, 500)
    assert SEEN.profile is not None
    grid = SEEN.profile.grids["ship_age_years"]
    reference = SEEN.profile.reference.of(OVERALL, "ship_age_years")
    current = total.of(OVERALL, "ship_age_years")
    assert reference is not None
    assert current is not None
    assert found.value == drift.psi(grid, reference, current).value
    assert (found.rows, found.reference_rows, found.last_day, found.lacking) == (rows, 4000, LAST, "")
    assert rows >= 500 > rows - SEEN.daily[found.first_day or LAST].rows()
    assert found.chance_limit is None, "nobody asked whether it is chance"


def test_a_place_has_a_window_of_its_own() -> None:
    place = Place("hull_class", "LSD")
    found = one("psi(score)[hull_class=LSD]", window=Window(last=100))
    _, rows = added(SEEN.daily, 100, place)
    assert found.rows == rows
    assert (found.first_day or LAST) < (one("psi(score)", window=Window(last=100)).first_day or LAST)


def test_every_metric_against_the_reference_has_its_limit_of_chance() -> None:
    for name in ("psi", "js", "ks", "wasserstein", "chi2"):
        found = one(f"{name}(ship_age_years)", significance=Significance(alpha=0.01))
        assert found.chance_limit is not None, name
        assert (found.value or 0) > found.chance_limit > 0, name
    assert one("chi2(ship_age_years)", significance=Significance()).numbers["p"] < 0.001


def test_bonferroni_divides_alpha_by_what_is_looked_at() -> None:
    every = measure(trigger("psi(*)", significance=Significance(alpha=0.06)), SEEN)
    assert [str(found.metric) for found in every] == [
        "psi(score)", "psi(labor_hours_estimated)", "psi(ship_age_years)", "psi(prior_work_order_count)",
        "psi(hull_class)", "psi(maintenance_category)",
    ]  # fmt: skip
    by_hand = one("psi(score)", significance=Significance(alpha=0.01, correction="none"))
    assert every[0].chance_limit == by_hand.chance_limit


def test_a_slice_is_written_out_into_the_parts_that_have_rows() -> None:
    parts = [found.metric.value for found in measure(trigger("flag_rate[hull_class=*]"), SEEN)]
    assert set(parts) == {"DDG", "LSD", "LCS", "CVN", "SSN", "FFG", "other"}, "other is of the daily counts"
    kinds = [found.metric.value for found in measure(trigger("psi(score)[maintenance_category=*]"), SEEN)]
    assert sorted(kinds) == ["corrective", "emergent", "preventive"], "no row is null or other"


def test_what_is_missing_out_of_range_or_new_is_a_share_with_an_interval() -> None:
    total, _ = added(SEEN.daily, 300)
    ages = total.of(OVERALL, "ship_age_years")
    assert ages is not None
    missing = one("missing(ship_age_years)")
    expected = proportion(int(ages[-1]), int(ages.sum()), 0.95)
    assert (missing.value, missing.low, missing.high) == (expected.value, expected.low, expected.high)
    assert one("out_of_range(ship_age_years)").value == (ages[0] + ages[-2]) / ages[:-1].sum()
    assert (one("new_categories(hull_class)").value or 0) > 0.1, "FFG is new"
    assert "has no out_of_range" in one("out_of_range(hull_class)").lacking
    names = [str(found.metric) for found in measure(trigger("new_categories(*)"), SEEN)]
    assert names == ["new_categories(hull_class)", "new_categories(maintenance_category)"]


def test_without_a_profile_drift_lacks_it_and_rates_do_not() -> None:
    bare = replace(SEEN, profile=None, daily=MappingProxyType({}))
    for metric in ("psi(score)", "psi(*)", "missing(ship_age_years)", "js(score)[hull_class=LSD]"):
        found = one(metric, bare)
        assert found.value is None
        assert "profile_metadata" in found.lacking, metric
    assert one("flag_rate", bare).lacking == ""
    assert {found.metric.value for found in measure(trigger("flag_rate[hull_class=*]"), bare)} >= {"DDG", "FFG"}


def test_a_feature_that_training_did_not_have_lacks_a_new_profile() -> None:
    assert "profile of the definition as it is now" in one("psi(new_feature)").lacking


def test_too_few_rows_have_a_value_that_decides_nothing() -> None:
    few = one("psi(score)", min_sample=300, window=Window(last=300, max_age=timedelta(days=2)))
    assert few.value is not None
    assert "expected at least 300" in few.lacking
    assert few.rows < 300


def test_the_first_month_is_compared_with_once_it_is_over() -> None:
    assert "first month" in one("psi(score)", reference="first_month").lacking
    month = sum((held for day, held in sorted(SEEN.daily.items())[:30]), NO_ROWS)
    found = one("psi(score)", replace(SEEN, first_month=month), reference="first_month")
    assert found.reference_rows == month.rows()
    assert found.lacking == ""


def test_rates_are_of_scores_and_the_mean_of_sums_is_that_of_the_rows() -> None:
    scores = np.random.default_rng(3).random(200)
    tally = Tally(200, 90, 30, float(scores.sum()), float((scores**2).sum()))
    assert SEEN.tallies
    read = replace(SEEN, tallies=MappingProxyType({LAST: MappingProxyType({OVERALL: tally})}))
    expected = mean(scores, 0.95)
    found = one("mean_score", read)
    told = (expected.value, expected.low, expected.high)
    assert (found.value, found.low, found.high) == pytest.approx(told, abs=1e-12)
    assert one("flag_rate", read).value == 90 / 200
    assert one("review_rate", read).value == 30 / 200


def test_a_mean_of_equal_scores_still_has_an_interval() -> None:
    found = mean_of(Tally(50, 0, 0, 10.0, 2.0), 0.95)
    assert found.low < 0.2 < found.high


def test_significance_makes_the_interval_a_one_sided_bound() -> None:
    rows, flagged = one("flag_rate").rows, (one("flag_rate").value or 0) * one("flag_rate").rows
    found = one("flag_rate", significance=Significance(alpha=0.01))
    assert found.low == proportion(flagged, rows, 0.98).low


def test_overrides_and_quarantined_rows_have_their_own_denominators() -> None:
    overrides = one("override_rate", window=Window(last=8), min_sample=8)
    assert (overrides.rows, overrides.value) == (8, 0.25)
    runs = tuple(
        DayRun(day=LAST - timedelta(days=ago), population=100, quarantined=ago, flagged=0, review=0, seconds=1.0)
        for ago in range(3)
    )
    read = replace(SEEN, runs=runs)
    assert one("quarantine_rate", read, window=Window(last=200)).value == 1 / 200
    assert "Leave the slice out" in one("quarantine_rate[hull_class=LSD]", read).lacking
    decided = replace(SEEN, overrides=MappingProxyType({LAST: {Place("hull_class", "LSD"): Decided(2, 2)}}))
    assert one("override_rate[hull_class=LSD]", decided).value == 1.0


def test_volume_counts_the_days_without_rows_too() -> None:
    tallies = {day: held for day, held in SEEN.tallies.items() if day <= LAST - timedelta(days=3)}
    read = replace(SEEN, tallies=MappingProxyType(tallies))
    inside = sum(held[OVERALL].rows for day, held in tallies.items() if day > LAST - timedelta(days=7))
    found = one("volume", read, window=Window(max_age=timedelta(days=7)), when="< 1")
    assert found.value == inside / 7
    young = replace(SEEN, since=LAST - timedelta(days=1))
    assert one("volume", young, when="< 1").numbers["days"] == 2


def test_staleness_is_hours_since_the_newest_score() -> None:
    assert one("staleness", when="> 30").value == pytest.approx(28.5)
    assert "Run `fielded score`" in one("staleness", replace(SEEN, last_scored_at=None), when="> 30").lacking


def test_latency_says_why_it_is_not_known() -> None:
    known = replace(SEEN, latency=Latency(12.5, 400))
    assert one("latency", known, when="> 50").value == 12.5
    assert "expected at least 500" in one("latency", known, when="> 50", min_sample=500).lacking
    unknown = replace(SEEN, latency=Latency(lacking="got no place to read it, expected one"))
    assert one("latency", unknown, when="> 50").lacking.startswith("got no place")


def test_silence_is_of_the_place_that_is_asked_for() -> None:
    quiet = {
        day: Histograms({place: held for place, held in one_day.counts.items() if place.part != "LSD"})
        if day > LAST - timedelta(days=20) else one_day
        for day, one_day in SEEN.daily.items()
    }  # fmt: skip
    read = replace(SEEN, daily=MappingProxyType(quiet))
    asked = {"no_data_after": timedelta(days=14)}
    assert one("psi(score)", read, **asked).silent == ""
    assert "for 20 days" in one("psi(score)[hull_class=LSD]", read, **asked).silent
    assert one("psi(score)[hull_class=LSD]", read).silent == "", "the trigger lets rows stay away"


def test_what_was_never_there_is_late_only_since_the_version_is() -> None:
    allowed = timedelta(days=14)
    assert silence(None, None, LAST, allowed, "rows") == ""
    assert silence(None, LAST - timedelta(days=14), LAST, allowed, "rows") == ""
    assert "none since" in silence(None, LAST - timedelta(days=15), LAST, allowed, "rows")
    assert "12 hours" in silence(None, LAST - timedelta(days=1), LAST, timedelta(hours=12), "rows")


def test_performance_is_of_matured_labels_alone() -> None:
    found = one("fnr", min_sample=100, when="> 0.6", window=Window(last=200))
    edge = LAST - MONITORING.labels.maturity
    assert found.last_day is not None
    assert found.last_day <= edge
    held = SEEN.labelled
    assert held is not None
    inside = (
        held.known & (held.days <= np.datetime64(found.last_day)) & (held.days >= np.datetime64(found.first_day))
    )
    expected = metrics(held.labels[inside], held.scores[inside], held.flags[inside], 0.95)["fnr"]
    assert (found.value, found.low, found.high, found.rows) == (
        expected.value, expected.low, expected.high, int(inside.sum()),
    )  # fmt: skip
    assert found.numbers["coverage"] > 0.8


def test_labels_that_stay_away_lack_or_are_silence() -> None:
    young = one("fnr", when="> 0.6", labels=Labels(maturity=timedelta(days=90)))
    assert "Load" in young.lacking or "expected" in young.lacking
    assert young.value is None or young.lacking
    none = replace(SEEN, labelled=None)
    assert one("auc", none, when="< 0.7").lacking.endswith("Load outcomes")
    assert SEEN.labelled is not None
    unknown = replace(SEEN.labelled, known=np.zeros(SEEN.labelled.rows, dtype=bool))
    silent = one("auc", replace(SEEN, labelled=unknown), when="< 0.7", no_data_after=timedelta(days=7))
    assert "no matured labels" in silent.silent


def test_a_slice_of_labels_is_cut_as_the_profile_cuts_it() -> None:
    parts = {found.metric.value for found in measure(trigger("fnr[hull_class=*]", when="> 0.6"), SEEN)}
    assert "other" in parts, "FFG is no class of training"
    assert "FFG" not in parts
    bare = replace(SEEN, profile=None)
    assert "FFG" in {found.metric.value for found in measure(trigger("fnr[hull_class=*]", when="> 0.6"), bare)}


def test_windows_are_never_older_than_they_may_be() -> None:
    rows = {LAST - timedelta(days=number): 10 for number in range(0, 30, 3)}
    days = newest(rows, Window(last=1000, max_age=timedelta(days=9)), LAST)
    assert days.rows == 40
    assert days.first == LAST - timedelta(days=9)
    assert newest({LAST: 5, LAST + timedelta(days=1): 500}, Window(last=300), LAST).rows == 5


def test_reading_reaches_as_far_back_as_anybody_looks() -> None:
    watch = Monitoring(
        triggers=(
            trigger("fnr", labels=Labels(maturity=timedelta(days=180)), window=Window(max_age=timedelta(days=30))),
            trigger("psi(score)", id="u", window=Window(max_age=timedelta(days=365))),
        )
    )
    assert read_from(watch, LAST) == LAST - timedelta(days=365)
    assert labels_from(watch, LAST) == (LAST - timedelta(days=210), LAST - timedelta(days=90))


def test_a_measurer_counts_a_window_once() -> None:
    measurer = Measurer(SEEN, MONITORING.labels)
    first = measurer.matured(OVERALL, Window(last=200), MONITORING.labels)
    assert measurer.matured(OVERALL, Window(last=200), MONITORING.labels) is first
    with pytest.raises(KeyError):
        Measurer(replace(SEEN, labelled=None)).matured(OVERALL, Window(), MONITORING.labels)


def test_a_world_without_any_row_lacks_everything_and_fails_nowhere() -> None:
    empty = Sources(as_of=LAST, moment=datetime(2026, 3, 2, tzinfo=UTC), version="3", profile=profile())
    rates = ("flag_rate", "flag_rate[hull_class=*]", "mean_score", "override_rate", "quarantine_rate")
    others = ("psi(*)", "psi(score)", "missing(*)", "staleness", "latency", "auc", "fnr[hull_class=*]")
    for metric in (*rates, *others):
        assert all(found.lacking for found in measure(trigger(metric), empty)), metric
