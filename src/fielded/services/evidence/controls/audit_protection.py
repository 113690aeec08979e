"""Evidence that the audit log is protected (AU-9, AU-10), kept elsewhere too (AU-9(2)), and kept long enough
(AU-11).

1. The key that seals is its keeper's alone, and its public half verifies the newest seal of every table.
2. On a scratch copy: the tables refuse to delete and to update; a checkpoint that another key signed is not
   believed; and an event whose text was changed is found. (A changed or deleted row is found by `audit-probe`.)
3. Copies of the checkpoints lie in another place, and the newest of them is no older than the site's own by more
   than a sealing.
4. No commit was taken out of any table: its log is there from the first version on, nothing cleans it up, and no
   row was ever removed but by a rewrite that keeps all rows.
5. How long records are kept is the definition's parameter of AU-11; it is named, and nothing here ends a record's
   time.
"""

import hashlib
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.checkpoints import Checkpoint
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.scratch import scratch_site
from fielded.services.seal import seal, table_folders
from fielded.services.verify import verify
from fielded.words.errors import FieldedError, Refused
from fielded.world.delta_log import versions
from fielded.world.keys import FileSigner, sign_checkpoint, trusted_keys, verify_checkpoint
from fielded.world.ledger_tables import ledger_tables
from fielded.world.secrets import path_of
from fielded.world.workplace import Workplace

RETENTION = "au-11_odp"  # the parameter of SP 800-53 that says how long
_VERIFY = "Run `fielded audit verify`, and find out what changed the ledger"
_REPORT = "Do not rely on the ledger before this is understood. Report it to those who maintain fielded"
_LOG = "_delta_log"


def look(bench: Bench) -> Found:
    """Rules 1 and 2.

    Raises:
        FieldedError: the ledger or its key cannot be read.
    """
    workplace = bench.workplace
    keys = trusted_keys(workplace.site)
    checks = [guarded(workplace), _sealed(workplace), _not_believed(workplace)]
    try:
        with scratch_site(workplace) as copy:
            seal(copy)
            checks += [*_append_only(copy), _changed_event(copy)]
    except (FieldedError, OSError) as error:
        why = str(error) if isinstance(error, FieldedError) else type(error).__name__
        checks.append(
            Check.missing(
                "tried on a scratch copy",
                why=why,
                expected="a copy to do harm in",
                step="Mend what kept it from being made, and collect again",
                negative=True,
            )
        )
    facts = {
        "keys": [key.key_id for key in keys],
        "algorithms": [key.algorithm for key in keys],
        "kind": workplace.site.signing_key.partition(":")[0],
    }
    return Found(tuple(checks), facts)


def guarded(workplace: Workplace) -> Check:
    """Rule 1."""
    name, expected = "the key that seals is its keeper's alone", "a file that only its owner can read, or KMS"
    scheme = workplace.site.signing_key.partition(":")[0]
    if scheme != "file":
        return Check.of(name, True, got=f"{scheme}: it never leaves", expected=expected)
    path = path_of(workplace.site.signing_key)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Check.missing(
            name,
            why=f"{path.name}: {error.strerror}",
            expected=expected,
            step="Look at signing_key in site.yaml; who verifies alone need not have it",
        )
    return Check.of(
        name,
        not mode & (stat.S_IRWXG | stat.S_IRWXO),
        got=f"mode {mode:04o}",
        expected=expected,
        step=f"If nobody else has read it: chmod 600 {path.name}. Otherwise make a new key",
    )


def _sealed(workplace: Workplace) -> Check:
    report = verify(workplace)
    return Check.of(
        "every table is as it was sealed",
        not report.findings,
        got=f"{len(report.findings)} findings in {len(report.tables)} tables",
        expected="no finding",
        step=_VERIFY,
    )


