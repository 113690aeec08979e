"""How the review goes: agreement, overriding, and whether reviewers follow the model against their own judgement.

1. Shares have Wilson intervals (`measuring.intervals`, rule 1).
2. Agreement of first and second persons is Cohen's kappa. Its interval is that of Fleiss, Cohen and Everitt (1969,
   Psychological Bulletin 72:323-327, large-sample variance), widened to what the Wilson interval of the observed
   agreement gives at the same expected agreement: of twenty pairs that all agree, the first alone would have no
   width. Where both persons call everything alike kappa has no value.
3. Automation bias: of the cases in which the first judgement was right and the model wrong, by the outcome that
   came true, the share decided as the model had it. Beside it the reverse: of those in which the first judgement
   was wrong and the model right, the share that the model put right. Cases without a first judgement, or whose
   outcome is not known, say nothing here.
4. Reviewed cases are a biased sample. Rates for all scores weigh each drawn score by the inverse of its propensity
   (Horvitz and Thompson 1952, JASA 47:663-685): strata of one propensity, each standing for drawn / propensity
   scores; within a stratum the decided ones stand for those that nobody decided. The interval joins the strata's
   Wilson intervals (MOVER: Zou and Donner 2008, Statistics in Medicine 27:1693-1702), with as many rows as there
   are different subjects: a subject that is scored every day is no thirty independent ones.
5. "Wrong" in rule 4 is what people decided, not what came true.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from fielded.decisions.measuring.intervals import Estimate, normal_quantile, proportion
from fielded.decisions.measuring.slices import listed
from fielded.decisions.review.state import CaseState, Decision
from fielded.words.errors import WrongUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A case that somebody decided, as statistics see it.

    Attributes:
        subject: what it is about.
        flag: what the model made of it.
        first: flag of the first judgement of who decided first; None where none was asked for.
        decided: flag of the first decision.
        second: flag of the second person; None where there was none.
        standing: flag of the decision that stands; None where it is contested.
        at: when it was first decided, UTC.
        due_at: when it was due then, UTC.
        slices: feature -> value.
    """

    subject: str
    flag: bool
    first: bool | None
    decided: bool
    second: bool | None
    standing: bool | None
    at: datetime
    due_at: datetime
    slices: Mapping[str, object]

    @classmethod
    def read(cls, state: CaseState) -> "Reviewed":
        """From the state of a case with a decision.

        Raises:
            KeyError, TypeError, ValueError: its events do not say what it is about.
        """
        one = state.decisions[0]
        details, own = one.event.details, state.judgements.get(one.by)
        return cls(
            subject=str(details["subject"]),
            flag=details["flag"] is True,
            first=None if own is None or own.at > one.at else own.flag,
            decided=_flag(one),
            second=None if state.second is None else state.second.flag,
            standing=None if state.standing is None else _flag(state.standing),
            at=one.at,
            due_at=datetime.fromisoformat(details["due_at"]),
            slices=dict(details["slices"]),
        )


def _flag(decision: Decision) -> bool:
    return decision.final == "flagged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far first and second persons agree: rule 2.

    Attributes:
        kappa: Cohen's.
        observed: share of pairs that agree.
    """

    kappa: Estimate
    observed: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationBias:
    """What the model does to first judgements: rule 3.

    Attributes:
        given_up: of right first judgements against a wrong model, those given up for the model's.
        put_right: of wrong first judgements against a right model, those given up for the model's.
        known: cases with a first judgement and a known outcome.
    """

    given_up: Estimate
    put_right: Estimate
    known: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Scores of one stratum: all that were drawn with one propensity.

    Attributes:
        propensity: how probable it was for each to be drawn.
        flags: bool, what the model made of each.
        decided: bool, whether a decision stands about it.
        finals: bool, the decision's flag; whatever where there is none.
        subjects: whole numbers that tell subjects apart.
    """

    propensity: float
    flags: np.ndarray
    decided: np.ndarray
    finals: np.ndarray
    subjects: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRates:
    """Rates for all scores, from those that people decided: rules 4 and 5.

    Attributes:
        wrong: share of all scores whose flag people would not keep.
        wrong_flags: share of flagged ones.
        missed: share of those not flagged.
        decided: scores with a decision.
        drawn: scores that people were to decide.
        stand_for: scores, about.
    """

    wrong: Estimate
    wrong_flags: Estimate
    missed: Estimate
    decided: int
    drawn: int
    stand_for: float


def override_rates(reviewed: Sequence[Reviewed], slices: Sequence[str], confidence: float) -> dict[str, Estimate]:
    """Share of first decisions that override the model, `overall` and by slice."""
    overrides = np.array([one.decided is not one.flag for one in reviewed], dtype=bool)
    rates = {"overall": proportion(int(overrides.sum()), len(reviewed), confidence)}
    for name in slices:
        known = [one for one in reviewed if name in one.slices]
        if not known:
            continue
        column = pa.table({name: pa.array([one.slices[name] for one in known])})
        own = np.array([one.decided is not one.flag for one in known], dtype=bool)
        try:
            parts = list(listed(column, [name]))
        except WrongUse:
            continue  # too many values: no group that anybody could say something about
        rates |= {str(part): proportion(int(own[rows].sum()), int(rows.sum()), confidence) for part, rows in parts}
    return rates


