"""What gates find: values with what was got and what was expected, never log lines.

1. A gate says something of all that it was asked to look at, also of what it could not measure.
2. "Not enough evidence" is an outcome of its own, and never a pass (NIST AI RMF, MEASURE 2.1).
3. A verdict without findings does not hold.
4. A finding is waived only by name, with a reason and an end; it stays in the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Outcome = Literal["passed", "failed", "not enough evidence", "waived"]

_ORDER: Mapping[Outcome, int] = {"failed": 0, "not enough evidence": 1, "waived": 2, "passed": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one gate found about one thing.

    Attributes:
        gate: `evidence`, `performance`, `shift`, `fairness`, `calibration`, `budget` or `approvals`.
        item: what was looked at: `auc[hull_class=DDG-51]`.
        outcome: what came of it.
        got: what was found, with its interval where it has one.
        expected: what would have passed.
        step: what to do next; empty where it passed.
        numbers: the values behind the texts, by name.
        severity: how far from passing, in units of the limit; larger is worse. For the order of a report, and for
            whether a waiver still covers it.
        set_aside: the outcome that a waiver set aside; empty where none did.
    """

    gate: str
    item: str
    outcome: Outcome
    got: str
    expected: str
    step: str = ""
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    severity: float = 0.0
    set_aside: str = ""

    @property
    def holds(self) -> bool:
        """Whether it stands in nobody's way."""
        return self.outcome in ("passed", "waived")

    @property
    def name(self) -> str:
        """How a waiver names it: `performance/auc[hull_class=DDG-51]`."""
        return f"{self.gate}/{self.item}"

    def waived(self) -> "Finding":
        """The same, set aside by somebody who answers for it."""
        return self if self.holds else replace(self, outcome="waived", set_aside=self.outcome)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All findings about one candidate, worst first.

    Attributes:
        findings: of every gate.
    """

    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding], waived: frozenset[str] = frozenset()) -> "Verdict":
        """The verdict on findings, those named in `waived` set aside."""
        kept = [finding.waived() if finding.name in waived else finding for finding in findings]
        return cls(tuple(sorted(kept, key=lambda one: (_ORDER[one.outcome], -one.severity, one.name))))

    @property
    def holds(self) -> bool:
        """Whether the candidate may pass: there are findings, and none stands in the way."""
        return bool(self.findings) and all(finding.holds for finding in self.findings)

    @property
    def in_the_way(self) -> tuple[Finding, ...]:
        """What has to be mended, measured or waived."""
        return tuple(finding for finding in self.findings if not finding.holds)
