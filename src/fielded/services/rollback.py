"""Go back to the previous version: for now the plain exchange of two aliases, with its reason on record."""

from dataclasses import dataclass

from fielded.services.approve import approved_digest
from fielded.services.prepare_scorer import Scorers
from fielded.words.errors import Refused
from fielded.world.ledger import Event
from fielded.world.workplace import Workplace


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

    Raises:
        Refused: both aliases stand on one version.
        NotApproved: the previous version was never approved.
        ArtifactChanged: its files are not the approved ones.
    """
    ref = workplace.deployment.model
    current = workplace.registry.resolve(ref.name, ref.alias)
    previous = workplace.registry.resolve(ref.name, ref.previous_alias)
    if current == previous:
        raise Refused(
            f"{ref.previous_alias}: got {previous}, as `{ref.alias}`, expected another version to go back to"
        )
    scorers.get(previous, approved_digest(workplace.ledger, previous))
    workplace.registry.point(ref.name, ref.alias, previous.version)
    workplace.registry.point(ref.name, ref.previous_alias, current.version)
    workplace.ledger.record(
        Event(
            kind="rolled_back",
            about=f"model {ref.name}",
            actor=workplace.user,
            occurred_at=workplace.clock(),
            details={"from": current.version, "to": previous.version, "reason": reason},
        ),
        workplace.random_bytes,
    )
    return Rollback(ref.name, current.version, previous.version)
