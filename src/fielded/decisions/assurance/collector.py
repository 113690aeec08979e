"""What a collector of evidence promises: its name, what it looks at, how long that holds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from fielded.decisions.assurance.evidence import Check

Bench = TypeVar("Bench")


@dataclass(frozen=True, slots=True)
class Found:
    """What a collector came back with.

    Attributes:
        checks: what was asked and found.
        facts: JSON values behind it.
        attested_by: see `Evidence.attested_by`.
    """

    checks: tuple[Check, ...]
    facts: dict[str, object]
    attested_by: str = ""


@dataclass(frozen=True, kw_only=True)  # without slots: a generic one cannot be made as `Collector[Bench](...)`
class Collector(Generic[Bench]):
    """One look at the deployment as it runs.

    Attributes:
        id: of the evidence it makes.
        title: what is looked at, in words.
        look: does it.
        holds_for: how long the evidence is believed; None as long as its scope stands.
        expected: what would hold, for the case that it could not look.
    """

    id: str
    title: str
    look: Callable[[Bench], Found]
    holds_for: timedelta | None
    expected: str
