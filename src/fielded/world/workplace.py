"""Everything of the world that a service needs, opened for one deployment at one site."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.words.identifiers import RandomBytes
from fielded.world.artifacts import Artifacts
from fielded.world.journal import Journals, open_journals
from fielded.world.ledger import Event, Ledger
from fielded.world.registry import Registry
from fielded.world.tables import DeltaTables

if TYPE_CHECKING:
    from fielded.world.engines import Engine

Clock = Callable[[], datetime]  # UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A deployment at a site.

    Attributes:
        deployment: what is deployed.
        site: where it runs.
        user: authenticated identity of whoever asks.
        clock: the time now, UTC.
        random_bytes: source of randomness.
    """

    deployment: Deployment
    site: Site
    user: str
    clock: Clock
    random_bytes: RandomBytes
    tables: DeltaTables
    ledger: Ledger
    registry: Registry
    artifacts: Artifacts
    journals: Journals

    @property
    def engine(self) -> "Engine":
        """What runs the population query. Ibis and DuckDB are brought when it is asked for: a rollback has no
        third of a second for them.
        """
        from fielded.world.engines.duckdb import DuckDBEngine  # noqa: PLC0415 - see above

        return DuckDBEngine(self.site)

    def record(self, kind: str, about: str, details: Mapping[str, Any], once: str = "") -> None:
        """Put an act of `user` on record, now.

        Args:
            kind: see `Event.kind`.
            about: see `Event.about`.
            details: see `Event.details`.
            once: see `Event.once`.

        Raises:
            Unreachable: the ledger cannot be written; what the event speaks of must not go on.
        """
        event = Event(
            kind=kind, about=about, actor=self.user, occurred_at=self.clock(), details=details, once=once
        )
        self.ledger.record(event, self.random_bytes)


def open_workplace(
    deployment: Deployment, site: Site, *, user: str, clock: Clock, random_bytes: RandomBytes
) -> Workplace:
    """Open the world for `deployment`.

    Raises:
        Unreachable: the registry cannot be opened.
    """
    tables = DeltaTables(site)
    registry = Registry(site)
    return Workplace(
        deployment=deployment,
        site=site,
        user=user,
        clock=clock,
        random_bytes=random_bytes,
        tables=tables,
        ledger=Ledger(tables, site, deployment.name),
        registry=registry,
        artifacts=Artifacts(site, registry, random_bytes),
        journals=open_journals(site, deployment.name, random_bytes),
    )
