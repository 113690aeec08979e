"""Go back to the previous version: for now the plain exchange of two aliases, with its reason on record."""

from dataclasses import dataclass

from fielded.services.approve import approved_digest
from fielded.services.prepare_scorer import Scorers
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

STARTED, DONE = "rollback_started", "rolled_back"


@dataclass(frozen=True, slots=True)
class Rollback:
    """What moved.

    Attributes:
        model: registered name.
        left: version that was in production.
        now: version that is.
    """

    model: str
    left: str
    now: str


def rollback(workplace: Workplace, scorers: Scorers, reason: str) -> Rollback:
    """Exchange the definition's `alias` and `previous_alias`, after the previous version was seen to load.

    The intent is on record before an alias moves, and the completion after; a rollback that died between them
    is completed by the next call, whatever the aliases stand on by then.

    Raises:
        Refused: both aliases stand on one version.
        NotApproved: the previous version was never approved.
        ArtifactChanged: its files are not the approved ones.
    """
    ref = workplace.deployment.model
    intent = _open_intent(workplace)
    if intent is None:
        current = workplace.registry.resolve(ref.name, ref.alias)
        previous = workplace.registry.resolve(ref.name, ref.previous_alias)
        if current == previous:
            raise Refused(
                f"{ref.previous_alias}: got {previous}, as `{ref.alias}`, expected another version to go back to"
            )
        intent = {"from": current.version, "to": previous.version, "reason": reason}
        scorers.get(previous, approved_digest(workplace.ledger, previous))
        workplace.record(STARTED, _about(workplace), intent)
    workplace.registry.point(ref.name, ref.alias, intent["to"])
    workplace.registry.point(ref.name, ref.previous_alias, intent["from"])
    workplace.record(DONE, _about(workplace), intent)
    seal(workplace)
    return Rollback(ref.name, intent["from"], intent["to"])


def _open_intent(workplace: Workplace) -> dict[str, str] | None:
    """What a rollback that died had begun, if the last one did."""
    events = workplace.ledger.events_of({STARTED, DONE}, _about(workplace))
    return events[-1]["details"] if events and events[-1]["kind"] == STARTED else None


def _about(workplace: Workplace) -> str:
    return f"model {workplace.deployment.model.name}"
