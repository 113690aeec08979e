"""Harm done on a scratch copy, to see that it is noticed: an edited row, a deleted file, a journal that is gone.

Each begins with the same thing done without harm: what finds fault with everything, or answers nobody at all,
would pass for watchful.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fielded.decisions.assurance.evidence import Check
from fielded.decisions.scoring import Scorer
from fielded.services.audit import Books, find_subject
from fielded.services.probe.batch import probe_batch
from fielded.services.probe.live import Ask, probing
from fielded.services.probe.scratch import scratch_copy
from fielded.services.probe.subjects import marked_subject
from fielded.services.verify import Report, verify
from fielded.words.errors import FieldedError, Refused, Unreachable
from fielded.world.workplace import Workplace

_JOURNAL = "without its journal nobody gets a score"
_EDITED, _DELETED = "an edited row is found", "a deleted file is found"
_VERIFIER = "Do not rely on `fielded audit verify` here, and report to those who maintain fielded what it missed"


@dataclass(frozen=True, slots=True)
class Harm:
    """What came of it.

    Attributes:
        checks: one for each harm.
        facts: JSON values: findings of verifying, in numbers.
    """

    checks: tuple[Check, ...]
    facts: dict[str, Any]


def try_harm(workplace: Workplace, scorer: Scorer, features: pa.RecordBatch) -> Harm:
    """Do harm on a scratch copy, and see whether it is noticed.

    Args:
        workplace: the deployment at its site, of which nothing is touched.
        scorer: of the version in production.
        features: one row to score.
    """
    try:
        with scratch_copy(workplace) as copy:
            subject = marked_subject(copy)
            probe_batch(copy, scorer, subject, features)
            (path,) = _files_with(copy, subject)
            clean = verify(copy)
            edited = _verified_with(copy, path, lambda: _edit(path))
            deleted = _verified_with(copy, path, path.unlink)
            again = verify(copy)
            checks = (
                _noticed(_EDITED, clean, edited, again),
                _noticed(_DELETED, clean, deleted, again),
                _without_journal(copy, features),
            )
    except (FieldedError, OSError) as error:
        why = str(error) if isinstance(error, FieldedError) else type(error).__name__
        names = {_EDITED: "a finding", _DELETED: "a finding", _JOURNAL: "no score"}
        step = "Mend what kept the scratch copy from being made, and collect again"
        return Harm(
            tuple(
                Check.missing(name, why=why, expected=expected, step=step, negative=True)
                for name, expected in names.items()
            ),
            {},
        )
    counts = {"clean": clean, "edited": edited, "deleted": deleted, "restored": again}
    return Harm(checks, {name: len(report.findings) for name, report in counts.items()})


def _noticed(name: str, clean: Report, harmed: Report, again: Report) -> Check:
    expected = "findings about the file, and none before and after"
    if clean.findings or again.findings:
        got = f"{len(clean.findings)} findings before, {len(again.findings)} after"
    elif not harmed.findings:
        got = "no finding"
    else:
        got = "; ".join(sorted({f"rule {one.rule} about {one.table}" for one in harmed.findings}))
    holds = bool(harmed.findings) and not clean.findings and not again.findings
    return Check.of(name, holds, got=got, expected=expected, step=_VERIFIER, negative=True)


def _verified_with(copy: Workplace, path: Path, do: Callable[[], object]) -> Report:
    """Verify while harm is done to a file; its bytes are put back."""
    before = path.read_bytes()
    try:
        do()
        return verify(copy)
    finally:
        path.write_bytes(before)


def _edit(path: Path) -> None:
    """Turn a score into its opposite, and let the file be as whole as before."""
    rows = pq.read_table(path, partitioning=None)
    place = rows.schema.get_field_index("score")
    turned = pc.subtract(pa.scalar(1.0), rows.column(place))
    pq.write_table(rows.set_column(place, rows.schema.field(place), turned), path)


def _files_with(copy: Workplace, subject: str) -> list[Path]:
    (row,) = find_subject(_books(copy), subject)
    folder = Path(copy.tables.uri(copy.ledger.predictions))
    found = [path for path in folder.rglob("*.parquet") if row["run_id"] in path.name]
    if len(found) != 1:
        raise Refused(f"scratch copy: got {len(found)} files of one run, expected one")
    return found


def _books(copy: Workplace) -> Books:
    return Books(copy.tables, copy.ledger.predictions, copy.journals)


def _without_journal(copy: Workplace, features: pa.RecordBatch) -> Check:
    """The same question, with the journal in its place and without it."""
    expected = "a score while the journal is there; no score and no row once it is gone"
    step = "Do not serve the API here: it answers what is on no record. Report it to those who maintain fielded"
    before, after = marked_subject(copy), marked_subject(copy)
    with probing(copy) as ask:
        answered = _asked(ask, before, features)
        with _moved_away(Path(copy.site.journal_url.removeprefix("sqlite:///"))):
            refused = _asked(ask, after, features)
    found = [len(find_subject(_books(copy), subject)) for subject in (before, after)]
    got = f"{answered} with it, {refused} without it; rows: {found[0]} and {found[1]}"
    holds = (answered, refused, found) == ("a score", "no score", [1, 0])
    return Check.of(_JOURNAL, holds, got=got, expected=expected, step=step, negative=True)


def _asked(ask: Ask, subject: str, features: pa.RecordBatch) -> str:
    try:
        ask(subject, features)
    except Unreachable:
        return "no score"
    return "a score"


@contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    """A folder is not where it was, for a while."""
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)
