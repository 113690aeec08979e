"""The ledger: append-only Delta tables of which everything else is a view.

How a batch run gets in exactly once: its id is made from its inputs, so the same work always has the same id.
Its commit carries two application transactions, `run/<id>` (is this work done?) and `day/<date>` (the how
many-th run of that day is it?). A second run of the same work finds the first; two different runs of one day
get two numbers; and the gold table follows the highest number (`services.publish`).
"""

import json
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from fielded.decisions.rows import PARTITION, TIMESTAMP, predictions_schema, quarantine_schema
from fielded.decisions.stretch import Stretch
from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.words.identifiers import RandomBytes, uuid7
from fielded.world.data_files import DataFiles
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.ledger_tables import ledger_tables
from fielded.world.lookup import files_with
from fielded.world.tables import DeltaTables

EVENTS = pa.schema(
    [
        ("sequence", pa.int64()),  # 1, 2, 3, ... in the order of the commits: clocks differ between hosts
        ("event_id", pa.string()),
        ("kind", pa.string()),
        ("about", pa.string()),
        ("actor", pa.string()),
        ("occurred_at", TIMESTAMP),
        ("details", pa.string()),  # canonical JSON
        ("occurred_date", pa.date32()),
    ]
)

_SEQUENCE = "events"  # application transaction that numbers them
_TURNS = 50
_PLAIN = frozenset({"request_id", "subject", "score"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One act.

    Attributes:
        kind: what was done, in the past tense: `artifact_approved`, `day_scored`.
        about: what it was done to: `model m version 3`, a run's id.
        actor: authenticated identity of who did it.
        occurred_at: UTC.
        details: what a reader needs to believe it; JSON values.
        once: the event is written at most once under this name; empty writes it every time.
        id: UUIDv7 text; empty has the ledger make one.
    """

    kind: str
    about: str
    actor: str
    occurred_at: datetime
    details: Mapping[str, Any]
    once: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseEvents:
    """The release events of one model, all read from one version of the events table.

    Attributes:
        version: of the table; -1 while there is none.
        count: how many were appended (`Ledger.append_if`).
        events: as `Ledger.events_of` gives them, those that carry a turn, in the order of their turns.
    """

    version: int
    count: int
    events: list[dict[str, Any]]


def release_application(about: str) -> str:
    """The application transaction that counts the release events about `model NAME`."""
    return f"release/{about.removeprefix('model ')}"


class Ledger:
    """The ledger of one deployment at one site.

    Args:
        tables: the site's tables.
        site: for the ledger's place and the size of its files.
        name: the deployment's name.
    """

    def __init__(self, tables: DeltaTables, site: Site, name: str) -> None:
        names = ledger_tables(site, name)
        self._tables = tables
        self._file_rows = site.file_rows
        self.predictions, self.quarantine, self.events = names.predictions, names.quarantine, names.events

    def prepare(self, deployment: Deployment) -> None:
        """Make the tables that are missing and add columns for features that are new.

        Several processes may do so at once: of those that add the same column, one does and the others see it.

        Raises:
            WrongUse: a feature's type differs from the one that the ledger holds.
            Unreachable: the tables cannot be written.
        """
        wanted = predictions_schema(deployment.features)
        self._tables.ensure(self.predictions, wanted, partition=PARTITION, append_only=True)
        self._tables.ensure(self.quarantine, quarantine_schema(), partition=PARTITION, append_only=True)
        for _ in range(_TURNS):
            table = self._tables.open(self.predictions)
            if not self._lacks(table, wanted):
                return
            try:
                write_deltalake(table, wanted.empty_table(), mode="append", schema_mode="merge")
            except CommitFailedError:
                continue  # another process was first; what is lacking now is looked at anew
            except (DeltaError, OSError) as error:
                reason = type(error).__name__
                raise Unreachable(f"table {self.predictions}: cannot be written ({reason})") from error
            return
        raise Unreachable(
            f"table {self.predictions}: others wrote first {_TURNS} times, expected a turn. Run again"
        )

    def _lacks(self, table: DeltaTable, wanted: pa.Schema) -> bool:
        """Whether columns or features are still to be added."""
        held = pa.schema(table.schema().to_arrow()).field("features").type
        present = {field.name: field.type for field in held}
        for field in wanted.field("features").type:
            if field.name in present and present[field.name] != field.type:
                raise WrongUse(
                    f"features.{field.name}.type: got {field.type}, expected {present[field.name]} as in the "
                    "ledger. Give the changed feature a new name: the ledger is append-only"
                )
        columns = {field.name for field in table.schema().fields}
        new = [field for field in wanted.field("features").type if field.name not in present]
        return bool(new) or not columns >= set(wanted.names)

    def prediction_files(self, day: date, name: str) -> DataFiles:
        """A writer of prediction rows of `day`."""
        return self._files(self.predictions, day, name)

    def stretch_files(self, day: date, name: str) -> DataFiles:
        """A writer of journaled rows of `day`, all to one file."""
        return DataFiles(
            self._tables.uri(self.predictions), (PARTITION, day), name,
            rows_per_file=sys.maxsize, plain=_PLAIN | {"chain"},
        )  # fmt: skip

    def quarantine_files(self, day: date, name: str) -> DataFiles:
        """A writer of quarantine rows of `day`."""
        return self._files(self.quarantine, day, name)

    def _files(self, table: str, day: date, name: str) -> DataFiles:
        return DataFiles(
            self._tables.uri(table), (PARTITION, day), name,
            rows_per_file=self._file_rows, plain=_PLAIN,
        )  # fmt: skip

    def identity(self) -> str:
        """What tells this ledger from every other: the Delta id of its predictions table."""
        return str(self._tables.open(self.predictions).metadata().id)

    def latest_place(self, day: date) -> int:
        """How many runs of a day are in the ledger."""
        table = self._tables.find(self.predictions)
        return 0 if table is None else table.transaction_version(f"day/{day}") or 0

    def place_of(self, run_id: str) -> int | None:
        """The how many-th run of its day a run is, from 1; None while its rows are not in the ledger."""
        table = self._tables.find(self.predictions)
        return None if table is None else table.transaction_version(f"run/{run_id}")

    def commit_quarantine(self, run_id: str, files: DataFiles) -> bool:
        """Append a run's quarantine rows; False (and the files deleted) where they are in already."""

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            return None if table.transaction_version(f"run/{run_id}") is not None else {f"run/{run_id}": 1}

        return self._tables.commit_files(self.quarantine, files, transactions)

    def commit_predictions(self, run_id: str, day: date, files: DataFiles) -> bool:
        """Append a run's prediction rows; False (and the files deleted) where they are in already."""

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            if table.transaction_version(f"run/{run_id}") is not None:
                return None
            place = (table.transaction_version(f"day/{day}") or 0) + 1
            return {f"run/{run_id}": place, f"day/{day}": place}

        return self._tables.commit_files(self.predictions, files, transactions)

    def commit_probe(self, run_id: str, files: DataFiles) -> bool:
        """Append a probe's rows, which are no run of any day; False (and the files deleted) where they are in
        already.
        """
        application = f"probe/{run_id}"

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            return None if table.transaction_version(application) is not None else {application: 1}

        return self._tables.commit_files(self.predictions, files, transactions)

    def drained(self, journal: str) -> int:
        """Number of the last row of a journal that is in the ledger; 0 where none is."""
        table = self._tables.find(self.predictions)
        return 0 if table is None else table.transaction_version(f"journal/{journal}") or 0

    def drained_head(self, journal: str, sequence: int) -> bytes:
        """Head of a journal's chain after row `sequence`, as the ledger holds it.

        Raises:
            Refused: the ledger has no such row, though it says that it was drained.
        """
        chains = self.journaled_chains(journal, sequence)
        if len(chains) != 1:
            raise Refused(
                f"journal {journal}: got {len(chains)} ledger rows numbered {sequence}, expected one. "
                "Run `fielded audit verify`"
            )
        return bytes.fromhex(chains[0])

    def journaled_chains(self, journal: str, sequence: int) -> list[str]:
        """`chain` of the ledger's rows with this place in a journal: one, where all is well.

        Costs no more in an old ledger: only files whose ranges in the log take the row in are opened. All are only
        where none of those has it, for other writers' files may have no ranges of these columns.
        """
        table = self._tables.find(self.predictions)
        if table is None:
            return []
        of_row = (pc.field("journal") == journal) & (pc.field("journal_sequence") == sequence)
        root = Path(unquote(table.table_uri.removeprefix("file://")))
        found = [
            chain
            for path in files_with(table, {"journal": journal, "journal_sequence": sequence})
            for chain in pq.read_table(root / path, columns=["chain"], filters=of_row, partitioning=None)
            .column(0)
            .to_pylist()
        ]
        if found:
            return found
        rows = dataset_of(table).to_table(columns=["chain"], filter=of_row)
        return [str(chain) for chain in rows.column(0).to_pylist()]

    def commit_drained(self, files: DataFiles, stretch: Stretch) -> bool:
        """Append a stretch of a journal; False (and the files deleted) where it is in already."""
        application = f"journal/{stretch.journal}"

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            reached = table.transaction_version(application) or 0
            return {application: stretch.last} if reached == stretch.first - 1 else None

        return self._tables.commit_files(self.predictions, files, transactions)

    def run_rows(self, run_id: str, day: date, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """A run's prediction rows, in bounded memory."""
        return self._of_run(self.predictions, run_id, day, columns)

    def _of_run(self, table: str, run_id: str, day: date, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        of_run = (ds.field(PARTITION) == day) & (ds.field("run_id") == run_id)
        return stream(dataset_of(self._tables.open(table)), columns, of_run)

    def count_run(self, run_id: str, day: date) -> dict[str, int]:
        """Rows of a run by decision, and under `quarantined` those refused."""
        counts: dict[str, int] = {}
        for batch in self.run_rows(run_id, day, ("decision",)):
            for item in pc.value_counts(batch.column(0)).to_pylist():
                counts[item["values"]] = counts.get(item["values"], 0) + item["counts"]
        refused = self._of_run(self.quarantine, run_id, day, ("run_id",))
        counts["quarantined"] = sum(batch.num_rows for batch in refused)
        return counts

    def record(self, event: Event, random_bytes: RandomBytes) -> None:
        """Append an event, unless it is to be written once and was."""
        self._tables.ensure(self.events, EVENTS, partition="occurred_date", append_only=True)
        for _ in range(_TURNS):
            table = self._tables.open(self.events)
            if event.once and table.transaction_version(f"event/{event.once}") is not None:
                return
            sequence = (table.transaction_version(_SEQUENCE) or 0) + 1
            if self._append(event, sequence, random_bytes):
                return
        raise Unreachable(f"table {self.events}: others wrote first {_TURNS} times, expected a turn. Run again")

    def append_if(self, event: Event, random_bytes: RandomBytes, application: str, expected: int) -> bool:
        """Append an event only where `application` still counts `expected`, which then becomes one more.

        Returns:
            False where it counts something else by now: another writer was first, and nothing was written.

        Raises:
            Unreachable: the table cannot be written, or others wrote other events first every time.
        """
        self._tables.ensure(self.events, EVENTS, partition="occurred_date", append_only=True)
        for _ in range(_TURNS):
            table = self._tables.open(self.events)
            if (table.transaction_version(application) or 0) != expected:
                return False
            sequence = (table.transaction_version(_SEQUENCE) or 0) + 1
            if self._append(event, sequence, random_bytes, (application, expected)):
                return True
        raise Unreachable(f"table {self.events}: others wrote first {_TURNS} times, expected a turn. Run again")

    def _append(
        self, event: Event, sequence: int, random_bytes: RandomBytes, guard: tuple[str, int] | None = None
    ) -> bool:
        """Append an event under its number; False where the number went to another event meanwhile, or the
        application of `guard` counts another number than its own.
        """
        row = {
            "sequence": sequence,
            "event_id": event.id or uuid7(int(event.occurred_at.timestamp() * 1000), random_bytes),
            "kind": event.kind,
            "about": event.about,
            "actor": event.actor,
            "occurred_at": event.occurred_at,
            "details": json.dumps(event.details, sort_keys=True, default=str),
        }
        numbered = {_SEQUENCE: sequence, **({f"event/{event.once}": 1} if event.once else {})}
        if guard is not None:
            numbered[guard[0]] = guard[1] + 1

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            if guard is not None and (table.transaction_version(guard[0]) or 0) != guard[1]:
                return None
            return None if (table.transaction_version(_SEQUENCE) or 0) >= sequence else numbered

        day = ("occurred_date", event.occurred_at.date())
        name = f"{row['event_id']}-{sequence}"  # two attempts at one event never write one file
        with DataFiles(self._tables.uri(self.events), day, name, rows_per_file=1) as files:
            schema = pa.schema([field for field in EVENTS if field.name != "occurred_date"])
            files.write(pa.RecordBatch.from_pylist([row], schema=schema))
            files.close()
            return self._tables.commit_files(self.events, files, transactions)

    def release_events(self, about: str) -> ReleaseEvents:
        """The release events about `model NAME` and how many there are, from one look at the table.

        An event without a turn is none of them: an earlier fielded wrote `rolled_back` without.

        Raises:
            Refused: an event cannot be read: fielded did not write it.
            Unreachable: the table cannot be read.
        """
        table = self._tables.find(self.events)
        if table is None:
            return ReleaseEvents(-1, 0, [])
        count = table.transaction_version(release_application(about)) or 0
        events = self._read_events(table, ds.field("about") == about) if count else []
        turns = [event for event in events if isinstance(event["details"], dict) and "turn" in event["details"]]
        try:
            turns.sort(key=lambda event: int(event["details"]["turn"]))
        except (TypeError, ValueError):
            raise Refused(
                f"release events about {about}: got a turn that is no number, expected 1, 2, 3, ... "
                "Run `fielded audit verify`"
            ) from None
        return ReleaseEvents(table.version(), count, turns)

    def events_stand_at(self, version: int) -> bool:
        """Whether the events table is still at a version: two looks for files, nothing is read."""
        log = Path(self._tables.uri(self.events)) / "_delta_log"
        if version < 0:
            return False
        return (log / f"{version:020d}.json").is_file() and not (log / f"{version + 1:020d}.json").exists()

    def events_of(self, kinds: str | AbstractSet[str], about: str | None = None) -> list[dict[str, Any]]:
        """Events of one or several kinds (and about one thing), in their order, with `details` read."""
        table = self._tables.find(self.events)
        if table is None:
            return []
        wanted = ds.field("kind").isin([kinds] if isinstance(kinds, str) else sorted(kinds))
        if about is not None:
            wanted &= ds.field("about") == about
        return self._read_events(table, wanted)

    def counted_events(
        self, kinds: AbstractSet[str], about: str, application: str
    ) -> tuple[list[dict[str, Any]], int]:
        """Events as `events_of` gives them, and how many an application counts (`append_if`), from one look.

        Raises:
            Unreachable: the table cannot be read.
        """
        table = self._tables.find(self.events)
        if table is None:
            return [], 0
        wanted = ds.field("kind").isin(sorted(kinds)) & (ds.field("about") == about)
        return self._read_events(table, wanted), table.transaction_version(application) or 0

    def _read_events(self, table: DeltaTable, wanted: ds.Expression) -> list[dict[str, Any]]:
        try:
            rows = dataset_of(table).to_table(filter=wanted).to_pylist()
        except (OSError, pa.ArrowException, DeltaError) as error:  # a file was deleted, or is no Parquet any more
            raise Unreachable(
                f"table {self.events}: cannot be read ({type(error).__name__}). Run `fielded audit verify`"
            ) from error
        rows.sort(key=lambda row: row["sequence"] or 0)
        return [{**row, "details": _details(row)} for row in rows]


def _details(row: Mapping[str, Any]) -> Any:
    try:
        return json.loads(row["details"])
    except (TypeError, ValueError):
        raise Refused(
            f"event {row['sequence']}: got details that are no JSON, expected what fielded writes. "
            "Run `fielded audit verify`"
        ) from None
