"""The twelve items of readiness, and what makes each passed, failed or waived.

1. An item is of one evidence. It is passed where that is satisfied or attested, its time is not over, and it is
   about this deployment, definition and model. Anything else, and what was never collected, is failed.
2. A failed item is waived where somebody who answers for it said so: by name, with a reason, until a day that is
   not over and at most `LONGEST` days after it was said. The evidence stays what it was, and is shown.
3. A waiver sets aside what its signer was shown: the checks that were in the way then, about the same model, each
   no worse than then ("not checked" is not yet "failed"). What is in the way since has to be signed again.
4. Nobody waives his own: neither who proposed the version in production nor the person of the definition that the
   item asks something of (AC-5). The last waiver of an item is the one that counts.
5. Readiness holds where all that was looked at is passed or waived, and something was looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.words.errors import WrongUse

CHECKED = "readiness_checked"  # kinds of events, about `model NAME`
WAIVED = "readiness_waived"
LONGEST = timedelta(days=90)  # that a waiver may last

State = Literal["passed", "failed", "waived"]
Role = Literal["model_owner", "monitoring_owner", "rai_approver", "isso"]

_COLLECTED, _CURRENT = "collected", "current"  # what is asked of evidence as a whole
_RANK = {"not checked": 0, "failed": 1}


@dataclass(frozen=True, slots=True)
class Item:
    """One of the twelve.

    Attributes:
        number: from 1.
        key: id of its evidence.
        title: what holds where it is passed.
        controls: of SP 800-53 that it touches.
        asked_of: whom of the definition's `people` it asks something.
        rests_on: ids of evidence that its own is written from, and that are collected before it.
    """

    number: int
    key: str
    title: str
    controls: tuple[str, ...]
    asked_of: Role
    rests_on: tuple[str, ...] = ()


_COMPUTED = (
    "evaluation", "training-data", "credentials", "audit-probe", "threshold", "review-path", "monitoring-owner",
    "retraining-trigger", "rollback", "release-reviews",
)  # fmt: skip

ITEMS: tuple[Item, ...] = (
    Item(1, "kickoff", "The authorization was started at kickoff", ("pl-2", "ca-6"), "isso"),
    Item(2, "model-card", "The model card is complete in all nine sections", ("pl-2", "sa-5"), "model_owner",
         _COMPUTED),
    Item(3, "rai-assessment", "The RAI assessment is done, or in progress with its approver", ("ra-3", "pl-2"),
         "rai_approver", _COMPUTED),
    Item(4, "training-data", "What the model learned from is known", ("sr-4", "si-7"), "model_owner"),
    Item(5, "credentials", "Credentials lie in a secrets manager only", ("ia-5", "sc-12", "sc-28"), "isso"),
    Item(6, "audit-probe", "Audit logging works, seen by a live probe",
         ("au-2", "au-3", "au-9", "au-10", "au-11", "au-12"), "isso"),
    Item(7, "threshold", "The threshold has its rationale and its cost curve", ("ra-3", "sa-8"), "model_owner"),
    Item(8, "review-path", "The human path is defined and used", ("ac-6", "ir-4"), "monitoring_owner"),
    Item(9, "monitoring-owner", "The monitoring owner is a person who has acknowledged", ("ca-7", "pm-2"),
         "monitoring_owner"),
    Item(10, "retraining-trigger", "Retraining has a trigger: a metric with a number, simulated and armed",
         ("ca-7", "si-4"), "monitoring_owner"),
    Item(11, "rollback", "Rollback is written down and drilled, and the previous version loads now",
         ("cp-10", "ir-4", "cm-3"), "model_owner"),
    Item(12, "release-reviews", "Reviews after promotion are scheduled with owners, none overdue",
         ("ca-7", "au-6"), "monitoring_owner"),
)  # fmt: skip


def items_of(numbers: Sequence[int]) -> tuple[Item, ...]:
    """The items that somebody asks for, in their order; all where nobody names one.

    Raises:
        WrongUse: there is no such item.
    """
    wrong = sorted({number for number in numbers if not 1 <= number <= len(ITEMS)})
    if wrong:
        raise WrongUse(f"--item: got {wrong[0]}, expected a number from 1 to {len(ITEMS)}")
    return tuple(item for item in ITEMS if not numbers or item.number in numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """Somebody answers for an item that failed.

    Attributes:
        item: its number.
        by: authenticated identity.
        at: UTC.
        until: last day on which it counts (UTC).
        reason: why.
        in_the_way: name of each check that was in the way -> its outcome, as the signer was shown.
        model: digest of the model's files in production; empty where none was.
    """

    item: int
    by: str
    at: datetime
    until: date
    reason: str
    in_the_way: Mapping[str, str]
    model: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values; the event's details, which has who and when beside them."""
        return {
            "item": self.item,
            "until": self.until.isoformat(),
            "reason": self.reason,
            "in_the_way": dict(self.in_the_way),
            "model": self.model,
        }

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "Waiver":
        """From a row of the events table.

        Raises:
            KeyError, TypeError, ValueError: fielded did not write it.
        """
        details = event["details"]
        return cls(
            item=int(details["item"]),
            by=str(event["actor"]),
            at=event["occurred_at"],
            until=date.fromisoformat(details["until"]),
            reason=str(details["reason"]),
            in_the_way={str(name): str(outcome) for name, outcome in details["in_the_way"].items()},
            model=str(details["model"]),
        )

    def covers(self, in_the_way: Mapping[str, str], model: str, now: datetime) -> bool:
        """Rules 2 and 3."""
        today = now.date()
        if not self.at.date() <= today <= min(self.until, self.at.date() + LONGEST) or model != self.model:
            return False
        return all(
            name in self.in_the_way and _RANK[outcome] <= _RANK.get(self.in_the_way[name], -1)
            for name, outcome in in_the_way.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """Where one item stands.

    Attributes:
        item: which.
        state: by the rules.
        evidence: as it counts for this scope; None where none was collected.
        in_the_way: name of each check that is in the way -> its outcome.
        waiver: that sets it aside; None where none does.
        step: what to do next; empty where it passed.
    """

    item: Item
    state: State
    evidence: Evidence | None = None
    in_the_way: Mapping[str, str] = field(default_factory=dict)
    waiver: Waiver | None = None
    step: str = ""

    @property
    def holds(self) -> bool:
        """Whether it stands in nobody's way."""
        return self.state != "failed"

    def as_dict(self) -> dict[str, Any]:
        """JSON values, with all of the evidence."""
        evidence = self.evidence
        told = None if evidence is None else {**evidence.as_dict(), "sha256": evidence.sha256}
        return {**self.brief(), "controls": list(self.item.controls), "evidence": told}

    def brief(self) -> dict[str, Any]:
        """JSON values for the event: the evidence by its digest alone."""
        evidence, waiver = self.evidence, self.waiver
        until = None if evidence is None else evidence.valid_until
        return {
            "number": self.item.number,
            "key": self.item.key,
            "title": self.item.title,
            "state": self.state,
            "outcome": "not collected" if evidence is None else evidence.outcome,
            "evidence_sha256": "" if evidence is None else evidence.sha256,
            "collected_at": None if evidence is None else evidence.at.isoformat(),
            "valid_until": None if until is None else until.isoformat(),
            "in_the_way": dict(self.in_the_way),
            "waiver": None
            if waiver is None
            else {"by": waiver.by, "at": waiver.at.isoformat(), **waiver.as_dict()},
            "step": self.step,
        }


def judge(
    items: Sequence[Item],
    evidence: Mapping[str, Evidence],
    waivers: Sequence[Waiver],
    model: str,
    now: datetime,
) -> tuple[ItemResult, ...]:
    """Where items stand, by the rules.

    Args:
        items: that are asked for.
        evidence: the last of each id, as it counts for this scope.
        waivers: of people who may waive, oldest first.
        model: digest of the files in production; empty where nothing is.
        now: UTC.
    """
    last = {waiver.item: waiver for waiver in waivers}
    return tuple(_judged(item, evidence.get(item.key), last.get(item.number), model, now) for item in items)


def all_hold(results: Sequence[ItemResult]) -> bool:
    """Rule 5."""
    return bool(results) and all(one.holds for one in results)


def what_is_in_the_way(evidence: Evidence | None, now: datetime) -> dict[str, str]:
    """Name of each check that is in an item's way -> its outcome; nothing where the item is passed."""
    if evidence is None:
        return {_COLLECTED: "not checked"}
    found = {_COLLECTED: "not checked"} if not evidence.checks else {}
    for check in evidence.checks:
        if check.outcome != "held":
            found[check.name] = _worse(found.get(check.name, check.outcome), check.outcome)
    if not evidence.current(now):
        found[_CURRENT] = "not checked"
    return found


def _worse(one: str, other: str) -> str:
    return max(one, other, key=lambda outcome: _RANK[outcome])


def _judged(item: Item, evidence: Evidence | None, waiver: Waiver | None, model: str, now: datetime) -> ItemResult:
    in_the_way = what_is_in_the_way(evidence, now)
    if not in_the_way:
        return ItemResult(item=item, state="passed", evidence=evidence)
    waived = waiver is not None and waiver.covers(in_the_way, model, now)
    return ItemResult(
        item=item,
        state="waived" if waived else "failed",
        evidence=evidence,
        in_the_way=in_the_way,
        waiver=waiver if waived else None,
        step=_step(item, evidence, now),
    )


def _step(item: Item, evidence: Evidence | None, now: datetime) -> str:
    """What to do first: of what failed, then of what could not be checked, then collect anew."""
    again = f"Run `fielded ready --item {item.number}`"
    if evidence is None or not evidence.current(now):
        return again
    lacking: list[Check] = [check for check in evidence.checks if check.outcome != "held" and check.step]
    first = sorted(lacking, key=lambda check: check.outcome != "failed")
    return first[0].step if first else again
