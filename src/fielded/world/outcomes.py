"""The ledger's `outcomes` table: what came true, told later than the scores. Append-only and sealed.

A file of outcomes gets in once, whoever loads it again: its SHA-256 is an application transaction of the commit.
A correction is a later row about the same subject; the earlier one stays.
"""

from collections.abc import Iterable
from datetime import date, datetime

import pyarrow as pa
import pyarrow.dataset as ds

from fielded.decisions.outcomes import LOADED, OUTCOME
from fielded.decisions.rows import TIMESTAMP
from fielded.definition.site import Site
from fielded.world.data_files import DataFiles
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.first_rows import FirstRows
from fielded.world.ledger_tables import ledger_tables
from fielded.world.tables import DeltaTables

OUTCOMES = pa.schema(
    [
        *OUTCOME,  # subject, label, known_at
        ("loaded_at", TIMESTAMP),
        ("loaded_by", pa.string()),
        ("source_sha256", pa.string()),  # of the file that they came in; see `outcome_sources` for a table
        (LOADED, pa.date32()),
    ]
)

_SHOWN = pa.schema([*OUTCOME, ("loaded_by", pa.string())])
_PLAIN = frozenset({"subject"})


class Outcomes:
    """The outcomes of one deployment at one site.

    Args:
        tables: the site's tables.
        site: for the ledger's place and the size of its files.
        deployment: its name.
    """

    def __init__(self, tables: DeltaTables, site: Site, deployment: str) -> None:
        self._tables = tables
        self._file_rows = site.file_rows
        self.name = ledger_tables(site, deployment).outcomes

    def loaded(self, source_sha256: str) -> bool:
        """Whether a file of these bytes is in the table."""
        table = self._tables.find(self.name)
        return table is not None and table.transaction_version(_application(source_sha256)) is not None

    def loaded_at(self, source_sha256: str) -> datetime | None:
        """When a source's rows were loaded; None where they were not."""
        if not self.loaded(source_sha256):
            return None
        of_source = ds.field("source_sha256") == source_sha256
        rows = dataset_of(self._tables.open(self.name)).head(1, columns=["loaded_at"], filter=of_source)
        moment: datetime | None = rows.column(0)[0].as_py() if rows.num_rows else None
        return moment

    def append(self, rows: Iterable[pa.RecordBatch], source_sha256: str, day: date, name: str) -> bool:
        """Append the rows of one file; False where a file of these bytes was loaded before.

        Args:
            rows: schema `OUTCOMES` without the partition.
            source_sha256: of the file.
            day: partition that they go to.
            name: opening of the data files' names; unique to this writer.

        Raises:
            Unreachable: the table cannot be written.
        """
        self._tables.ensure(self.name, OUTCOMES, partition=LOADED, append_only=True)
        application = _application(source_sha256)
        uri = self._tables.uri(self.name)
        with DataFiles(uri, (LOADED, day), name, rows_per_file=self._file_rows, plain=_PLAIN) as files:
            for batch in rows:
                files.write(batch)
            files.close()
            return self._tables.commit_files(
                self.name,
                files,
                lambda table: None if table.transaction_version(application) is not None else {application: 1},
            )

    def newest(self, limit: int) -> pa.Table:
        """The outcome that counts of each subject, newest first: the last that became known, as it was told last.

        Args:
            limit: subjects, at most.

        Returns:
            Table of schema `decisions.outcomes.OUTCOME`, and `loaded_by`.
        """
        table = self._tables.find(self.name)
        if table is None:
            return _SHOWN.empty_table()
        columns = [*_SHOWN.names, "loaded_at"]
        schema = pa.schema([OUTCOMES.field(name) for name in columns])
        first = FirstRows(schema, [("known_at", "descending"), ("loaded_at", "descending")], limit)
        for batch in stream(dataset_of(table), columns):
            first.add(batch.cast(schema))
        return first.table().select(_SHOWN.names)


def _application(source_sha256: str) -> str:
    return f"outcomes/{source_sha256}"
