"""Evidence: what was looked at, by doing it, and what came of it.

1. Evidence is made of checks. It is satisfied where there are checks and all of them hold; without a check, or
   with one that could not be made, it is "not checked", which is never a pass (SP 800-53A: other than satisfied).
2. A check says what was expected and what was got. A negative one shows the control refusing something.
3. What a person says and no machine saw is "attested", and names who said it.
4. It holds for a time and for what it was collected about: another definition or other model bytes, and it is of
   something else.
5. Of several with one id the last counts. All stay in the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

from fielded.decisions.release.findings import Finding
from fielded.words.digests import value_sha256

Outcome = Literal["satisfied", "not satisfied", "not checked", "attested"]
CheckOutcome = Literal["held", "failed", "not checked"]

COLLECTED = "evidence_collected"  # kind of event; its details are `Evidence.as_dict`


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer.

    Attributes:
        name: what was asked, without a number in it: `edited row is found`.
        outcome: what came of it.
        got: what was found.
        expected: what would have held.
        step: what to do next; empty where it held.
        negative: whether it tried something that must be refused.
    """

    name: str
    outcome: CheckOutcome
    got: str
    expected: str
    step: str = ""
    negative: bool = False

    @classmethod
    def of(
        cls, name: str, holds: bool, *, got: str, expected: str, step: str = "", negative: bool = False
    ) -> Self:
        """A check that was made."""
        return cls(
            name=name,
            outcome="held" if holds else "failed",
            got=got,
            expected=expected,
            step="" if holds else step,
            negative=negative,
        )

    @classmethod
    def missing(cls, name: str, *, why: str, expected: str, step: str = "", negative: bool = False) -> Self:
        """A check that could not be made, and why."""
        return cls(name=name, outcome="not checked", got=why, expected=expected, step=step, negative=negative)

    @classmethod
    def from_finding(cls, finding: Finding) -> Self:
        """A gate's finding as a check: one that is waived holds, and says so."""
        outcome: CheckOutcome = "held" if finding.holds else "failed"
        if finding.outcome == "not enough evidence":
            outcome = "not checked"
        got = f"{finding.got} (waived)" if finding.outcome == "waived" else finding.got
        return cls(name=finding.name, outcome=outcome, got=got, expected=finding.expected, step=finding.step)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From `as_dict`.

        Raises:
            KeyError: a field is not there.
        """
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def outcome_of(checks: Sequence[Check]) -> Outcome:
    """Rule 1."""
    if any(check.outcome == "failed" for check in checks):
        return "not satisfied"
    if not checks or any(check.outcome == "not checked" for check in checks):
        return "not checked"
    return "satisfied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one look found.

    Attributes:
        id: stable name, `audit-probe`: sentences and controls cite it.
        title: what was looked at, in words.
        checks: what was asked and found.
        facts: JSON values behind it, which sentences take their numbers from.
        command: collects it again.
        tool: program and version that collected it.
        by: authenticated identity of who had it collected.
        at: UTC.
        scope: what it is about: `deployment`, `definition_sha256`, and where a model is meant `model_version` and
            `artifact_sha256`.
        valid_until: UTC; None holds as long as the scope stands.
        attested_by: who said it, where no machine saw it; empty else.
    """

    id: str
    title: str
    checks: tuple[Check, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    command: str
    tool: str
    by: str
    at: datetime
    scope: Mapping[str, str]
    valid_until: datetime | None
    attested_by: str = ""

    @property
    def outcome(self) -> Outcome:
        """Rules 1 and 3."""
        found = outcome_of(self.checks)
        return "attested" if found == "satisfied" and self.attested_by else found

    @property
    def holds(self) -> bool:
        """Whether nothing of it is in the way."""
        return self.outcome in ("satisfied", "attested")

    def current(self, now: datetime) -> bool:
        """Whether its time is not over at a moment (UTC)."""
        return self.valid_until is None or now <= self.valid_until

    def as_dict(self) -> dict[str, Any]:
        """JSON values, as the event and the evidence file hold them."""
        return {
            "id": self.id,
            "title": self.title,
            "outcome": self.outcome,
            "checks": [check.as_dict() for check in self.checks],
            "facts": dict(self.facts),
            "command": self.command,
            "tool": self.tool,
            "by": self.by,
            "at": self.at.isoformat(),
            "scope": dict(self.scope),
            "valid_until": None if self.valid_until is None else self.valid_until.isoformat(),
            "attested_by": self.attested_by,
        }

    @property
    def sha256(self) -> str:
        """Digest of `as_dict`, in canonical JSON."""
        return value_sha256(self.as_dict())

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From `as_dict`. The outcome is computed anew from the checks, never believed.

        Raises:
            KeyError: a field is not there.
            TypeError: one is of another kind.
            ValueError: a time is none.
        """
        until = values["valid_until"]
        return cls(
            id=str(values["id"]),
            title=str(values["title"]),
            checks=tuple(Check.read(check) for check in values["checks"]),
            facts=dict(values["facts"]),
            command=str(values["command"]),
            tool=str(values["tool"]),
            by=str(values["by"]),
            at=datetime.fromisoformat(values["at"]),
            scope=dict(values["scope"]),
            valid_until=None if until is None else datetime.fromisoformat(until),
            attested_by=str(values["attested_by"]),
        )
