"""The gold table of a day, made from the ledger.

Gold is a view of the ledger: a run's rows are read back from it and replace the day in one commit. That
commit carries the day's application transaction with the run's place among the day's runs, so a later run
always stands above an earlier one, whichever of them publishes last, and publishing twice changes nothing.

What people decided is part of it. The commit also carries, as `review/<day>`, the number of the ledger's last
event when their decisions were read, and never a smaller one than stands there. Whoever decides publishes the day
again, after the decision is on record; whoever publishes a new run looks once more, after its commit, for
decisions made meanwhile. So of the two one always sees what the other did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from fielded.decisions.review import acts
from fielded.decisions.review.finals import Finals
from fielded.decisions.rows import FINAL, GOLD_SOURCE, PARTITION, gold_rows, scores_schema
from fielded.services.review.finals import case_events, read_finals
from fielded.words.errors import Unreachable, WrongUse
from fielded.words.overlap import ahead
from fielded.world.data_files import DataFiles
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.tables import Commit
from fielded.world.workplace import Workplace

REVIEWED = "review"  # application transaction: up to which event decisions are shown on all days

_OWNER = "Published by fielded from the ledger "
_PLAIN = frozenset({"request_id"})
_TURNS = 50


def prepare_gold(workplace: Workplace, subject_type: pa.DataType) -> None:
    """Make the gold table if it is missing; refuse one whose columns do not fit.

    A table from before there were decisions of people gets their columns.

    Raises:
        WrongUse: the table belongs to another ledger, whose runs are numbered by themselves, or has other
            columns or types than the definition asks for.
    """
    deployment = workplace.deployment
    wanted = scores_schema(deployment, subject_type)
    owner = f"{_OWNER}{workplace.ledger.identity()}"
    table = workplace.tables.ensure(deployment.batch.output, wanted, partition=PARTITION, description=owner)
    if table.metadata().description != owner:
        raise WrongUse(
            f"batch.output: got {deployment.batch.output}, which another ledger or another tool writes, expected "
            "a table of this deployment's own. Name another output table"
        )
    held = pa.schema(table.schema().to_arrow())
    for field in wanted:
        found = held.field(field.name).type if field.name in held.names else None
        if found is None and field.name in FINAL.names:
            continue
        if found is None or not _same_type(found, field.type):
            raise WrongUse(
                f"batch.output: {deployment.batch.output}.{field.name}: got {found or 'no such column'}, "
                f"expected {field.type}. Name another output table, or move this one away: the next run makes it"
            )
    prepare_final_columns(workplace)


def prepare_final_columns(workplace: Workplace) -> None:
    """Add the columns about decisions of people to a gold table that lacks them.

    Raises:
        Unreachable: the table cannot be written.
    """
    name = workplace.deployment.batch.output
    for _ in range(_TURNS):
        table = workplace.tables.open(name)
        held = pa.schema(table.schema().to_arrow())
        if set(FINAL.names) <= set(held.names):
            return
        wanted = pa.schema([*held, *(field for field in FINAL if field.name not in held.names)])
        try:
            write_deltalake(table, wanted.empty_table(), mode="append", schema_mode="merge")
        except CommitFailedError:
            continue  # another process was first; what is lacking now is looked at anew
        except (DeltaError, OSError) as error:
            raise Unreachable(f"table {name}: cannot be written ({type(error).__name__})") from error
    raise Unreachable(f"table {name}: others wrote first {_TURNS} times, expected a turn. Run again")


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    texts = (pa.string(), pa.large_string(), pa.string_view())
    return bool(found == wanted or (found in texts and wanted in texts))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A run that is to be shown on its day.

    Attributes:
        run_id: the run.
        day: its day.
        place: its place among the day's runs.
    """

    run_id: str
    day: date
    place: int


