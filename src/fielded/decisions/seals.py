"""What is sealed: log entries, the leaves made of them, and findings about them.

One leaf is one text, canonical JSON (sorted keys, no spaces, UTF-8), hashed as RFC 9162 section 2.1 asks. Kinds:

- `file`: a data file that a commit added;
- `rewrite`: files of one partition that took the place of others without changing a row, bound to them by a
  digest of the rows that does not depend on their order;
- `commit`: a commit without data files (the table's making, a new column), so that no version is left out.

Every leaf has the SHA-256 of its log entry's bytes. What may be sealed:

1. an entry adds files, or replaces files row for row, or does neither; one that removes rows is refused;
2. a file still has the bytes and rows that its commit recorded;
3. the files that a rewrite removes still have the bytes that were sealed, and its rows are theirs;
4. no deletion vectors: they take rows out of a file without touching it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from fielded.decisions.stretch import Stretch
from fielded.words.digests import canonical_json

Kind = Literal["file", "rewrite", "commit"]

_MOST = 2**53  # of a number in a leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A data file as a log entry adds it.

    Attributes:
        path: below the table's folder.
        partition: column -> value, as text.
        size: bytes.
        rows: as its statistics say; None where they do not.
        data_change: False where no row is new.
        masked: the entry hides some of its rows (deletion vector).
        uri: the path as the entry spells it.
        statistics: ranges of its columns, the entry's JSON text; empty where it has none.
    """

    path: str
    partition: Mapping[str, str | None]
    size: int
    rows: int | None
    data_change: bool
    masked: bool = False
    uri: str = ""
    statistics: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A data file as a log entry removes it; `uri` is the path as the entry spells it."""

    path: str
    data_change: bool
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One commit of a Delta table, read from its log.

    Attributes:
        version: of the table after it.
        sha256: of the entry's bytes.
        unix_ms: when it was written, by its own word; 0 where it does not say.
        added: in the entry's order.
        removed: in the entry's order.
        recorded: path -> `{"sha256", "rows"}`, where fielded made the commit.
        stretches: path -> what it holds of a journal, for drained files.
        settings: those of its actions that say what the table is: `metaData` and `protocol`.
        actions: the entry's JSON objects, in order.
    """

    version: int
    sha256: str
    unix_ms: int
    added: tuple[Added, ...]
    removed: tuple[Removed, ...]
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    settings: tuple[Mapping[str, Any], ...] = ()
    actions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A data file as it was sealed.

    Attributes:
        path: below the table's folder.
        size: bytes.
        rows: how many.
        sha256: of its bytes.
        chain: what it holds of a journal; None for other files.
    """

    path: str
    size: int
    rows: int
    sha256: str
    chain: Stretch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One leaf.

    Attributes:
        kind: see the module.
        table: `predictions`, `quarantine` or `events`.
        version: Delta version that it seals, alone or with other leaves.
        log_sha256: of the bytes of that version's log entry.
        partition: column -> value that the files belong to.
        files: one in a `file` leaf, all new ones in a `rewrite`, none in a `commit`.
        removed: path -> SHA-256 of the files that a `rewrite` replaced.
        rows_sha256: of a `rewrite`: digest of its rows that does not depend on their order.
    """

    kind: Kind
    table: str
    version: int
    log_sha256: str
    partition: Mapping[str, str | None] = field(default_factory=dict)
    files: tuple[SealedFile, ...] = ()
    removed: Mapping[str, str] = field(default_factory=dict)
    rows_sha256: str = ""

    def text(self) -> str:
        """The leaf's canonical JSON; its UTF-8 is what the tree hashes."""
        common: dict[str, Any] = {
            "kind": self.kind,
            "table": self.table,
            "version": self.version,
            "log_sha256": self.log_sha256,
        }
        if self.kind == "file":
            common |= {"partition": dict(self.partition), **_plain(self.files[0])}
        elif self.kind == "rewrite":
            common |= {
                "partition": dict(self.partition),
                "files": [_plain(file) for file in self.files],
                "removed": dict(self.removed),
                "rows_sha256": self.rows_sha256,
            }
        return canonical_json(common)

    @classmethod
    def parse(cls, text: str) -> "Leaf":
        """The leaf of a text.

        Raises:
            ValueError: the text is not what `text` makes.
        """
        try:
            value = json.loads(text)
            _check_types(value)
            files = [value] if value["kind"] == "file" else value.get("files", [])
            leaf = cls(
                kind=value["kind"],
                table=value["table"],
                version=value["version"],
                log_sha256=value["log_sha256"],
                partition=value.get("partition", {}),
                files=tuple(_sealed_file(file) for file in files),
                removed=value.get("removed", {}),
                rows_sha256=value.get("rows_sha256", ""),
            )
            same = leaf.text() == text
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"got a leaf without {error}, expected all of its parts") from None
        if not same:
            raise ValueError("got a leaf that is not in canonical form, expected canonical JSON of a known kind")
        return leaf


