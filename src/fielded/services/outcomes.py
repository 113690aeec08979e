"""Load a file of outcomes: what came true. Labels are what performance is measured on (MEASURE 2.3)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fielded.decisions.outcomes import LOADED, checked_outcomes
from fielded.decisions.rows import TIMESTAMP
from fielded.services.seal import seal
from fielded.words.errors import WrongUse
from fielded.world.outcomes import OUTCOMES, Outcomes
from fielded.world.workplace import Workplace

LOADED_KIND = "outcomes_loaded"

MOST_ROWS = 5_000_000  # of one file; it is held in memory
_FORMATS = {".parquet": "Parquet", ".csv": "CSV"}
_COLUMNS = ("subject", "label", "known_at")


@dataclass(frozen=True, slots=True)
class LoadedOutcomes:
    """What loading a file did.

    Attributes:
        rows: of the file.
        sha256: of its bytes.
        new: whether they were added; False where the same file was loaded before.
    """

    rows: int
    sha256: str
    new: bool


def load_outcomes(workplace: Workplace, file: Path) -> LoadedOutcomes:
    """Check a file's rows and append them to the ledger's `outcomes`, all or none, once.

    Args:
        workplace: the deployment at its site.
        file: Parquet or CSV (UTF-8, with a header) with `subject` (or the definition's name of it), `label` and
            `known_at`.

    Raises:
        WrongUse: there is no such file, or it is no Parquet or CSV.
        Refused: a row breaks a rule of `decisions.outcomes`; nothing was loaded.
        Unreachable: the ledger cannot be written.
    """
    subject = workplace.deployment.subject
    rows, sha256 = _read(file, subject)
    table = Outcomes(workplace.tables, workplace.site, workplace.deployment.name)
    now = workplace.clock()
    checked = checked_outcomes(rows, subject, now)
    stamped = _stamped(checked, now, workplace.user, sha256)
    new = table.append(stamped, sha256, now.date(), f"outcomes-{workplace.random_bytes(12).hex()}")
    # Written by whoever comes after the commit: a process that died between the two left rows without their event.
    details = {"rows": checked.num_rows, "source_sha256": sha256}
    workplace.record(LOADED_KIND, f"file {sha256}", details, once=f"outcomes/{sha256}")
    seal(workplace)
    return LoadedOutcomes(checked.num_rows, sha256, new)


def _read(file: Path, subject: str) -> tuple[pa.Table, str]:
    """A file's rows and the SHA-256 of its bytes, both from one opening."""
    kind = _FORMATS.get(file.suffix.lower())
    if kind is None:
        raise WrongUse(f"{file.name}: got `{file.suffix}`, expected .parquet or .csv")
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            rows = _parquet(opened, subject) if kind == "Parquet" else _csv(opened, subject)
    except pa.ArrowException as error:
        raise WrongUse(f"{file.name}: cannot be read as {kind} ({type(error).__name__})") from None
    except OSError as error:
        raise WrongUse(f"{file.name}: cannot be read ({error.strerror or type(error).__name__})") from None
    if not rows.num_rows:
        raise WrongUse(f"{file.name}: got no rows, expected some")
    if rows.num_rows > MOST_ROWS:
        raise WrongUse(f"{file.name}: got {rows.num_rows} rows, expected at most {MOST_ROWS}. Split it")
    return rows, sha256


def _parquet(opened: BinaryIO, subject: str) -> pa.Table:
    with pq.ParquetFile(opened) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise WrongUse(f"file: got {file.metadata.num_rows} rows, expected at most {MOST_ROWS}. Split it")
        return file.read(columns=[name for name in file.schema_arrow.names if name in {subject, *_COLUMNS}])


def _csv(opened: BinaryIO, subject: str) -> pa.Table:
    """Everything as text: `007` is another subject than `7`."""
    texts = dict.fromkeys((subject, *_COLUMNS), pa.string())
    convert = pyarrow.csv.ConvertOptions(column_types=texts, strings_can_be_null=True, null_values=[""])
    return pyarrow.csv.read_csv(opened, convert_options=convert)


def _stamped(rows: pa.Table, now: object, user: str, sha256: str) -> pa.Table:
    count = rows.num_rows
    shared = {
        "loaded_at": pa.repeat(pa.scalar(now, TIMESTAMP), count),
        "loaded_by": pa.repeat(pa.scalar(user), count),
        "source_sha256": pa.repeat(pa.scalar(sha256), count),
    }
    columns = [rows.column(name) if name in rows.column_names else shared[name] for name in OUTCOMES.names[:-1]]
    return pa.Table.from_arrays(columns, schema=pa.schema([one for one in OUTCOMES if one.name != LOADED]))
