"""The gold table of a day, made from the ledger.

Gold is a view of the ledger: a run's rows are read back from it and replace the day in one commit. That
commit carries the day's application transaction with the run's place among the day's runs, so a later run
always stands above an earlier one, whichever of them publishes last, and publishing twice changes nothing.
"""

from collections.abc import Mapping
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from fielded.decisions.rows import GOLD_SOURCE, PARTITION, gold_rows, scores_schema
from fielded.words.errors import WrongUse
from fielded.words.overlap import ahead
from fielded.world.data_files import DataFiles
from fielded.world.workplace import Workplace

_OWNER = "Published by fielded from the ledger "
_PLAIN = frozenset({"request_id"})


def prepare_gold(workplace: Workplace, subject_type: pa.DataType) -> None:
    """Make the gold table if it is missing; refuse one whose columns do not fit.

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
        if found is None or not _same_type(found, field.type):
            raise WrongUse(
                f"batch.output: {deployment.batch.output}.{field.name}: got {found or 'no such column'}, "
                f"expected {field.type}. Name another output table, or move this one away: the next run makes it"
            )


def _same_type(found: pa.DataType, wanted: pa.DataType) -> bool:
    texts = (pa.string(), pa.large_string(), pa.string_view())
    return bool(found == wanted or (found in texts and wanted in texts))


def publish(workplace: Workplace, run_id: str, day: date) -> bool:
    """Let the gold table show a run's rows for its day.

    Returns:
        True where it now does; False where a later run of the day stands there.
    """
    deployment, name = workplace.deployment, workplace.deployment.batch.output
    place = workplace.ledger.place_of(run_id)
    if place is None:
        raise WrongUse(f"run {run_id}: got no rows in the ledger, expected a committed run")
    shown = f"day/{day}"
    standing = workplace.tables.open(name).transaction_version(shown)
    if standing is not None and standing >= place:
        return standing == place
    subject_type = pa.schema(workplace.tables.open(name).schema().to_arrow()).field(deployment.subject).type
    with DataFiles(
        workplace.tables.uri(name),
        (PARTITION, day),
        f"{run_id}-{workplace.random_bytes(4).hex()}",
        rows_per_file=workplace.site.file_rows,
        plain=_PLAIN,
    ) as files:
        with ahead(workplace.ledger.run_rows(run_id, day, GOLD_SOURCE), 2) as batches:
            for batch in batches:
                files.write(gold_rows(batch, deployment, subject_type))
        files.close()

        def transactions(table: DeltaTable) -> Mapping[str, int] | None:
            return None if (table.transaction_version(shown) or 0) >= place else {shown: place}

        if workplace.tables.commit_files(name, files, transactions, (PARTITION, day.isoformat())):
            return True
    return workplace.tables.open(name).transaction_version(shown) == place
