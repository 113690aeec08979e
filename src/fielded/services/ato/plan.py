"""The plan of the authorization as it stands now: `plan_page` writes it, `gantt` draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.ato import advice
from fielded.decisions.ato.schedule import DRAWS, Schedule, reckon
from fielded.decisions.ato.work import left_out, work_of
from fielded.services.ato.progress import progress_of
from fielded.services.release.record import about
from fielded.words.errors import WrongUse
from fielded.world.workplace import Workplace

_MOST_DRAWS = 1_000_000  # what a minute and a gigabyte are enough for


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule with what it is of.

    Attributes:
        deployment: name.
        about: `model NAME`.
        definition_sha256: whose section `ato` it was made by.
        asked: that section's part that counts here, JSON values.
        left_out: item that this authorization does without -> why.
        made_at: UTC.
        made_by: authenticated identity.
        acts: how many events it rests on.
        schedule: the whole.
    """

    deployment: str
    about: str
    definition_sha256: str
    asked: Mapping[str, Any]
    left_out: Mapping[str, str]
    made_at: datetime
    made_by: str
    acts: int
    schedule: Schedule

    @property
    def standing(self) -> list[str]:
        """Where it stands, a sentence each."""
        return list(advice.standing(self.schedule))

    @property
    def this_week(self) -> list[advice.Advice]:
        """What to start in the seven days from today, the dearest wait first."""
        return advice.this_week(self.schedule)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "deployment": self.deployment,
            "about": self.about,
            "definition_sha256": self.definition_sha256,
            "asked": dict(self.asked),
            "left_out": dict(self.left_out),
            "made_at": self.made_at.isoformat(),
            "made_by": self.made_by,
            "events": self.acts,
            "standing": self.standing,
            "start_this_week": [{"item": one.item, "text": one.text} for one in self.this_week],
            **self.schedule.as_dict(),
        }


def plan_of(workplace: Workplace, *, draws: int = DRAWS, seed: int = 0) -> Plan:
    """The plan as it stands now, by the definition and what is on record. Nothing is written.

    Args:
        workplace: the deployment at its site.
        draws: plans that the simulation draws.
        seed: of the draws: the same gives the same plan.

    Raises:
        WrongUse: too few or too many draws.
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    if not 1 <= draws <= _MOST_DRAWS:
        raise WrongUse(f"draws: got {draws}, expected 1 to {_MOST_DRAWS:,}")
    ato, now, progress = workplace.deployment.ato, workplace.clock(), progress_of(workplace)
    return Plan(
        deployment=workplace.deployment.name,
        about=about(workplace),
        definition_sha256=workplace.deployment.sha256,
        asked={
            "boundary": ato.boundary,
            "level": ato.categorization.highest,
            "baseline": ato.chosen,
            "impact_level": ato.impact_level,
        },
        left_out=left_out(ato),
        made_at=now,
        made_by=workplace.user,
        acts=progress.acts,
        schedule=reckon(work_of(ato), progress, now.date(), ato.need_date, draws=draws, seed=seed),
    )
