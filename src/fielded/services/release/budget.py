"""What a candidate costs: time for a row, and memory to load it, against the definition's budget (SC-5).

Whatever else runs on the machine can only add to the time that a call takes. So a candidate over its budget is
measured again, and the least of at most `_ROUNDS` rounds counts; the finding says how many there were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fielded.decisions.release.findings import Finding
from fielded.decisions.scoring import Scorer
from fielded.definition.deployment import ModelRef
from fielded.definition.release import BudgetGate
from fielded.words.errors import Unreachable
from fielded.world.loading_memory import loading_memory
from fielded.world.models import one_native_thread

Seconds = Callable[[], float]  # a monotonic clock

_GATE = "budget"
_CALLS = 200
_ROUNDS = 3
_WARM = 5  # calls before those that count: the first of a model may import something
_TOGETHER = 64  # rows
_PERCENTILE = 95
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Latency:
    """How long scoring takes, in milliseconds.

    Attributes:
        alone: median of calls with one row.
        alone_95: 95th percentile of them.
        together: median of calls with 64 rows, for each row.
    """

    alone: float
    alone_95: float
    together: float


def latency(scorer: Scorer, rows: pa.RecordBatch, seconds: Seconds) -> Latency:
    """Score rows one by one and 64 together, 200 times each.

    Args:
        scorer: what scores.
        rows: at least one; taken again from the start where there are too few.
        seconds: monotonic.
    """
    places = np.arange(max(_CALLS, _TOGETHER)) % rows.num_rows
    singles = [rows.slice(int(place), 1) for place in places[:_CALLS]]
    group = rows.take(pa.array(places[:_TOGETHER]))
    with one_native_thread():
        alone = _times(scorer, singles, seconds)
        together = _times(scorer, [group] * _CALLS, seconds)
    return Latency(
        float(np.median(alone)), float(np.percentile(alone, _PERCENTILE)), float(np.median(together)) / _TOGETHER
    )


def _times(scorer: Scorer, batches: list[pa.RecordBatch], seconds: Seconds) -> np.ndarray:
    """Milliseconds of each call."""
    for batch in batches[:_WARM]:
        scorer.score(batch)
    times = np.empty(len(batches))
    for place, batch in enumerate(batches):
        start = seconds()
        scorer.score(batch)
        times[place] = seconds() - start
    return times * _MILLISECONDS


def budget_findings(
    gate: BudgetGate, scorer: Scorer, rows: pa.RecordBatch, seconds: Seconds, memory: float | None
) -> list[Finding]:
    """Time for a row alone, and memory.

    Args:
        gate: chosen by the definition.
        scorer: of the candidate.
        rows: real ones, or its input example.
        seconds: monotonic.
        memory: see `measured_memory`.
    """
    return [_latency(gate, scorer, rows, seconds), _memory(gate, memory)]


def measured_memory(folder: Path, ref: ModelRef) -> float | None:
    """`world.loading_memory.loading_memory`, and None too where it could not be measured."""
    try:
        return loading_memory(folder, ref)
    except Unreachable:
        return None


def _latency(gate: BudgetGate, scorer: Scorer, rows: pa.RecordBatch, seconds: Seconds) -> Finding:
    item, expected = (
        "row_milliseconds",
        f"at most {gate.row_milliseconds:g} ms for a row alone, at the 95th percentile",
    )
    if not rows.num_rows:
        step = "Log the model with an input example, or score a day"
        return Finding(
            gate=_GATE, item=item, outcome="not enough evidence", got="no rows", expected=expected, step=step
        )
    rounds = [latency(scorer, rows, seconds)]
    while rounds[-1].alone_95 > gate.row_milliseconds and len(rounds) < _ROUNDS:
        rounds.append(latency(scorer, rows, seconds))
    took = min(rounds, key=lambda one: one.alone_95)
    good = took.alone_95 <= gate.row_milliseconds
    alone = f"{took.alone_95:.3g} ms alone (median {took.alone:.3g})"
    tried = f", the least of {len(rounds)} rounds" if len(rounds) > 1 else ""
    return Finding(
        gate=_GATE,
        item=item,
        outcome="passed" if good else "failed",
        got=f"{alone}, {took.together:.3g} a row among {_TOGETHER}{tried}",
        expected=expected,
        step="" if good else "Make the model smaller, measure on a machine that is not busy, or raise the budget",
        numbers={"alone": took.alone, "alone_95": took.alone_95, "together": took.together, "rounds": len(rounds)},
        severity=took.alone_95 / gate.row_milliseconds,
    )


def _memory(gate: BudgetGate, memory: float | None) -> Finding:
    item, expected = "memory_mib", f"at most {gate.memory_mib:g} MiB more while it is loaded"
    if memory is None:
        return Finding(
            gate=_GATE, item=item, outcome="not enough evidence", got="could not be measured", expected=expected,
            step="Compare on Linux, where a process can read its own peak of memory",
        )  # fmt: skip
    good = memory <= gate.memory_mib
    return Finding(
        gate=_GATE,
        item=item,
        outcome="passed" if good else "failed",
        got=f"{memory:.1f} MiB",
        expected=expected,
        step="" if good else "Make the model smaller, or raise the budget",
        numbers={"mib": memory},
        severity=memory / gate.memory_mib,
    )
