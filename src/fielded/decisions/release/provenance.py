"""What a model was trained on: what must be known of it, and what of that is on record (SR-4, MAP 4.1).

1. an input data set is on record with its name and source;
2. each source table is named with the version that was read;
3. the number of rows and the digest of their content are known: a digest of the rows themselves, whatever their
   order, for MLflow's own digest of a data set does not see a change past its first rows;
4. the period is known: the first day of the rows, and the last on which one of their subjects may be scored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

from fielded.decisions.release.findings import Finding, Outcome

PREFIX = "fielded.training."
TABLES, ROWS, CONTENT, FIRST, LAST = (
    f"{PREFIX}{name}" for name in ("tables", "rows", "content_sha256", "from", "to")
)

_TABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)@(\d{1,18})", re.ASCII)
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STEP = "Log it where the model is trained: fielded.world.provenance.log_training_data (docs/comparison.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a version was trained on.

    Attributes:
        tables: source table -> Delta version that was read; not empty.
        rows: that it learned from; more than 0.
        content_sha256: `decisions.chain.unordered_digest` of these rows, hexadecimal.
        first: first day that they are from.
        last: last day on which one of their subjects may be scored: what became of a subject scored until then may
            be what the version learned.
    """

    tables: Mapping[str, int]
    rows: int
    content_sha256: str
    first: date
    last: date

    def texts(self) -> dict[str, str]:
        """As a run's parameters."""
        return {
            TABLES: ", ".join(f"{name}@{version}" for name, version in self.tables.items()),
            ROWS: str(self.rows),
            CONTENT: self.content_sha256,
            FIRST: self.first.isoformat(),
            LAST: self.last.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the registry has of it, unread.

    Attributes:
        datasets: name and source of each input data set of the run.
        texts: the run's parameters that begin with `fielded.training.`.
        lacking: why nothing could be read, where that is so.
    """

    datasets: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, str] | None = None
    lacking: str = ""

    @property
    def tables(self) -> frozenset[str]:
        """Names of the source tables, as far as they can be read."""
        return frozenset(name for name, _ in self.versions)

    @property
    def versions(self) -> tuple[tuple[str, int], ...]:
        """Each source table with the Delta version that was read, as far as they can be read."""
        parts = (self.texts or {}).get(TABLES, "").split(",")
        found = [_TABLE.fullmatch(part.strip()) for part in parts]
        return tuple((one[1], int(one[2])) for one in found if one)

    @property
    def last_day(self) -> date | None:
        """Last day of the training period, where it is known."""
        try:
            return date.fromisoformat((self.texts or {}).get(LAST, ""))
        except ValueError:
            return None


def provenance_findings(recorded: Recorded) -> list[Finding]:
    """One finding for each thing that must be known of the training data."""
    texts = recorded.texts or {}
    found = partial(_finding, texts, recorded.lacking)
    return [
        _dataset(recorded),
        found("tables", TABLES, "each source table with its version, as TABLE@VERSION", _tables),
        found("rows", ROWS, "how many rows it learned from", _rows),
        found("content_sha256", CONTENT, "SHA-256 of the rows that it learned from", _SHA256.fullmatch),
        _period(texts, recorded.lacking),
    ]


def _dataset(recorded: Recorded) -> Finding:
    known = [name for name, source in recorded.datasets if name and source]
    got = ", ".join(known) or recorded.lacking or "no input data set"
    return _of("dataset", got, "an input data set of the run, with its name and source", bool(known), bool(known))


def _finding(texts: Mapping[str, str], lacking: str, item: str, key: str, expected: str,
             valid: Callable[[str], object]) -> Finding:  # fmt: skip
    text = texts.get(key)
    return _of(
        item, text or lacking or f"no `{key}`", expected, bool(text), bool(text) and bool(valid(text or ""))
    )


def _period(texts: Mapping[str, str], lacking: str) -> Finding:
    first, last = texts.get(FIRST), texts.get(LAST)
    got = f"{first} to {last}" if first and last else lacking or f"no `{FIRST}` and `{LAST}`"
    return _of(
        "period",
        got,
        "the first day of the rows, and the last on which one of their subjects is scored",
        bool(first and last),
        _in_order(first, last),
    )


def _in_order(first: str | None, last: str | None) -> bool:
    try:
        return date.fromisoformat(first or "") <= date.fromisoformat(last or "")
    except ValueError:
        return False


def _of(item: str, got: str, expected: str, known: bool, good: bool) -> Finding:
    outcome: Outcome = "passed" if good else "failed" if known else "not enough evidence"
    return Finding(
        gate="evidence",
        item=f"training_data.{item}",
        outcome=outcome,
        got=got,
        expected=expected,
        step="" if good else _STEP,
    )


def _tables(text: str) -> bool:
    return all(_TABLE.fullmatch(part.strip()) for part in text.split(","))


def _rows(text: str) -> bool:
    return _COUNT.fullmatch(text) is not None and int(text) > 0
