"""Delta tables by name under the site's root, and commits to them that happen once.

Two traps of Delta that this module is built around, both seen by experiment (`tests/world/test_tables.py`):
two simultaneous overwrites of a partition that was still empty both succeed and double it, unless they share
an application id; and an application transaction is recorded but never skipped by itself, so the last one is
read before every commit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from fielded.definition.site import Site
from fielded.words.digests import canonical_json
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.data_files import DataFiles, sync

METADATA = "fielded"  # key of the commitInfo under which a commit says what it adds (`metadata_of`)

_ATTEMPTS = 50  # commits tried against other writers before giving up; each costs about 40 ms


class TableMissing(Unreachable):
    """A Delta table is not where the definition and the site say."""


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A table at the version that was its newest when it was looked at.

    Attributes:
        name: as the definition names it.
        uri: where it lies.
        version: Delta version.
        table: opened at that version.
    """

    name: str
    uri: str
    version: int
    table: DeltaTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one commit does.

    Attributes:
        add: data files, already written.
        replace: partition column and value whose present files are removed by the same commit; None appends.
        transactions: application id -> version, recorded with it.
        remove: files whose rows are in `add` too.
        metadata: what is kept of it in the commitInfo, see `metadata_of`; None keeps nothing.
    """

    add: Sequence[AddAction]
    transactions: Mapping[str, int]
    replace: tuple[str, str] | None = None
    remove: Sequence[RemoveAction] = ()
    metadata: Mapping[str, Any] | None = None


def metadata_of(files: DataFiles) -> dict[str, Any]:
    """What a commit keeps of the files that it adds.

    `files`: path -> SHA-256 and rows, taken when the file was finished; `chains`: path -> the stretch of a
    journal that it holds, for drained files only.
    """
    stretches = {} if files.stretch is None else {path: files.stretch.as_dict() for path in files.recorded}
    return {"files": files.recorded, "chains": stretches}


class DeltaTables:
    """Every Delta table of a site.

    Args:
        site: whose root the tables lie under.
    """

    def __init__(self, site: Site) -> None:
        root = site.root.removeprefix("file://")
        if "://" in root:
            scheme = root.partition("://")[0]
            raise WrongUse(f"site.root: got {scheme}://, expected a folder or file:// URI")
        self._root = Path(root)

    def uri(self, name: str) -> str:
        """Where the table `catalog.schema.table` lies: `root/catalog/schema/table`."""
        return str(self._root.joinpath(*name.split(".")))

    def open(self, name: str) -> DeltaTable:
        """The table at its newest version.

        Raises:
            TableMissing: there is none.
            Unreachable: it is there but cannot be read, or the whole root is not there: a disk that is not
                mounted is not a ledger without rows.
        """
        if not self._root.is_dir():
            raise Unreachable(
                f"root: got no folder at {self._root}, expected the folder of all tables. Check root in site.yaml"
            )
        try:
            return DeltaTable(self.uri(name))
        except TableNotFoundError:
            step = "Check population.tables in deployment.yaml and root in site.yaml"
            raise TableMissing(
                f"table {name}: got no Delta table at {self.uri(name)}, expected one. {step}"
            ) from None
        except (DeltaError, OSError) as error:
            raise Unreachable(f"table {name}: cannot be read ({type(error).__name__})") from error

    def find(self, name: str) -> DeltaTable | None:
        """The table at its newest version, or None if there is none."""
        try:
            return self.open(name)
        except TableMissing:
            return None

    def pin(self, name: str) -> TableVersion:
        """The table's newest version, held: what is read later is what was there now."""
        table = self.open(name)
        return TableVersion(name, self.uri(name), table.version(), table)

    def ensure(
        self,
        name: str,
        schema: pa.Schema,
        *,
        partition: str | None = None,
        append_only: bool = False,
        description: str = "",
    ) -> DeltaTable:
        """The table, made if it is not there. Two that make it at once end with one table.

        The log of these tables is never cleaned up: their history is part of the audit (AU-11).
        """
        configuration = {"delta.enableExpiredLogCleanup": "false"}
        if append_only:
            configuration["delta.appendOnly"] = "true"
        try:
            Path(self.uri(name)).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"table {name}: cannot be made ({error.strerror or error})") from error
        table = self.find(name)
        if table is not None:
            return table
        try:
            DeltaTable.create(
                self.uri(name),
                schema=schema,
                mode="ignore",
                partition_by=[partition] if partition else None,
                configuration=configuration,
                description=description or None,
                commit_properties=CommitProperties(max_commit_retries=0),  # or it is made over again, as version 1
            )
        except CommitFailedError:
            pass  # somebody else made it in this moment
        except (DeltaError, OSError) as error:
            raise Unreachable(f"table {name}: cannot be made ({_reason(error)})") from error
        return self.open(name)

    def commit_files(
        self,
        name: str,
        files: DataFiles,
        transactions: Callable[[DeltaTable], Mapping[str, int] | None],
        replace: tuple[str, str] | None = None,
    ) -> bool:
        """Commit written files once, or delete them where that is not to be done any more.

        Args:
            name: the table.
            files: closed.
            transactions: given the newest version, the application transactions to record with the commit,
                or None where the commit is not to be made.
            replace: see `Commit`.

        Returns:
            Whether the files were committed.
        """

        def decide(table: DeltaTable) -> Commit | None:
            recorded = transactions(table)
            if recorded is None:
                return None
            return Commit(add=files.offer(), transactions=recorded, replace=replace, metadata=metadata_of(files))

        if self.commit(name, decide) is not None:
            return True
        # An earlier attempt of ours may have been told that it failed and have happened all the same.
        present = {Path(uri).name for uri in self.open(name).file_uris()}
        if any(Path(action.path).name in present for action in files.added):
            return True
        files.discard()
        return False

    def commit(self, name: str, decide: Callable[[DeltaTable], Commit | None]) -> int | None:
        """Commit what `decide` says of the newest version; ask it again whenever another writer was first.

        Args:
            name: the table.
            decide: given the newest version, what to commit, or None where nothing is left to do. Two
                commits that must not both happen carry the same application id.

        Returns:
            The version committed, or None where `decide` said so.

        Raises:
            Unreachable: other writers were first every time, or the store failed.
        """
        for _ in range(_ATTEMPTS):
            table = self.open(name)
            commit = decide(table)
            if commit is None:
                return None
            try:
                _write(table, commit)
            except CommitFailedError:
                continue
            except (DeltaError, OSError) as error:
                raise Unreachable(f"table {name}: cannot be written ({_reason(error)})") from error
            return table.version() + 1  # `table` stays where it was opened
        raise Unreachable(f"table {name}: got {_ATTEMPTS} commits by others first, expected a turn. Run again")


