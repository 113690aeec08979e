"""Score a range of days, one run a day."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import date

from fielded.decisions.runs import RunSummary
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import Progress, score_day
from fielded.words.errors import RunRefused
from fielded.world.workplace import Workplace


def backfill(
    workplace: Workplace,
    scorers: Scorers,
    days: Iterable[date],
    *,
    dry_run: bool = False,
    again: str = "",
    progress: Callable[[date], AbstractContextManager[Progress]] = lambda _: nullcontext(lambda *_: None),
) -> Iterator[tuple[date, RunSummary | RunRefused]]:
    """Score each of `days`; each is given to the caller with what came of it.

    A day that is refused for its own rows does not keep the other days from being scored. What is not the day's
    fault is raised at the first day it meets.

    Args:
        workplace: the deployment at its site.
        scorers: where the model comes from.
        days: in the order in which they are scored.
        dry_run: see `score_day`.
        again: see `score_day`.
        progress: opened for each day, gives what `score_day` tells its progress.

    Raises:
        Refused: no approval, changed files, a model that does not fit.
        WrongUse: the model is not registered, or the definition is wrong.
        Unreachable: a table or the registry is not there.
    """
    for day in days:
        try:
            with progress(day) as report:
                item: RunSummary | RunRefused = score_day(
                    workplace, scorers, day, dry_run=dry_run, again=again, progress=report
                )
        except RunRefused as refusal:
            item = refusal
        yield day, item
