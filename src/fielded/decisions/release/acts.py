"""The acts of a release as values: what the ledger's events say, read into types.

Every event is about `model NAME` and carries its `turn` (1, 2, 3, ...) among its details, beside:

| kind | details |
|---|---|
| `release_adopted` | `production` {version, sha256}, `previous` {version, sha256} or null; `staged` versions, where MLflow's stage has others |
| `release_proposed` | `version`, `sha256`, `why` |
| `release_compared` | `version`, `sha256`, `against` {version, sha256} or null, `report_sha256`, `definition_sha256`, `holds`, `findings` [{name, outcome, got, expected, severity, set_aside}] |
| `release_approved` | `version`, `sha256`, `definition_sha256`, `roles` |
| `release_waived` | `version`, `sha256`, `finding` (its name), `reason`, `until` (YYYY-MM-DD, the last day) |
| `release_withdrawn` | `version`, `sha256`, `reason` |
| `promotion_started`, `promoted`, `promotion_undone` | `from` {version, sha256} or null, `to` {version, sha256}, `reason` |
| `rollback_started`, `rolled_back`, `rollback_undone` | the same, `from` never null |
| `aliases_set` | `aliases` {alias: version} |
| `release_drilled` | whatever the drill measured; `passed` |
| `trial_started` | `version`, `sha256`, `mode` (`shadow` or `canary`), `share` (0 to 1, of subjects) |
| `trial_ended` | `version`, `sha256`, `reason` |
| `alias_moved` | `alias`, `got` (version or null), `expected` (version) |
| `version_missing` | `version` |
| `artifact_changed` | `version`, `got` (digest), `expected` (digest) |

A completed or undone transition whose aliases could not be moved says so under `alias`.
"""  # noqa: E501 - a table

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Self

from fielded.decisions.acts import Act

ADOPTED = "release_adopted"
PROPOSED = "release_proposed"
COMPARED = "release_compared"
APPROVED = "release_approved"
WAIVED = "release_waived"
WITHDRAWN = "release_withdrawn"
PROMOTION_STARTED, PROMOTED, PROMOTION_UNDONE = "promotion_started", "promoted", "promotion_undone"
ROLLBACK_STARTED, ROLLED_BACK, ROLLBACK_UNDONE = "rollback_started", "rolled_back", "rollback_undone"
ALIASES_SET = "aliases_set"
DRILLED = "release_drilled"
TRIAL_STARTED, TRIAL_ENDED = "trial_started", "trial_ended"
ALIAS_MOVED, VERSION_MISSING, ARTIFACT_CHANGED = "alias_moved", "version_missing", "artifact_changed"

OBSERVATIONS = frozenset({ALIAS_MOVED, VERSION_MISSING, ARTIFACT_CHANGED})
INTO_PRODUCTION = frozenset({ADOPTED, PROMOTED, ROLLED_BACK})  # what changes production
TRANSITIONS = INTO_PRODUCTION | {PROMOTION_STARTED, PROMOTION_UNDONE, ROLLBACK_STARTED, ROLLBACK_UNDONE}

Mode = Literal["shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A version and the exact bytes meant by it.

    Attributes:
        version: concrete version, as the registry writes it ("3").
        sha256: digest of its files.
    """

    version: str
    sha256: str

    def as_dict(self) -> dict[str, str]:
        """As the events hold it."""
        return {"version": self.version, "sha256": self.sha256}

    @classmethod
    def read(cls, details: Mapping[str, Any]) -> Self:
        """From `{"version": ..., "sha256": ...}`, whatever else is in it."""
        return cls(str(details["version"]), str(details["sha256"]))

    def __str__(self) -> str:
        return f"version {self.version} (sha256 {self.sha256[:12]})"


def pinned_or_none(details: Mapping[str, Any] | None) -> Pinned | None:
    """`Pinned.read`, and None of null."""
    return None if details is None else Pinned.read(details)


class ReleaseEvent(Act):
    """One act or observation about a model."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One finding of a comparison, as it is on record.

    Attributes:
        name: `performance/auc[hull_class=DDG-51]`.
        outcome: see `findings.Outcome`.
        got: what was found.
        expected: what would have passed.
    """

    name: str
    outcome: str
    got: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The last comparison of a candidate.

    Attributes:
        at: UTC.
        event_id: of its event.
        by: who had it made.
        against: what was in production; None where nothing was.
        report_sha256: digest of the report.
        definition_sha256: of the definition whose gates were asked.
        holds: what the verdict was then.
        findings: all of them.
    """

    at: datetime
    event_id: str
    by: str
    against: Pinned | None
    report_sha256: str
    definition_sha256: str
    holds: bool
    findings: tuple[Compared, ...]

    @classmethod
    def read(cls, event: ReleaseEvent) -> Self:
        """From a `release_compared`."""
        details = event.details
        return cls(
            at=event.at,
            event_id=event.event_id,
            by=event.actor,
            against=pinned_or_none(details["against"]),
            report_sha256=str(details["report_sha256"]),
            definition_sha256=str(details["definition_sha256"]),
            holds=details["holds"] is True,
            findings=tuple(
                Compared(**{name: str(item[name]) for name in ("name", "outcome", "got", "expected")})
                for item in details["findings"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseApproval:
    """Somebody's yes to a candidate.

    Attributes:
        by: who.
        at: UTC.
        definition_sha256: of the definition under which it is to run.
        roles: that he had then.
    """

    by: str
    at: datetime
    definition_sha256: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One finding set aside by somebody who answers for it.

    Attributes:
        finding: its name.
        by: who.
        at: UTC.
        reason: why.
        until: last day on which it counts.
    """

    finding: str
    by: str
    at: datetime
    reason: str
    until: date

    def in_force(self, now: datetime) -> bool:
        """Whether it counts at a moment (UTC)."""
        return now.date() <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A version that was proposed.

    Attributes:
        pinned: version and digest.
        proposed_by: who; cannot approve or waive.
        proposed_at: UTC.
        why: what it is for.
        comparison: the last one; None before any.
        approvals: of different people, each once under one definition.
        waivers: also those that have ended.
    """

    pinned: Pinned
    proposed_by: str
    proposed_at: datetime
    why: str
    comparison: Comparison | None = None
    approvals: tuple[ReleaseApproval, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def waived(self, now: datetime) -> frozenset[str]:
        """Names of findings whose waiver is in force."""
        return frozenset(waiver.finding for waiver in self.waivers if waiver.in_force(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A transition that was begun and is neither completed nor undone.

    Attributes:
        kind: `promotion_started` or `rollback_started`.
        left: what is in production until it is completed; None before a first release.
        to: what will be.
        by: who began it.
        at: UTC.
        reason: why; may be empty.
    """

    kind: str
    left: Pinned | None
    to: Pinned
    by: str
    at: datetime
    reason: str

    @property
    def details(self) -> dict[str, Any]:
        """What its completion or undoing says."""
        left = None if self.left is None else self.left.as_dict()
        return {"from": left, "to": self.to.as_dict(), "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A candidate that live requests are tried on.

    Attributes:
        pinned: version and digest.
        mode: `shadow` scores beside production and is never returned; `canary` is returned to a share of subjects.
        share: of subjects that it scores, 0 to 1.
        by: who began it.
        at: UTC.
        details: all that its event says.
    """

    pinned: Pinned
    mode: Mode
    share: float
    by: str
    at: datetime
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """The last rehearsed rollback.

    Attributes:
        at: UTC.
        by: who had it made.
        passed: whether it went as it must.
        details: what was measured.
    """

    at: datetime
    by: str
    passed: bool
    details: Mapping[str, Any]
