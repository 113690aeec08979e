"""Score whenever an input table has a new version."""

from collections.abc import Callable, Iterator
from datetime import date

from fielded.decisions.runs import RunSummary
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.words.errors import FieldedError
from fielded.world.workplace import Workplace


def watch(
    workplace: Workplace, scorers: Scorers, day: Callable[[], date], wait: Callable[[], bool]
) -> Iterator[RunSummary | FieldedError]:
    """Score now, then again after each new version of an input table and each new day.

    A run that is refused or a table out of reach is given to the caller and does not end the watch: the next
    version may be right.

    Args:
        workplace: the deployment at its site.
        scorers: where the model comes from.
        day: the day to score, asked each time.
        wait: waits between two looks; True ends the watch.
    """
    scored: tuple[date, list[int]] | None = None
    said = ""
    while True:
        try:
            state = day(), _versions(workplace)
            if state != scored:
                scored = state  # also where the run is refused: the same input would be refused again
                yield score_day(workplace, scorers, state[0])
            said = ""
        except FieldedError as error:
            if str(error) != said:  # once, not at every look
                yield error
            said = str(error)
        if wait():
            return


def _versions(workplace: Workplace) -> list[int]:
    return [workplace.tables.open(table).version() for table in workplace.deployment.population.tables.values()]