def _not_believed(workplace: Workplace) -> Check:
    """Rule 2: a checkpoint with the log's name and a stranger's signature."""
    name, expected = "a checkpoint that another key signed is not believed", "refused"
    made = Checkpoint(
        origin=f"fielded/{workplace.deployment.name}/events/scratch",
        size=1,
        root=hashlib.sha256(b"scratch").digest(),
        time=workplace.clock(),
    )
    with tempfile.TemporaryDirectory() as folder:
        stranger = FileSigner(Path(folder) / "stranger.pem", development=True)
        signed = sign_checkpoint(made, stranger)
        verify_checkpoint(signed, [stranger.public_key], "scratch")  # it is well made: only the key is another
    try:
        verify_checkpoint(signed, trusted_keys(workplace.site), "scratch")
    except Refused:
        return Check.of(name, True, got="refused", expected=expected, negative=True)
    return Check.of(name, False, got="believed", expected=expected, step=_REPORT, negative=True)


def _append_only(copy: Workplace) -> Iterator[Check]:
    """Rule 2."""
    table = copy.tables.open(copy.ledger.events)
    tries: dict[str, Callable[[], object]] = {
        "the ledger's tables refuse to delete": lambda: table.delete("sequence = 1"),
        "the ledger's tables refuse to update": lambda: table.update(
            updates={"actor": "'somebody else'"}, predicate="sequence = 1"
        ),
    }
    for name, do in tries.items():
        try:
            do()
            refused = False
        except DeltaError:
            refused = True
        yield Check.of(
            name, refused, got="refused" if refused else "done", expected="refused", step=_REPORT, negative=True
        )


def _changed_event(copy: Workplace) -> Check:
    """Rule 2: who approved something, written anew in the file itself."""
    folder = Path(copy.tables.uri(copy.ledger.events))
    # The log of a table with many commits has Parquet files of its own: its checkpoints.
    data = (found for found in folder.rglob("*.parquet") if "_delta_log" not in found.parts)
    path = min(data, key=lambda found: found.name)
    before = len(verify(copy).findings)
    with _put_back(path):
        rows = pq.read_table(path, partitioning=None)
        place = rows.schema.get_field_index("actor")
        actor = pa.array(["somebody else"] * rows.num_rows, rows.schema.field(place).type)
        pq.write_table(rows.set_column(place, rows.schema.field(place), actor), path)
        found = len(verify(copy).findings)
    return Check.of(
        "an event whose actor was changed is found",
        found > before == 0,
        got=f"{found} findings, {before} before",
        expected="findings, and none before",
        step=_REPORT,
        negative=True,
    )


@contextmanager
def _put_back(path: Path) -> Iterator[None]:
    content = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(content)


def look_at_copies(bench: Bench) -> Found:
    """Rule 3.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    place = workplace.site.checkpoints
    name, expected = "checkpoints are kept in another place", "a folder in `checkpoints`, best another office's"
    step = "Set checkpoints in site.yaml to a folder that who keeps the ledger cannot write over"
    if place is None:
        check = Check.of(name, False, got="no place", expected=expected, step=step)
        return Found((check,), {"copies": 0})
    report = verify(workplace)
    copies = {table: counts.get("copies", 0) for table, counts in report.tables.items()}
    lacking = sorted(
        table for table, counts in report.tables.items() if counts.get("leaves") and not copies[table]
    )
    root = Path(workplace.site.root).resolve() if "://" not in workplace.site.root else None
    beside = root is not None and _device(place) == _device(root)
    checks = (
        Check.of(name, True, got="a folder of its own", expected=expected),
        Check.of(
            "every table's checkpoints are there, and agree",
            not lacking and not report.findings,
            got=f"none of {', '.join(lacking)}" if lacking else f"{len(report.findings)} findings",
            expected="copies of each, and no finding",
            step=_VERIFY,
        ),
        Check.missing(
            "it is another system",
            why="the same disk as the ledger's",
            expected="a disk that is not the ledger's",
            step=step,
        )
        if beside
        else Check.of(
            "it is another system", True, got="another disk", expected="a disk that is not the ledger's"
        ),
    )
    return Found(checks, {"copies": sum(copies.values()), "by_table": copies})


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A table's log."""

    name: str
    versions: int
    whole: bool
    cleans_up: bool


