"""Reviews in tests: people, moments, and a definition that has a second person look at every case or at none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from conftest import DEFINITION, Ticking, World
from fielded.services.review.cases import CaseView, list_cases
from fielded.world.workplace import Workplace

ADA, BEN, CLEO, DAN = "os:ada", "os:ben", "os:cleo", "os:dan"
START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # when the day is scored


def defined(**settings: object) -> str:
    """The definition with a section `review`; no second judgements unless they are asked for."""
    told = {"second_share": 0.0, **settings}
    lines = "".join(f"  {name}: {value}\n" for name, value in told.items())
    return f"{DEFINITION}review:\n{lines}"


def at(world: World, user: str, hours: float = 1.0) -> Workplace:
    """Somebody's workplace, so long after the day was scored; the clock goes on from there."""
    return replace(world.open(user), clock=Ticking(START + timedelta(hours=hours)))


def waiting(world: World, user: str = ADA, hours: float = 1.0) -> tuple[CaseView, ...]:
    return list_cases(at(world, user, hours)).cases


def gold_by_id(world: World) -> dict[str, dict]:
    return {row["request_id"]: row for row in world.rows("gold.overrun_scores")}