def agreement(reviewed: Sequence[Reviewed], confidence: float) -> Agreement:
    """Of first decisions with second judgements: rule 2."""
    pairs = [(one.decided, one.second) for one in reviewed if one.second is not None]
    first = np.array([pair[0] for pair in pairs], dtype=bool)
    second = np.array([pair[1] for pair in pairs], dtype=bool)
    alike = int((first == second).sum())
    return Agreement(
        kappa=cohens_kappa(first, second, confidence), observed=proportion(alike, len(pairs), confidence)
    )


def cohens_kappa(first: np.ndarray, second: np.ndarray, confidence: float) -> Estimate:
    """Agreement of two people beyond chance: rule 2.

    Args:
        first: bool, one per case.
        second: bool, in the same order.
        confidence: of the interval.
    """
    rows = len(first)
    if rows == 0:
        return Estimate(None, -1.0, 1.0, 0)
    cells = np.array(
        [[(~first & ~second).sum(), (~first & second).sum()], [(first & ~second).sum(), (first & second).sum()]]
    )
    shares = cells / rows
    own, others = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(own @ others)
    if expected == 1.0:
        return Estimate(None, -1.0, 1.0, rows)
    kappa = (observed - expected) / (1 - expected)
    # Fleiss, Cohen and Everitt (1969), equation 13.
    on = sum(shares[i, i] * (1 - (own[i] + others[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    off = (1 - kappa) ** 2 * sum(shares[i, 1 - i] * (others[i] + own[1 - i]) ** 2 for i in (0, 1))
    variance = on + off - (kappa - expected * (1 - kappa)) ** 2
    half = normal_quantile(confidence) * math.sqrt(max(variance, 0.0) / rows) / (1 - expected)
    wilson = proportion(round(observed * rows), rows, confidence)
    ends = [(end - expected) / (1 - expected) for end in (wilson.low, wilson.high)]
    return Estimate(kappa, max(-1.0, min(kappa - half, ends[0])), min(1.0, max(kappa + half, ends[1])), rows)


def automation_bias(
    reviewed: Sequence[Reviewed], outcomes: Mapping[str, bool], confidence: float
) -> AutomationBias:
    """What the model does to first judgements: rule 3.

    Args:
        reviewed: decided cases.
        outcomes: subject -> what came true.
        confidence: of the intervals.
    """
    known = [
        (one.first, one.flag, one.decided, outcomes[one.subject])
        for one in reviewed
        if one.first is not None and one.subject in outcomes
    ]
    right = [decided is flag for first, flag, decided, came in known if first is came and flag is not came]
    wrong = [decided is flag for first, flag, decided, came in known if first is not came and flag is came]
    return AutomationBias(
        given_up=proportion(sum(right), len(right), confidence),
        put_right=proportion(sum(wrong), len(wrong), confidence),
        known=len(known),
    )


def error_rates(strata: Sequence[Drawn], confidence: float) -> ErrorRates:
    """Rates for all scores: rules 4 and 5."""
    return ErrorRates(
        wrong=_weighted(strata, [np.ones(len(one.flags), dtype=bool) for one in strata], confidence),
        wrong_flags=_weighted(strata, [one.flags for one in strata], confidence),
        missed=_weighted(strata, [~one.flags for one in strata], confidence),
        decided=sum(int(one.decided.sum()) for one in strata),
        drawn=sum(len(one.flags) for one in strata),
        stand_for=sum(len(one.flags) / one.propensity for one in strata),
    )


def _weighted(strata: Sequence[Drawn], of: Sequence[np.ndarray], confidence: float) -> Estimate:
    """Share of wrong flags among some of the scores."""
    parts = [_stratum(one, rows, confidence) for one, rows in zip(strata, of, strict=True) if rows.any()]
    whole = sum(weight for weight, _ in parts)
    rows = sum(share.rows for _, share in parts)
    if not whole:
        return Estimate(None, 0.0, 1.0, 0)
    if any(share.value is None for _, share in parts):  # of some nobody knows anything
        low = sum(weight * share.low for weight, share in parts) / whole
        return Estimate(None, low, sum(weight * share.high for weight, share in parts) / whole, rows)
    value = sum(weight * (share.value or 0.0) for weight, share in parts) / whole
    below = math.sqrt(sum((weight * ((share.value or 0.0) - share.low)) ** 2 for weight, share in parts)) / whole
    above = math.sqrt(sum((weight * (share.high - (share.value or 0.0))) ** 2 for weight, share in parts)) / whole
    return Estimate(value, max(0.0, value - below), min(1.0, value + above), rows)


def _stratum(one: Drawn, rows: np.ndarray, confidence: float) -> tuple[float, Estimate]:
    """How many scores a stratum stands for, and the share of wrong ones among its decided ones."""
    decided = rows & one.decided
    count = int(decided.sum())
    weight = int(rows.sum()) / one.propensity
    if not count:
        return weight, Estimate(None, 0.0, 1.0, 0)
    share = float((one.finals[decided] != one.flags[decided]).mean())
    subjects = len(np.unique(one.subjects[decided]))
    found = proportion(share * subjects, subjects, confidence)
    return weight, Estimate(share, found.low, found.high, subjects)