def look_at_retention(bench: Bench) -> Found:
    """Rule 4.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    names = ledger_tables(workplace.site, workplace.deployment.name)
    kept = [
        _kept(workplace, tree, getattr(names, tree), folder)
        for tree, folder in table_folders(workplace).items()
        if (folder / _LOG).exists()
    ]
    report = verify(workplace)
    events = workplace.tables.open(workplace.ledger.events).to_pyarrow_dataset().to_table(columns=["occurred_at"])
    cut = [one.name for one in kept if not one.whole]
    cleaning = [one.name for one in kept if one.cleans_up]
    checks = (
        Check.of(
            "every table's log is there from its first version on",
            not cut and bool(kept),
            got=f"not of {', '.join(cut)}" if cut else f"whole in {len(kept)} tables",
            expected="whole",
            step=_VERIFY,
        ),
        Check.of(
            "nothing cleans a log up",
            not cleaning,
            got=f"set so in {', '.join(cleaning)}" if cleaning else "set in none",
            expected="delta.enableExpiredLogCleanup false in each",
            step=_VERIFY,
        ),
        Check.of(
            "no row was taken away",
            not report.findings,
            got=f"{len(report.findings)} findings",
            expected="every row that was ever sealed",
            step=_VERIFY,
        ),
    )
    first = pc.min(events.column("occurred_at")).as_py()
    facts = {
        "tables": len(kept),
        "versions": {one.name: one.versions for one in kept},
        "oldest": None if first is None else first.date().isoformat(),
        "days": None if first is None else (workplace.clock() - first).days,
    }
    return Found(checks, facts)


def look_at_period(bench: Bench) -> Found:
    """Rule 5."""
    parameters = bench.workplace.deployment.ato.parameters
    told = "; ".join(text for key, text in parameters.items() if key.startswith(RETENTION))
    name, expected = "how long records are kept was decided", f"ato.parameters.{RETENTION}"
    step = f"Set it in deployment.yaml, such as {RETENTION}: as long as the records schedule asks for"
    if told:
        return Found((Check.of(name, True, got=told, expected=expected),), {"period": told})
    return Found((Check.missing(name, why="the definition does not say", expected=expected, step=step),), {})


def _kept(workplace: Workplace, tree: str, name: str, folder: Path) -> _Kept:
    """What is to be seen of one table's log."""
    found = versions(folder)
    settings: Mapping[str, str] = {}
    with suppress(FieldedError):  # a table whose log is cut cannot be opened; that it is cut is told
        settings = workplace.tables.open(name).metadata().configuration
    return _Kept(
        name=tree,
        versions=len(found),
        whole=found == list(range(len(found))),
        cleans_up=settings.get("delta.enableExpiredLogCleanup") != "false",
    )


COLLECTOR: Collector[Bench] = Collector(
    id="audit-protection",
    title="What was sealed cannot be changed without being found",
    look=look,
    holds_for=timedelta(days=30),
    expected="a sealed ledger, and its key",
)
COPIES: Collector[Bench] = Collector(
    id="audit-copies",
    title="Checkpoints that are kept outside the ledger",
    look=look_at_copies,
    holds_for=timedelta(days=30),
    expected="copies of every table's checkpoints",
)
RETENTION_COLLECTOR: Collector[Bench] = Collector(
    id="audit-retention",
    title="Records that are all still there",
    look=look_at_retention,
    holds_for=timedelta(days=30),
    expected="a ledger that can be read",
)
PERIOD: Collector[Bench] = Collector(
    id="retention-period",
    title="How long records are kept",
    look=look_at_period,
    holds_for=timedelta(days=30),
    expected="a parameter of the definition",
)
