"""The gate without labels: how far a candidate's scores lie from production's, on the same recent rows.

Labels come months later; a bias on one class of vessels must not wait for them. So both models score the same
rows, and each slice is looked at by two statistics: the shift of its mean difference in log-odds against the rest
(overall: the mean itself), and the change of its flag rate. Each has a tolerance, as no retraining is exact.

1. FAILED: the interval lies beyond the tolerance. That is a test of H0: |shift| <= tolerance. Any one slice
   fails the candidate (a union), so the level is shared among all tests by Bonferroni: half of it among the listed
   slices, half among the searched, so that a search in thousands costs a listed slice nothing. Bonferroni and not
   Holm, though Holm refuses a little more: Holm has no simultaneous interval of the same form, and a finding
   must show the interval that decided it.
2. PASSED: not failed, and the interval lies within the REACH: 2 tolerances of the score, 2.5 of the flag rate. A
   candidate passes only if every listed slice does (an intersection), and such a claim needs no correction
   (R. L. Berger, Technometrics 24 (1982) 295-300, as in two one-sided tests of equivalence).
3. NOT ENOUGH EVIDENCE: neither. The rows are too few to tell a shift that is tolerated from one out of reach; an
   interval that covers both zero and what is out of reach is here. Also every listed slice below `minimum_rows`.
   Between the tolerance and the reach lies an indifference zone: without it, whether an honest candidate passes
   would be decided by the number of rows. A flag is one bit of a score, so from the same rows its change is known
   less well in units of its tolerance, and its zone is wider.
4. Searched slices can fail, and stop nobody by being small: nobody asked for them. Their tolerance is widened by
   what the candidate's own searched slices show (B. Efron, JASA 99 (2004) 96-104: an empirical null), because a
   retrained model differs from the old one by more in slices of two columns than in those that a person lists, and
   among thousands one always lies outside a fixed tolerance when rows are many. It is never widened past the
   reach: a candidate that differs everywhere does not excuse itself.
5. A searched slice inside another that fails is a finding only if it is beyond its tolerance after that one's
   shift is taken off. At most 10 are findings of their own; if more fail, the summary fails and names them.

What the gate cannot see: a bias below the tolerance; one that production has already; one in rows of which there
are none among the recent ones; and other rows of a slice scored high than before, where its mean and its flag rate
stay what they were (a class whose scores were dealt out anew passes). The last takes labels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from scipy import special

from fielded.decisions.measuring.slices import OVERALL, Slice, listed, row_set, searched
from fielded.decisions.release.findings import Finding, Outcome
from fielded.decisions.release.paired import FlagShift, MeanShift, Statistic, log_odds, mean_shift
from fielded.definition.release import ShiftGate
from fielded.words.errors import WrongUse

GATE = "shift"
SHOWN = 10  # searched slices that are findings of their own, for each statistic
NAMED = 40  # more of them that the summary names, so that who waives it knows what
REACH = {"score": 2.0, "flag_rate": 2.5}  # tolerances at which the indifference zone ends
BLOCK = 128  # slices measured together
FEWEST = 20  # searched slices from which a spread is estimated
NORMAL = 1.4826  # standard deviations in a median absolute deviation

_NAMES = ("score", "flag_rate")
_SAYS = {"score": "shift of mean log-odds", "flag_rate": "change of the flag rate"}


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model says about the rows.

    Attributes:
        scores: probabilities, float64.
        flags: which are flagged.
    """

    scores: np.ndarray
    flags: np.ndarray


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in each slice of a family.

    Attributes:
        slices: the slices.
        rows: rows of each.
        before: share that production flags.
        after: share that the candidate flags.
        statistics: by name, `score` and `flag_rate`.
    """

    slices: tuple[Slice, ...]
    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray
    statistics: dict[str, Statistic]

    def tail(self, gate: ShiftGate) -> float:
        """Probability on each side of an interval: half of the level, shared by two statistics, two sides."""
        return (1 - gate.confidence) / 2 / (4 * max(len(self.slices), 1))


def shift_findings(
    features: pa.Table, production: Scores, candidate: Scores, slices: Sequence[str], gate: ShiftGate
) -> list[Finding]:
    """Every listed slice by both statistics, the searched ones that fail, and a summary of the search.

    Args:
        features: the recent rows, one a subject.
        production: what the version in production says about them.
        candidate: what the candidate says.
        slices: columns that are listed.
        gate: tolerances and limits.

    Raises:
        WrongUse: the scores are not one probability and one flag for each row, or a column is not there.
    """
    for model, scores in (("production", production), ("candidate", candidate)):
        _check(model, scores, features.num_rows)
    every = np.ones(features.num_rows, dtype=bool)
    named = [(OVERALL, every), *listed(features, slices)]
    known = {row_set(rows) for _, rows in named}
    unknown = (
        (found, rows)
        for found, rows in searched(features, max(gate.minimum_rows, 2), gate.search_depth)
        if row_set(rows) not in known
    )
    least = gate.minimum_rows
    asked = measure(iter(named), production, candidate, least)
    found = measure(unknown, production, candidate, least)
    findings = []
    for name in _NAMES:
        of_listed = list(_listed_findings(asked, name, gate))
        failing = [each for each, one in zip(asked.slices, of_listed, strict=True) if one.outcome == "failed"]
        findings += [*of_listed, *_searched_findings(asked, failing, found, name, gate)]
    return findings


def measure(
    slices: Iterator[tuple[Slice, np.ndarray]], production: Scores, candidate: Scores, minimum_rows: int
) -> Measured:
    """Both statistics in each slice, in one pass over blocks of them.

    A slice that leaves fewer than `minimum_rows` rows as its rest is measured by itself, as all rows are.
    """
    difference = log_odds(candidate.scores) - log_odds(production.scores)
    centre = float(difference.mean()) if difference.size else 0.0
    centred = difference - centre  # so that sums of squares lose nothing
    gained, lost = candidate.flags & ~production.flags, production.flags & ~candidate.flags
    values = (np.ones_like(centred), centred, centred**2, gained, lost, production.flags, candidate.flags)
    columns = np.column_stack(values).astype(np.float64)
    names: list[Slice] = []
    sums = [np.empty((0, columns.shape[1]))]
    while block := list(islice(slices, BLOCK)):
        names += [name for name, _ in block]
        sums.append(np.array([rows for _, rows in block], dtype=np.float64) @ columns)
    inside = np.concatenate(sums).T
    rows = inside[0]
    outside = columns.sum(axis=0)[:3, None] - inside[:3]
    alone = outside[0] < max(minimum_rows, 2)
    outside[:, alone] = 0
    shift = mean_shift(inside[:3], outside)
    statistics: dict[str, Statistic] = {
        "score": MeanShift(shift.value + np.where(alone, centre, 0.0), shift.error, shift.degrees),
        "flag_rate": FlagShift(rows, inside[3], inside[4]),
    }
    share = np.maximum(rows, 1)
    return Measured(tuple(names), rows, inside[5] / share, inside[6] / share, statistics)


def widened(found: Measured, name: str, tolerance: float, tail: float) -> np.ndarray:
    """Tolerance of each searched slice, between `tolerance` and its reach.

    The spread of the true shifts among slices of as many columns is taken from its middle, where few biased
    slices do not reach: the median absolute shift, less what sampling adds to it. What lies within as many
    standard deviations of that as the level asks for is how this candidate differs from production everywhere.
    """
    statistic = found.statistics[name]
    width = np.array([len(each.terms) for each in found.slices])
    limits = np.full(len(width), tolerance)
    for each in np.unique(width):
        among = width == each
        if among.sum() >= FEWEST:
            seen = (NORMAL * np.median(np.abs(statistic.value[among]))) ** 2
            spread = np.sqrt(max(seen - np.median(statistic.error[among] ** 2), 0.0))
            limits[among] = np.clip(-special.ndtri(tail) * spread, tolerance, REACH[name] * tolerance)
    return limits


def _check(model: str, scores: Scores, rows: int) -> None:
    if scores.scores.shape != (rows,) or scores.flags.shape != (rows,) or scores.flags.dtype != np.bool_:
        raise WrongUse(
            f"scores of {model}: got shapes {scores.scores.shape} and {scores.flags.shape} of "
            f"{scores.flags.dtype}, expected one score and one bool for each of {rows} rows. "
            "Score the rows that the features are of"
        )
    if rows and not (scores.scores.min() >= 0 and scores.scores.max() <= 1):  # NaN fails both comparisons
        raise WrongUse(
            f"scores of {model}: got a value outside [0, 1] or not a number, expected probabilities. "
            "Log the model with pyfunc_predict_fn='predict_proba'"
        )


def _tolerance(name: str, gate: ShiftGate) -> float:
    return gate.score if name == "score" else gate.flag_rate


def _listed_findings(asked: Measured, name: str, gate: ShiftGate) -> Iterator[Finding]:
    """Rules 1 to 3."""
    tolerance, tail = _tolerance(name, gate), asked.tail(gate)
    statistic = asked.statistics[name]
    corrected, plain = statistic.interval(tail), statistic.interval(1 - gate.confidence)
    for place, rows in enumerate(asked.rows):
        if rows < gate.minimum_rows:
            yield _too_few(asked, place, name, gate)
            continue
        failed = corrected[0][place] > tolerance or corrected[1][place] < -tolerance
        within = max(-plain[0][place], plain[1][place]) <= REACH[name] * tolerance
        outcome: Outcome = "failed" if failed else "passed" if within else "not enough evidence"
        shown = (corrected, 1 - 2 * tail) if failed else (plain, 2 * gate.confidence - 1)
        yield _finding(_Seen(asked, place, name, *shown), outcome, tolerance)


def _too_few(asked: Measured, place: int, name: str, gate: ShiftGate) -> Finding:
    rows, what = int(asked.rows[place]), asked.slices[place]
    return Finding(
        gate=GATE,
        item=f"{name}[{what}]",
        outcome="not enough evidence",
        got=f"{rows} rows",
        expected=f"at least {gate.minimum_rows} recent rows",
        step=f"Compare on more recent rows (`recent_rows`), or have a waiver signed for {what}",
        numbers={"rows": float(rows)},
        severity=1 - rows / gate.minimum_rows,
    )


def _searched_findings(
    asked: Measured, failing: Sequence[Slice], found: Measured, name: str, gate: ShiftGate
) -> Iterator[Finding]:
    """Rules 4 and 5, shortest description first, so that a slice meets those that it lies in."""
    tail, tolerance = found.tail(gate), _tolerance(name, gate)
    statistic, limits = found.statistics[name], widened(found, name, tolerance, tail)
    low, high = statistic.interval(tail)
    outer = {each: asked.statistics[name].value[asked.slices.index(each)] for each in failing}
    beyond = (low > limits) | (high < -limits)
    unclear = ~beyond & (np.maximum(-low, high) > REACH[name] * tolerance)
    own: list[int] = []
    for place in np.flatnonzero(beyond).tolist():
        inside = [shift for each, shift in outer.items() if each.terms and found.slices[place].within(each)]
        if all(low[place] - shift > limits[place] or high[place] - shift < -limits[place] for shift in inside):
            own.append(place)
            outer[found.slices[place]] = statistic.value[place]
    own.sort(key=lambda place: -abs(statistic.value[place]) / limits[place])
    for place in own[:SHOWN]:
        seen = _Seen(found, place, name, (low, high), 1 - 2 * tail)
        yield _finding(seen, "failed", float(limits[place]))
    hidden = tuple(f"{found.slices[place]} {statistic.value[place]:+.3f}" for place in own[SHOWN:])
    yield _summary(found, name, limits, _Counts(int(beyond.sum()), len(own), int(unclear.sum()), hidden))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One slice's statistic as a finding shows it: with the interval that decided."""

    measured: Measured
    place: int
    name: str
    interval: tuple[np.ndarray, np.ndarray]
    level: float


