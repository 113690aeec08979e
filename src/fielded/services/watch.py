"""Score whenever an input table has a new version."""

from collections.abc import Callable, Iterator
from datetime import date

from fielded.decisions.runs import RunSummary
from fielded.services.prepare_scorer import Scorers
from fielded.services.score_day import score_day
from fielded.words.errors import ArtifactChanged, FieldedError, NotApproved, Unreachable
from fielded.world.registry import NotRegistered
from fielded.world.workplace import Workplace

_MENDABLE = (Unreachable, NotApproved, NotRegistered, ArtifactChanged)  # without a new version of the input


def watch(
    workplace: Workplace, scorers: Scorers, day: Callable[[], date], wait: Callable[[], bool]
) -> Iterator[RunSummary | FieldedError]:
    """Score now, then again after each new version of an input table and each new day.

    What goes wrong is given to the caller once and does not end the watch. A run that is refused for its input
    waits for the next version; where something is out of reach or not approved, each look tries again.

    Args:
        workplace: the deployment at its site.
        scorers: where the model comes from.
        day: the day to score, asked each time.
        wait: waits between two looks; True ends the watch.
    """
    done: tuple[date, list[int]] | None = None
    said = ""
    while True:
        state = done
        try:
            state = day(), _versions(workplace)
            if state != done:
                yield score_day(workplace, scorers, state[0])
            done, said = state, ""
        except _MENDABLE as error:
            if str(error) != said:
                yield error
            said = str(error)
        except FieldedError as error:
            done, said = state, ""
            yield error
        if wait():
            return


def _versions(workplace: Workplace) -> list[int]:
    return [workplace.tables.open(table).version() for table in workplace.deployment.population.tables.values()]
