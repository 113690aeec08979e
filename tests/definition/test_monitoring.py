"""The `monitoring:` section: metrics, bounds and times as they are written, and every mistake with its line."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sections import load, one

from fielded.definition.monitoring import (
    DRIFT,
    FLOW,
    LABELLED,
    QUALITY,
    RATES,
    Breaches,
    Metric,
    Monitoring,
    Significance,
    When,
)

FULL = """
monitoring:
  triggers:
    - id: score-drift
      metric: psi(score)
      reference: training
      when: "> 0.10"
      significance: {alpha: 0.05, correction: bonferroni}
      window: {last: 300, max_age: 90d}
      min_sample: 300
      breaches: 2 of 2
      no_data_after: 14d
      clear: {when: "< 0.08", for: 2}
      then: [open_retraining_request, notify_owner]
    - id: misses
      metric: fnr[kind=*]
      when: "> 0.40"
      labels: {maturity: 180d, min_coverage: 0.9}
  labels: {maturity: 60d, min_coverage: 0.7}
  window: {last: 1000, max_age: 12h}
  reviews: [30, 60]
  review_due_days: 7
  retraining_due_days: 20
"""


def trigger(**changes: str) -> str:
    fields = {"id": "t", "metric": "psi(score)", "when": '"> 0.1"', **changes}
    lines = [f"{name}: {text}" for name, text in fields.items() if text]
    return "monitoring:\n  triggers:\n    - " + "\n      ".join(lines) + "\n"


def test_no_section_watches_nothing_and_still_asks_for_three_reviews() -> None:
    assert load("").monitoring == load("monitoring: {}\n").monitoring == Monitoring()
    assert Monitoring().reviews == (30, 90, 180)
    assert Monitoring().triggers == ()


def test_a_full_section_is_read() -> None:
    monitoring = load(FULL).monitoring
    drift, misses = monitoring.triggers
    assert Metric.parse(drift.metric) == Metric("psi", "score")
    assert When.parse(drift.when) == When(">", 0.10)
    assert drift.significance == Significance(alpha=0.05, correction="bonferroni")
    assert (drift.window.last, drift.window.max_age) == (300, timedelta(days=90))
    assert Breaches.parse(drift.breaches) == Breaches(2, 2)
    assert drift.no_data_after == timedelta(days=14)
    assert (drift.clear.when, drift.clear.for_) == ("< 0.08", 2)
    assert drift.then == ("open_retraining_request", "notify_owner")
    assert Metric.parse(misses.metric) == Metric("fnr", "", "kind", "*")
    assert (misses.labels.maturity, misses.labels.min_coverage) == (timedelta(days=180), 0.9)
    assert (misses.then, misses.clear, misses.no_data_after) == (("notify_owner",), None, None)
    assert (monitoring.labels.maturity, monitoring.window.max_age) == (timedelta(days=60), timedelta(hours=12))
    assert (monitoring.reviews, monitoring.review_due_days, monitoring.retraining_due_days) == ((30, 60), 7, 20)


def test_the_section_changes_the_digest() -> None:
    assert load(FULL).sha256 != load(FULL.replace("0.10", "0.11")).sha256


@pytest.mark.parametrize(
    ("section", "field", "got"),
    [
        (trigger(metrc="psi(score)"), "monitoring.triggers.0.metrc", "unknown field"),
        (trigger(id="Bad Id"), "monitoring.triggers.0.id", "Bad Id"),
        (trigger(metric="luck"), "monitoring.triggers.0.metric", "luck"),
        (trigger(metric="psi"), "monitoring.triggers.0.metric", "psi"),
        (trigger(metric="psi(rank)"), "monitoring.triggers.0.metric", "rank"),
        (trigger(metric="missing(score)"), "monitoring.triggers.0.metric", "missing(score)"),
        (trigger(metric="auc(age)"), "monitoring.triggers.0.metric", "auc(age)"),
        (trigger(metric='"fnr[age=*]"'), "monitoring.triggers.0.metric", "age"),
        (trigger(metric='"volume[kind=*]"'), "monitoring.triggers.0.metric", "volume"),
        (trigger(when='"0.1"'), "monitoring.triggers.0.when", "0.1"),
        (trigger(when='"> ten"'), "monitoring.triggers.0.when", "> ten"),
        (trigger(when=""), "monitoring.triggers.0.when", "nothing"),
        (trigger(breaches="3 of 2"), "monitoring.triggers.0.breaches", "3 of 2"),
        (trigger(breaches="0 of 2"), "monitoring.triggers.0.breaches", "0 of 2"),
        (trigger(window="{max_age: 90}"), "monitoring.triggers.0.window.max_age", "90"),
        (trigger(window="{max_age: 0d}"), "monitoring.triggers.0.window.max_age", "0d"),
        (trigger(window="{last: 100}"), "monitoring.triggers.0", "mapping"),
        (trigger(labels="{maturity: 9d}"), "monitoring.triggers.0", "mapping"),
        (trigger(clear='{when: "> 0.08"}'), "monitoring.triggers.0", "mapping"),
        (trigger(then="[retrain]"), "monitoring.triggers.0.then.0", "retrain"),
        (trigger(significance="{alpha: 0.9}"), "monitoring.triggers.0.significance.alpha", "0.9"),
        (trigger(metric="volume", significance="{}"), "monitoring.triggers.0", "mapping"),
        ("monitoring: {reviews: [90, 30]}\n", "monitoring", "mapping"),
        ("monitoring: {reviews: [0]}\n", "monitoring.reviews.0", "0"),
        (trigger() + trigger().partition("triggers:\n")[2], "monitoring", "mapping"),
    ],
)
def test_each_mistake_is_told_with_its_field(section: str, field: str, got: str) -> None:
    finding = one(section)
    assert finding.field == field
    assert got in finding.got
    assert finding.expected


names = st.sampled_from(sorted(DRIFT | QUALITY | RATES | FLOW | LABELLED))


@settings(deadline=None, max_examples=100)
@given(names, st.sampled_from(["age", "*", "score"]), st.sampled_from(["", "*", "DDG-51", "a b"]))
def test_a_metric_is_read_as_it_is_written(name: str, of: str, value: str) -> None:
    takes = name in DRIFT | QUALITY
    metric = Metric(name, of if takes else "", "kind" if value else "", value)
    if (name in QUALITY and of == "score") or (name in FLOW and value):
        with pytest.raises(ValueError, match=name):
            Metric.parse(str(metric))
    else:
        assert Metric.parse(str(metric)) == metric
        assert metric.needs_labels == (name in LABELLED)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from([">", ">=", "<", "<="]), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_a_bound_is_crossed_on_its_side(sign: str, bound: int, value: int) -> None:
    when = When.parse(f"{sign} {bound / 10}")
    assert when.crossed(value / 10) == eval(f"value / 10 {sign} bound / 10")  # noqa: S307
    assert when.above == (">" in sign)
    assert not when.crossed(float("nan"))


def test_looks_share_what_chance_may_do() -> None:
    assert Significance(alpha=0.05).of_each(10) == 0.005
    assert Significance(alpha=0.05, correction="none").of_each(10) == 0.05
    assert Significance(alpha=0.05).of_each(0) == 0.05
