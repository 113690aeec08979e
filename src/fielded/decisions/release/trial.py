"""A trial of a candidate beside production: who is answered by which, what is counted, and when it must end.

In `shadow` mode the candidate scores the same rows, unseen. In `canary` mode it answers for a share of subjects:

1. a subject's place in [0, 1) is the first 8 bytes of SHA-256(salt, NUL, subject) over 2^64; the candidate answers
   for it where that is below the share. Every worker, before and after every restart, comes to the same side, and
   a larger share keeps the subjects that it had;
2. each worker counts both sides over a window and tells the counts; they are added up;
3. a canary ends when a limit is broken beyond what chance explains: an interval of the difference between the
   sides lies past the limit (`intervals`; for means Welch, Biometrika 34, 1947, with the normal quantile), or so
   many refusals or late answers are too many by the binomial distribution. The counts are looked at again and
   again, so all is asked with 99.9 %;
4. a canary ends when what it is judged by is missing: a worker tells nothing, or has not loaded the candidate, or
   nobody has counted a row of the candidate, for longer than allowed (NIST SP 800-53 CM-3, SI-4: fail closed).

Rows of one subject that is asked for many times are counted each time; then the intervals are narrower than they
should be, and a canary ends sooner.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from scipy.special import bdtrc

from fielded.decisions.measuring.intervals import difference, normal_quantile, proportion
from fielded.decisions.release.tallies import NOTHING, Counts, Tally

_CONFIDENCE = 0.999


def place_of(salt: str, subject: str) -> float:
    """Where in [0, 1) a subject stands (rule 1)."""
    digest = hashlib.sha256(f"{salt}\0{subject}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What ends a canary.

    Attributes:
        window_seconds: counts are those of this long.
        minimum_rows: of each side, before rates are compared.
        refused: share of the candidate's rows that its model does not take, at most.
        milliseconds: that a group's callers wait for the candidate; past it production answers them.
        late: share of groups for which it took longer, at most.
        flag_rate: difference between the sides' shares of flagged rows, at most.
        review_rate: the same for rows that go to a person.
        log_odds: difference between the sides' mean log-odds, at most.
        silent_seconds: counts may be missing so long.
    """

    window_seconds: float = 300.0
    minimum_rows: int = 100
    refused: float = 0.01
    milliseconds: float = 100.0
    late: float = 0.05
    flag_rate: float = 0.10
    review_rate: float = 0.10
    log_odds: float = 0.5
    silent_seconds: float = 60.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Limits":
        """Limits of a mapping by name, as an event has them; what is not named is as it comes.

        Raises:
            ValueError: an unknown name, or a value that is no number above 0.
        """
        known = {item.name for item in fields(cls)}
        for name, value in values.items():
            if name not in known:
                expected = ", ".join(sorted(known))
                raise ValueError(f"limits.{name}: got an unknown limit, expected one of {expected}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"limits.{name}: got {value!r}, expected a number above 0")
        return cls(**values)

    def as_dict(self) -> dict[str, float]:
        """For an event."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Told:
    """The last report of one worker.

    Attributes:
        worker: its name, for a person.
        silent_seconds: since it was told.
        served_seconds: since the worker began to serve.
        counts: of a trial; None where it told of none.
    """

    worker: str
    silent_seconds: float
    served_seconds: float
    counts: Counts | None


def reason_to_end(trial: str, limits: Limits, age_seconds: float, told: Sequence[Told]) -> str | None:
    """Why a canary must end now, with what was got and what was expected; None while it may go on.

    Args:
        trial: its salt.
        limits: of the trial.
        age_seconds: since it was started.
        told: of every live worker.
    """
    missing = _missing(trial, limits, age_seconds, told)
    if missing is not None:
        return missing
    ours = [one.counts for one in told if one.counts is not None and one.counts.trial == trial]
    production = sum((counts.production for counts in ours), NOTHING)
    candidate = sum((counts.candidate for counts in ours), NOTHING)
    return _refusing(candidate, limits) or _late(candidate, limits) or _apart(production, candidate, limits)


def _missing(trial: str, limits: Limits, age_seconds: float, told: Sequence[Told]) -> str | None:
    """Rule 4."""
    allowed = limits.silent_seconds
    for one in told:
        if one.silent_seconds > allowed:
            got = f"no report for {one.silent_seconds:.0f} s"
            return f"metrics are missing: worker {one.worker}: got {got}, expected one every {allowed:g} s"
        running = one.counts is not None and one.counts.trial == trial and one.counts.running
        if not running and min(age_seconds, one.served_seconds) > allowed:
            return (
                f"metrics are missing: worker {one.worker}: got no count of the candidate, which it has not "
                f"loaded, expected one within {allowed:g} s of the start"
            )
    ours = [(one.silent_seconds, one.counts) for one in told if one.counts is not None]
    idle = [silent + counts.idle_seconds for silent, counts in ours if counts.trial == trial and counts.running]
    if age_seconds > allowed and (not idle or min(idle) > allowed):
        since = min([age_seconds, *idle])
        return (
            f"metrics are missing: candidate: got no row in any worker for {since:.0f} s, expected one in "
            f"{allowed:g} s. Give it a larger share, or allow it a longer `silent_seconds`"
        )
    return None


def _refusing(candidate: Tally, limits: Limits) -> str | None:
    tried = candidate.rows + candidate.refused
    if not _too_many(candidate.refused, tried, limits.refused):
        return None
    return (
        f"refused: got {candidate.refused} of {tried} rows that the candidate did not take, expected at most "
        f"{limits.refused:.2%}"
    )


def _late(candidate: Tally, limits: Limits) -> str | None:
    if not _too_many(candidate.late, candidate.calls, limits.late):
        return None
    return (
        f"late: got no answer of the candidate within {limits.milliseconds:g} ms for {candidate.late} of "
        f"{candidate.calls} groups of requests, expected at most {limits.late:.2%}"
    )


def _too_many(found: int, tried: int, share: float) -> bool:
    """Whether so many or more would hardly come by chance. Exact, for the first few count here."""
    return found > 0 and bool(bdtrc(found - 1, tried, min(share, 1.0)) <= 1 - _CONFIDENCE)


def _apart(production: Tally, candidate: Tally, limits: Limits) -> str | None:
    if min(production.rows, candidate.rows) < max(2, limits.minimum_rows):
        return None
    for name, limit, one, other in (
        ("flag_rate", limits.flag_rate, production.flagged, candidate.flagged),
        ("review_rate", limits.review_rate, production.review, candidate.review),
    ):
        rates = (proportion(other, candidate.rows, _CONFIDENCE), proportion(one, production.rows, _CONFIDENCE))
        apart = difference(*rates)
        if apart.low > limit or apart.high < -limit:
            return (
                f"{name}: got {other / candidate.rows:.1%} of {candidate.rows} rows against production's "
                f"{one / production.rows:.1%} of {production.rows}, expected them at most {limit:.1%} apart"
            )
    shift = candidate.mean - production.mean
    reach = normal_quantile(_CONFIDENCE) * math.sqrt(candidate.mean_variance + production.mean_variance)
    if abs(shift) - reach > limits.log_odds:
        return (
            f"log_odds: got a mean of {candidate.mean:+.2f} over {candidate.rows} rows against production's "
            f"{production.mean:+.2f} over {production.rows}, expected them at most {limits.log_odds:g} apart"
        )
    return None