def _check_types(value: Mapping[str, Any]) -> None:
    """The types of a leaf's values, which may come from anybody.

    Raises:
        ValueError: one is another.
        KeyError: one is missing.
    """
    kind = value["kind"]
    if kind not in ("file", "rewrite", "commit"):
        raise ValueError("got a leaf of no known kind, expected file, rewrite or commit")
    files = [value] if kind == "file" else value.get("files", [])
    partition, removed = value.get("partition", {}), value.get("removed", {})
    texts = [value["table"], value["log_sha256"], value.get("rows_sha256", ""), *partition, *removed]
    texts += [one for one in partition.values() if one is not None]
    texts += [*removed.values(), *(file[name] for file in files for name in ("path", "sha256"))]
    numbers = [value["version"], *(file[name] for file in files for name in ("size", "rows"))]
    if not all(isinstance(one, str) for one in texts):
        raise ValueError("got a leaf with another value for a text, expected a text")
    if not all(type(one) is int and 0 <= one <= _MOST for one in numbers):
        raise ValueError("got a leaf with another value for a number, expected a whole number")


def _plain(file: SealedFile) -> dict[str, Any]:
    chain = {} if file.chain is None else {"chain": file.chain.as_dict()}
    return {"path": file.path, "size": file.size, "rows": file.rows, "sha256": file.sha256, **chain}


def _sealed_file(value: Mapping[str, Any]) -> SealedFile:
    chain = Stretch(**value["chain"]) if "chain" in value else None
    return SealedFile(
        path=value["path"], size=value["size"], rows=value["rows"], sha256=value["sha256"], chain=chain
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowName:
    """What a person needs to find a row.

    Attributes:
        number: in its file, from 1.
        request_id: of the row.
        subject: of the row.
    """

    number: int
    request_id: str | None
    subject: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One place where the ledger is not what was sealed.

    Attributes:
        rule: number of the rule in `decisions.seal_rules`.
        table: `predictions`, `quarantine`, `events` or `seals`.
        file: data file, log entry or outside copy; empty where it is about the table.
        row: number of the row in the file, from 1; None where it is about the file.
        request_id: of the row, where it can be told.
        subject: of the row, where it can be told.
        got: what was found.
        expected: what was sealed.
    """

    rule: int
    table: str
    file: str = ""
    row: int | None = None
    request_id: str | None = None
    subject: str | None = None
    got: str
    expected: str

    @classmethod
    def of_row(cls, rule: int, table: str, file: str, row: RowName, *, got: str, expected: str) -> "Broken":
        """A finding about one row."""
        return cls(
            rule=rule,
            table=table,
            file=file,
            row=row.number,
            request_id=row.request_id,
            subject=row.subject,
            got=got,
            expected=expected,
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = [self.table, *([self.file] if self.file else [])]
        if self.row is not None:
            place.append(f"row {self.row}")
        named = [f"request {self.request_id}"] if self.request_id else []
        named += [f"subject {self.subject}"] if self.subject else []
        who = f" ({', '.join(named)})" if named else ""
        return f"{': '.join(place)}{who}: got {self.got}, expected {self.expected} [rule {self.rule}]"


def not_sealable(entry: LogEntry) -> list[str]:
    """Why an entry cannot be sealed (rules 1 and 4 of this module): what was found, one text for each reason."""
    reasons = [f"rows hidden in {file.path} by a deletion vector" for file in entry.added if file.masked]
    reasons += [f"rows removed with {file.path}" for file in entry.removed if file.data_change]
    if entry.removed and not reasons:
        reasons += [f"{file.path} added by a commit that rewrites" for file in entry.added if file.data_change]
    return reasons


def leaves_of(
    table: str,
    entry: LogEntry,
    files: Mapping[str, SealedFile],
    rewrites: Mapping[str, tuple[Mapping[str, str], str]],
) -> list[Leaf]:
    """The leaves of an entry that can be sealed.

    Args:
        table: `predictions`, `quarantine` or `events`.
        entry: the entry.
        files: path -> the file, for all that it adds.
        rewrites: partition (`partition_key`) -> what was removed from it (path -> SHA-256), and the digest of
            its rows; for an entry that removes files.
    """
    common: dict[str, Any] = {"table": table, "version": entry.version, "log_sha256": entry.sha256}
    if rewrites:
        groups = by_partition(entry.added)
        return [
            Leaf(
                kind="rewrite",
                **common,
                partition=json.loads(key),
                files=tuple(files[added.path] for added in groups.get(key, ())),
                removed=removed,
                rows_sha256=digest,
            )
            for key, (removed, digest) in sorted(rewrites.items())
        ]
    if not entry.added:
        return [Leaf(kind="commit", **common)]
    return [
        Leaf(kind="file", **common, partition=added.partition, files=(files[added.path],)) for added in entry.added
    ]


def partition_key(partition: Mapping[str, str | None]) -> str:
    """A partition as one text, to group by."""
    return canonical_json(dict(partition))


def by_partition(added: Sequence[Added]) -> dict[str, list[Added]]:
    """Files of each partition, by `partition_key`."""
    groups: dict[str, list[Added]] = {}
    for file in added:
        groups.setdefault(partition_key(file.partition), []).append(file)
    return groups
