"""The part of the demo that people and monitors have in it: a case is decided, and the day is looked at."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from fielded.decisions.review.acts import Outcome
from fielded.services.demo_release import Step
from fielded.services.monitoring.monitor import MonitorRun, run
from fielded.services.monitoring.run_report import reporter
from fielded.services.review.act import claim, decide, judge
from fielded.services.review.cases import list_cases, show_case
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

_REVIEWER = "example:reviewer"  # a stand-in for that person's own login


def review_step(workplace: Workplace) -> Step:
    """A reviewer takes the case that waits, judges it before he sees its score, and then decides.

    Raises:
        Refused: nothing waits, or the score was shown at another time than after the first judgement.
    """
    reviewer = replace(workplace, user=_REVIEWER)
    queue = list_cases(reviewer, limit=1, free=True)
    if not queue.cases:
        raise Refused("review: got no case that waits, expected the live score in the band")
    case = queue.cases[0].request_id
    claim(reviewer, case)
    before = show_case(reviewer, case).view
    judge(reviewer, case, flag=False)
    seen = show_case(reviewer, case).view
    if before.score is not None or seen.score is None:
        raise Refused("review: got a score before the first judgement, or none after it, expected the reverse")
    outcome: Outcome = "override" if seen.flag else "keep"
    decide(reviewer, case, outcome, "knows_more", "demo: the parts for it came in yesterday")
    stands = show_case(reviewer, case).standing
    if stands is None or stands.by != _REVIEWER:
        raise Refused("review: got no decision that stands, expected the reviewer's")
    routed = ", ".join(seen.routed_by or ())
    told = (
        f"{seen.subject}, routed by {routed}: judged clear by {stands.by} before the score was shown, then "
        f"{seen.score:.4f} seen, {stands.outcome}: {stands.final}"
    )
    return Step("decide a case", told)


def watch_step(workplace: Workplace, day: date, folder: Path) -> Step:
    """Look at a day as the monitor does.

    Args:
        workplace: with rows of the day.
        day: the last one that is looked at.
        folder: for the report.
    """
    made = run(workplace, day, reporter(workplace, folder))
    return Step("watch", "; ".join(_told(made)) + f". Report: {folder.name}/monitor.html")


def _told(made: MonitorRun) -> Iterator[str]:
    """The triggers of one instance each, and of the others how many instances are in which state."""
    names = dict.fromkeys(one.trigger for one in made.looked.evaluations)
    for name in names:
        own = [one for one in made.looked.evaluations if one.trigger == name]
        states = [made.looked.states[one.key].state for one in own]
        if len(own) == 1 and own[0].measured.value is not None:
            yield f"{own[0].measured.metric} {own[0].measured.value:.4f}, {states[0]}"
        else:
            counts = {state: states.count(state) for state in dict.fromkeys(states)}
            yield f"{name}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
