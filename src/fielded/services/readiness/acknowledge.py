"""The monitoring owner says that he knows: that the watch is his, and which alarms come to him (CA-7, GOVERN 2.1).

1. Who acknowledges is the person of the definition: the site maps addresses to identities
   (`authorization.persons`), and another identity is refused. A development site that maps nobody takes anybody,
   and the record says so.
2. It is of one name and address. Another owner acknowledges anew.
3. It lasts a year.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fielded.definition.deployment import Person
from fielded.definition.site import Site
from fielded.services.release.record import about
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

ACKNOWLEDGED = "owner_acknowledged"
LASTS = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What an owner said.

    Attributes:
        name: of the owner, as the definition had it.
        email: the same.
        by: authenticated identity.
        at: UTC.
        mapped: whether the site said that the identity is that person's.
    """

    name: str
    email: str
    by: str
    at: datetime
    mapped: bool

    @property
    def until(self) -> datetime:
        """Rule 3."""
        return self.at + LASTS

    def of(self, owner: Person) -> bool:
        """Rule 2."""
        return (self.name, self.email) == (owner.name, owner.email)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            "email": self.email,
            "by": self.by,
            "at": self.at.isoformat(),
            "until": self.until.isoformat(),
            "mapped": self.mapped,
        }


def acknowledge(workplace: Workplace) -> Acknowledgement:
    """Put on record that the asking person knows that he is the monitoring owner.

    Raises:
        Refused: the site says that he is somebody else, or a production site does not say who he is (rule 1).
        Unreachable: the ledger.
    """
    owner = workplace.deployment.people.monitoring_owner
    mapped = workplace.user in identities_of(workplace.site, owner)
    if not mapped and not anybody(workplace.site):
        raise Refused(
            f"acknowledge: got {workplace.user}, expected an identity of {owner.name}. "
            f"Who keeps site.yaml can name it under authorization.persons.{owner.email}"
        )
    details = {"name": owner.name, "email": owner.email, "mapped": mapped}
    workplace.record(ACKNOWLEDGED, about(workplace), details)
    seal(workplace)
    found = last_acknowledgement(workplace)
    if found is None or found.by != workplace.user:
        raise Refused("acknowledge: got another record than was written, expected it. Run `fielded audit verify`")
    return found


def identities_of(site: Site, person: Person) -> tuple[str, ...]:
    """Identities that the site says are a person's."""
    return site.authorization.persons.get(person.email, ())


def anybody(site: Site) -> bool:
    """Whether the site leaves open who is who: a development site that maps nobody."""
    return site.environment == "development" and not site.authorization.persons


def last_acknowledgement(workplace: Workplace) -> Acknowledgement | None:
    """What an owner said last; None where none did.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger.
    """
    events = workplace.ledger.events_of(ACKNOWLEDGED, about(workplace))
    return _read(events[-1]) if events else None


def _read(event: Mapping[str, Any]) -> Acknowledgement:
    details = event["details"]
    try:
        return Acknowledgement(
            name=str(details["name"]),
            email=str(details["email"]),
            by=str(event["actor"]),
            at=event["occurred_at"],
            mapped=details["mapped"] is True,
        )
    except (KeyError, TypeError) as error:
        raise Refused(
            f"event {event['sequence']}: got an {ACKNOWLEDGED} without a readable {error}, expected what fielded "
            "writes. Run `fielded audit verify`"
        ) from None