def _finding(seen: _Seen, outcome: Outcome, tolerance: float) -> Finding:
    measured, place, name = seen.measured, seen.place, seen.name
    what, rows = measured.slices[place], int(measured.rows[place])
    value = float(measured.statistics[name].value[place])
    low, high = (float(limit[place]) for limit in seen.interval)
    before, after = float(measured.before[place]), float(measured.after[place])
    steps = {
        "failed": f"Bring labels for {what}, or have the shift explained in a signed waiver",
        "not enough evidence": f"Compare on more recent rows of {what}, or bring labels for it",
    }
    reach = tolerance * (1 if outcome == "failed" else REACH[name])
    return Finding(
        gate=GATE,
        item=f"{name}[{what}]",
        outcome=outcome,
        got=f"{_SAYS[name]} {value:+.3f}, {_percent(seen.level)} interval [{low:+.3f}, {high:+.3f}], {rows} rows, "
        f"flag rate {before:.3f} -> {after:.3f}",
        expected=f"an interval {'not beyond' if outcome == 'failed' else 'within'} {reach:.3g} either way",
        step=steps.get(outcome, ""),
        numbers={
            "rows": float(rows),
            "shift": _finite(value),
            "low": _finite(low),
            "high": _finite(high),
            "level": seen.level,
            "tolerance": tolerance,
            "production_flag_rate": before,
            "candidate_flag_rate": after,
        },
        severity=abs(value) / tolerance if tolerance else float("inf") if value else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    beyond: int
    own: int
    unclear: int
    hidden: tuple[str, ...]


def _summary(found: Measured, name: str, limits: np.ndarray, counts: _Counts) -> Finding:
    """What the search was, and the failures that are not shown one by one."""
    searched_rows = len(found.slices)
    hidden = len(counts.hidden)
    named = ", ".join(counts.hidden[:NAMED]) + (", ..." if hidden > NAMED else "")
    rest = f". Not shown: {named}" if hidden else ""
    largest = float(limits.max()) if limits.size else None
    return Finding(
        gate=GATE,
        item=f"{name}[searched]",
        outcome="failed" if hidden else "passed",
        got=f"{searched_rows} slices searched: {counts.own} beyond the tolerance, {hidden} of them not shown; "
        f"{counts.beyond - counts.own} more only as parts of one; {counts.unclear} too small to tell{rest}",
        expected="none beyond the tolerance that is not shown",
        step="Mend the slices shown, or have all explained in a signed waiver" if hidden else "",
        numbers={
            "searched": float(searched_rows),
            "beyond": float(counts.beyond),
            "own": float(counts.own),
            "unclear": float(counts.unclear),
            "largest_tolerance": largest,
        },
        severity=float(hidden),
    )


def _finite(value: float) -> float | None:
    """None for what one row cannot say."""
    return value if np.isfinite(value) else None


def _percent(level: float) -> str:
    """A level with as many nines as it has: 90%, 99.95%."""
    return f"{100 * level:.7g}%"