def publish(workplace: Workplace, run_id: str, day: date) -> bool:
    """Let the gold table show a run's rows for its day.

    Returns:
        True where it now does; False where a later run of the day stands there.
    """
    place = workplace.ledger.place_of(run_id)
    if place is None:
        raise WrongUse(f"run {run_id}: got no rows in the ledger, expected a committed run")
    standing = workplace.tables.open(workplace.deployment.batch.output).transaction_version(f"day/{day}")
    if standing is not None and standing >= place:
        return standing == place
    while True:
        _commit(workplace, _Shown(run_id, day, place), read_finals(workplace, day))
        table = workplace.tables.open(workplace.deployment.batch.output)
        standing = table.transaction_version(f"day/{day}") or 0
        if standing > place:
            return False
        if standing == place and not _decided_after(workplace, table.transaction_version(f"review/{day}") or 0):
            return True


def publish_again(workplace: Workplace, day: date, sequence: int) -> bool:
    """Let the gold table show a day with what people decided up to an event, or later.

    Args:
        workplace: the deployment at its site.
        day: the day.
        sequence: number of the event.

    Returns:
        False where the day is not shown at all: whoever publishes it will see the decisions.
    """
    name = workplace.deployment.batch.output
    for _ in range(_TURNS):
        table = workplace.tables.open(name)
        place = table.transaction_version(f"day/{day}")
        run_id = _run_shown(table, day)
        if place is None or run_id is None:
            return False
        if (table.transaction_version(f"review/{day}") or 0) >= sequence:
            return True
        _commit(workplace, _Shown(run_id, day, place), read_finals(workplace, day))
        # Where nothing was committed, a later run stands there by now, or later decisions: look again.
    raise Unreachable(f"table {name}: others wrote first {_TURNS} times, expected a turn. Run again")


def _run_shown(table: DeltaTable, day: date) -> str | None:
    """The run whose rows a day has; None of a day without rows."""
    for batch in stream(dataset_of(table), ["run_id"], ds.field(PARTITION) == day):
        if batch.num_rows:
            return str(batch.column(0)[0].as_py())
    return None


def _decided_after(workplace: Workplace, sequence: int) -> bool:
    """Whether people decided anything since an event."""
    return bool(case_events(workplace).since(date.min, acts.SETTLING, after=sequence).events)


def shown_up_to(workplace: Workplace, sequence: int) -> None:
    """Put on record that all days show what people decided up to an event."""

    def decide(table: DeltaTable) -> Commit | None:
        behind = (table.transaction_version(REVIEWED) or 0) < sequence
        return Commit(add=(), transactions={REVIEWED: sequence}) if behind else None

    workplace.tables.commit(workplace.deployment.batch.output, decide)


def _commit(workplace: Workplace, run: _Shown, finals: Finals) -> None:
    """Put a run's rows in the place of its day's, unless they stand there already, or a later run or later
    decisions do.
    """
    deployment, name = workplace.deployment, workplace.deployment.batch.output
    shown, reviewed = f"day/{run.day}", f"review/{run.day}"
    subject_type = pa.schema(workplace.tables.open(name).schema().to_arrow()).field(deployment.subject).type
    with DataFiles(
        workplace.tables.uri(name),
        (PARTITION, run.day),
        f"{run.run_id}-{workplace.random_bytes(4).hex()}",
        rows_per_file=workplace.site.file_rows,
        plain=_PLAIN,
    ) as files:
        with ahead(workplace.ledger.run_rows(run.run_id, run.day, GOLD_SOURCE), 2) as batches:
            for batch in batches:
                decided = finals.rows(batch, run.day, deployment.review.carry)
                files.write(gold_rows(batch, deployment, subject_type, decided))
        files.close()

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            standing = (table.transaction_version(shown) or 0, table.transaction_version(reviewed) or 0)
            wanted = (run.place, finals.sequence)
            # Numbers that stand there never fall, and one of them rises.
            rises = wanted != standing and wanted[0] >= standing[0] and wanted[1] >= standing[1]
            return {shown: run.place, reviewed: finals.sequence} if rises else None

        workplace.tables.commit_files(name, files, transactions, (PARTITION, run.day.isoformat()))