def _reason(error: Exception) -> str:
    """The error's first line: deltalake may put a stack below it."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _write(table: DeltaTable, commit: Commit) -> None:
    partitions = table.metadata().partition_columns
    table.create_write_transaction(
        [*commit.remove, *commit.add],
        mode="overwrite" if commit.replace else "append",
        schema=table.schema(),
        partition_by=partitions,
        partition_filters=[(commit.replace[0], "=", commit.replace[1])] if commit.replace else None,
        commit_properties=CommitProperties(
            app_transactions=[Transaction(app, version) for app, version in commit.transactions.items()],
            max_commit_retries=0,  # `decide` must see what the other writer did
            custom_metadata=None if commit.metadata is None else {METADATA: canonical_json(commit.metadata)},
        ),
    )
    folder = Path(unquote(table.table_uri.removeprefix("file://")))
    _make_durable(folder, table.version() + 1, commit)  # `table` stays where it was opened


def _make_durable(folder: Path, version: int, commit: Commit) -> None:
    """Put the commit on disk before anybody is told of it: deltalake leaves that to the operating system.

    Without it a power cut could keep the gold table's commit and lose the ledger's, which was made before.
    """
    log = folder / "_delta_log"
    entry = log / f"{version:020d}.json"  # ours: the newest may be another writer's
    for path in {entry, log, folder, *((folder / action.path).parent for action in commit.add)}:
        sync(path)
