"""What the plan tells people: nothing that the schedule does not say, and what waiting costs."""

from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import pytest

from fielded.decisions.ato.advice import chance, days, standing, this_week
from fielded.decisions.ato.progress import Kickoff, Progress, Standing
from fielded.decisions.ato.schedule import Schedule, reckon
from fielded.decisions.ato.work import work_of
from fielded.definition.ato import Ato

TODAY = date(2026, 3, 2)
KICKOFF = Kickoff(
    on=TODAY, recorded_at=datetime(2026, 3, 2, 9, tzinfo=UTC), recorded_by="os:ada", reference="", event_id="1"
)


def told(need: date | None = None, kickoff: Kickoff | None = KICKOFF, **items: Standing) -> tuple[str, Schedule]:
    said = MappingProxyType({key.replace("_", "-"): one for key, one in items.items()})
    found = reckon(work_of(Ato()), Progress(kickoff, said), TODAY, need, draws=2000)
    return "\n".join(standing(found)), found


def test_without_a_kickoff_the_first_sentence_says_what_that_costs() -> None:
    text, _ = told(kickoff=None)
    assert text.startswith("No kickoff is on record.")
    assert "fielded ato kickoff" in text
    assert "At the kickoff it was" not in text


def test_the_need_date_is_met_not_met_or_met_by_a_share() -> None:
    text, found = told(TODAY + timedelta(days=160))
    assert (
        f"met with every item at its high end, {days((TODAY + timedelta(160) - found.latest).days)} to spare"
        in text
    )
    text, _ = told(TODAY + timedelta(days=60))
    assert "not met with every item at its low end, 10 days too late" in text
    text, found = told(TODAY + timedelta(days=110))
    assert f"met in {chance(found.apart.chance)} of the plans where each item has its own luck" in text
    assert "names no day" in told()[0]


def test_what_moved_since_the_kickoff_is_told_in_days() -> None:
    assert "Nothing was lost since the kickoff." in told()[0]
    early = Kickoff(
        on=TODAY - timedelta(days=30), recorded_at=KICKOFF.recorded_at, recorded_by="os:ada",
        reference="minutes of a meeting", event_id="1",
    )  # fmt: skip
    text, _ = told(kickoff=early)
    assert "moved by +30 days since, the latest by +30" in text
    assert "recorded 30 days later" in text


def test_assumed_ranges_and_overdue_items_are_named() -> None:
    text, _ = told(monitoring_plan=Standing(started=TODAY - timedelta(days=20)))
    assert "Assumed, for nobody gave a range: Security assessment, Authorization decision." in text
    assert "Monitoring plan was started on 2026-02-10 and is 6 days beyond its high end." in text
    both = Standing(estimate=(30, 40), by="os:assessor")
    assert "Assumed" not in told(assessment=both, decision=both)[0]


def test_the_dearest_wait_comes_first_and_slack_costs_nothing() -> None:
    found = told(TODAY + timedelta(days=90))[1]
    week = this_week(found)
    assert [one.item for one in week] == [
        "controls-documentation", "penetration-test", "ai-documentation", "monitoring-plan",
    ]  # fmt: skip
    assert "a week's wait costs 6." in week[0].text
    assert "due by" in week[0].text, "at the high ends ninety days are not enough"
    assert "a week's wait costs nothing, 14 days of slack at least" in week[2].text


def test_who_is_authorized_has_nothing_to_start() -> None:
    done = {one.id: Standing(started=TODAY - timedelta(days=9), done=TODAY) for one in work_of(Ato())}
    text, found = told(TODAY - timedelta(days=1), **{key.replace("-", "_"): one for key, one in done.items()})
    assert "Authorized on 2026-03-02, 1 day after it was needed." in text
    assert this_week(found) == []


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "none"), (0.0, "0%"), (0.004, "less than 1%"), (0.5, "50%"), (0.996, "more than 99%"), (1.0, "100%")],
)
def test_a_share_is_never_rounded_to_all_or_none(share: float | None, said: str) -> None:
    assert chance(share) == said
