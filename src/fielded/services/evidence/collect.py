"""Run collectors and put what they find on record, sealed: evidence is an event like every other act.

A collector that cannot look says why: what could not be reached, or was refused, is a check that failed or was not
made, and never the end of the whole collection.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import COLLECTED, Check, Evidence
from fielded.services.release.record import about, state_of
from fielded.services.release.rollback import sealed
from fielded.words.errors import FieldedError, Refused, Unreachable
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API's door answered.

    Attributes:
        status: of HTTP.
        headers: in lower case.
        body: JSON value; None where there is none.
        text: the body as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str


class Door(Protocol):
    """Asks the API in this process, through its guard, routes and identity, without a network."""

    @property
    def credentials(self) -> Mapping[str, str]:
        """Headers that tell the guard that the workplace's user asks, who may score and nothing else. They are
        sent only where a caller sends them, and are worth nothing at any other door.

        Raises:
            FieldedError: the API could not be opened.
        """

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        peer: str = "127.0.0.1",
    ) -> Answer:
        """One request and its answer.

        Args:
            method: of HTTP.
            path: with its query, where it has one.
            json: JSON value to send; None sends `body`.
            headers: to send, beside the content type of `json`.
            body: bytes to send as they are.
            peer: address that the request seems to come from.

        Raises:
            FieldedError: the API could not be opened, or does not answer.
        """


OpenDoor = Callable[[Workplace], AbstractContextManager[Door]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What collectors look at.

    Attributes:
        workplace: the deployment at its site, as its user.
        door: the API; None where the caller has none, and what needs it is not checked.
        open_door: opens the API of another workplace, such as one on a scratch site; None where the caller cannot.
        site_file: that the site was read from; None where there is none.
    """

    workplace: Workplace
    door: Door | None = None
    open_door: OpenDoor | None = None
    site_file: Path | None = None


def tool() -> str:
    """Program and version that collects."""
    return f"fielded {importlib.metadata.version('fielded')}"


def scope_of(workplace: Workplace) -> dict[str, str]:
    """What evidence that is collected now is about."""
    scope = {"deployment": workplace.deployment.name, "definition_sha256": workplace.deployment.sha256}
    try:
        production = state_of(workplace).production
    except FieldedError:
        return scope
    if production is not None:
        scope |= {"model_version": production.version, "artifact_sha256": production.sha256}
    return scope


def collect(bench: Bench, collector: Collector[Bench], command: str) -> Evidence:
    """What one collector finds now; nothing is put on record.

    Args:
        bench: what it looks at.
        collector: does the looking.
        command: collects the same again.
    """
    workplace = bench.workplace
    at = workplace.clock()
    try:
        found = collector.look(bench)
    except Unreachable as error:
        found = Found((Check.missing("looked", why=str(error), expected=collector.expected),), {})
    except FieldedError as error:
        found = Found((Check.of("looked", False, got=str(error), expected=collector.expected),), {})
    return Evidence(
        id=collector.id,
        title=collector.title,
        checks=found.checks,
        facts=found.facts,
        command=command,
        tool=tool(),
        by=workplace.user,
        at=at,
        scope=scope_of(workplace),
        valid_until=None if collector.holds_for is None else at + collector.holds_for,
        attested_by=found.attested_by,
    )


def put_on_record(workplace: Workplace, collected: Iterable[Evidence]) -> str:
    """Append each as an event, and seal.

    Returns:
        Why the ledger was not sealed; empty where it was. What was found stands on record all the same: that a
        ledger cannot be sealed is one of the things that evidence is about.

    Raises:
        Unreachable: the ledger.
    """
    for one in collected:
        workplace.record(COLLECTED, about(workplace), {**one.as_dict(), "sha256": one.sha256})
    return sealed(workplace)


def on_record(workplace: Workplace, until: datetime | None = None) -> dict[str, Evidence]:
    """The last evidence of each id.

    Args:
        workplace: whose ledger counts.
        until: UTC; what was collected later is not seen. None sees all.

    Raises:
        Refused: an event cannot be read, or its digest is another.
        Unreachable: the ledger.
    """
    found: dict[str, Evidence] = {}
    for event in workplace.ledger.events_of(COLLECTED, about(workplace)):
        if until is not None and event["occurred_at"] > until:
            continue
        try:
            one = Evidence.read(event["details"])
            same = one.sha256 == event["details"]["sha256"]
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"event {event['sequence']}: got evidence without a readable {error}, expected what fielded "
                "writes. Run `fielded audit verify`"
            ) from None
        if not same:
            raise Refused(
                f"event {event['sequence']}: got evidence {one.id} with another digest than its own, expected "
                "what fielded writes. Run `fielded audit verify`"
            )
        found[one.id] = one
    return found


def of_this(evidence: Evidence, scope: Mapping[str, str]) -> Evidence:
    """Evidence as it counts for a scope: about another definition or model, it is not checked for this one."""
    for key in ("deployment", "definition_sha256", "artifact_sha256"):
        was, now = evidence.scope.get(key), scope.get(key)
        if was is not None and was != now:
            return replace(evidence, checks=(Check.missing(
                "scope", why=f"collected about another {key}, {was[:16]}", expected=f"{key} {str(now)[:16]}",
                step=f"Run `{evidence.command}`",
            ), *evidence.checks))  # fmt: skip
    return evidence
