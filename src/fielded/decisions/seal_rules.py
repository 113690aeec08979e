"""The rules that a sealed ledger keeps. `fielded audit verify` checks them all and stops at none.

The seals:

1. every checkpoint is signed by a trusted key, names the log of its own table, and stands in the `seals` table
   under its own size, root and time;
2. leaves are numbered from 0 without a gap, each once, each in canonical form and with its own hash;
3. the first `size` leaves have the root that each checkpoint signed: so every checkpoint continues the one before;
4. so do checkpoints that were kept elsewhere, and none of those is larger than the tree;
5. leaves seal versions 0, 1, 2, ... of their table, in order, without a gap;

the table's log:

6. each sealed version's log entry is there with the bytes that were sealed;
7. it adds and removes the files that its leaves say;
8. what readers see (they take short cuts through the log's checkpoints) is what the log says;
9. commits that are not sealed yet are young, and their files have the bytes that they recorded;

the files:

10. each sealed file is there with its size, rows and bytes, unless a later rewrite took its place;
11. a rewrite's files hold the rows whose digest was sealed;

the rows:

12. the stretches of a journal that files were sealed with follow each other from row 1, without a gap or an
    overlap, each from the head where the one before ended;
13. so do the rows themselves, and each row's chain follows from the row before it and its own values;
14. a journaled row lies in the partition of the day it was scored;
15. of a file whose bytes changed, what can be told of its rows.

what a log may say (`decisions.log_rules`), also asked before anything is sealed:

17. a data file has one path, below its own partition, that is added once and never again; only what is live is
    removed; log and leaves agree about what is live, and no two live files are the same bytes;
18. the table's id, partitions, format, protocol and settings stay; columns are added, and nothing else;
19. a file's row count and ranges in the log, by which readers pass over it, enclose those of its footer.

(Rule 16, of journals and receipts, is in `services.verify_anchors`. NIST SP 800-53 AU-9, AU-10 and SI-7; RFC 9162
section 2.1 for the tree.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fielded.decisions.checkpoints import Checkpoint, SignedCheckpoint, parse
from fielded.decisions.merkle import Tree, leaf_hash
from fielded.decisions.seals import Broken, Leaf, LogEntry
from fielded.words.errors import Refused

SEALS = "seals"

Trusts = Callable[[SignedCheckpoint], str]  # why a signature is not believed; empty where it is


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafRow:
    """A row of the `seals` table that should be a leaf."""

    place: int
    version: int
    body: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """A row of the `seals` table that should be a checkpoint."""

    place: int
    version: int
    body: str
    hash: str
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class NumberedLeaf:
    """A leaf and its number in the tree."""

    place: int
    leaf: Leaf


def check_leaves(table: str, rows: Sequence[LeafRow]) -> tuple[Tree, list[NumberedLeaf], list[Broken]]:
    """Rules 2 and 5.

    Args:
        table: whose tree it is.
        rows: as they are, by number.

    Returns:
        The tree over what is there, the leaves that can be read, and what is wrong.
    """
    tree, leaves, broken = Tree(), [], []
    version = -1
    for place, row in enumerate(rows):
        where = f"leaf {row.place} of {table}"
        if row.place != place:
            got, expected = f"leaf {row.place}", f"leaf {len(tree)}"
            broken.append(
                Broken(rule=2, table=SEALS, file=f"{table}: leaf {len(tree)}", got=got, expected=expected)
            )
        hashed = leaf_hash(row.body.encode())
        tree.append(hashed)
        if hashed.hex() != row.hash:
            broken.append(
                Broken(
                    rule=2, table=SEALS, file=where, got=f"a text whose hash is {hashed.hex()}", expected=row.hash
                )
            )
        try:
            leaf = Leaf.parse(row.body)
        except ValueError as error:
            broken.append(
                Broken(rule=2, table=SEALS, file=where, got=str(error), expected="a leaf as it was sealed")
            )
            continue
        leaves.append(NumberedLeaf(row.place, leaf))
        if leaf.table != table or leaf.version != row.version:
            got = f"a leaf of {leaf.table} version {leaf.version}"
            broken.append(
                Broken(rule=2, table=SEALS, file=where, got=got, expected=f"{table} version {row.version}")
            )
        if leaf.version not in (version, version + 1):
            got = f"version {leaf.version} after {version}"
            broken.append(Broken(rule=5, table=SEALS, file=where, got=got, expected=f"version {version + 1}"))
        version = leaf.version
    return tree, leaves, broken


def check_checkpoints(
    table: str, rows: Sequence[CheckpointRow], tree: Tree, origin: str, trusts: Trusts
) -> list[Broken]:
    """Rules 1 and 3.

    Args:
        table: whose tree it is.
        rows: by size.
        tree: over the leaves as they are.
        origin: name of the table's log; empty where it cannot be told.
        trusts: says why a signature is not believed.
    """
    broken: list[Broken] = []
    good = 0
    for row in rows:
        where = f"checkpoint {row.place} of {table}"
        try:
            signed = parse(row.body, where)
        except Refused as refusal:
            broken.append(
                Broken(rule=1, table=SEALS, file=where, got=str(refusal), expected="a signed checkpoint")
            )
            continue
        broken += _trusted(where, signed, origin, trusts)
        checkpoint = signed.checkpoint
        stored = (row.place, row.hash, row.sealed_at)
        if stored != (checkpoint.size, checkpoint.root.hex(), checkpoint.time):
            got = f"size {row.place}, root {row.hash}, time {row.sealed_at.isoformat()} beside it"
            expected = f"size {checkpoint.size}, root {checkpoint.root.hex()}, time {checkpoint.time.isoformat()}"
            broken.append(Broken(rule=1, table=SEALS, file=where, got=got, expected=expected))
        found = check_root(where, checkpoint, tree, good)
        broken += found
        good = good if found else checkpoint.size
    if len(tree) > good and not broken:
        got = f"{len(tree)} leaves, the last checkpoint over {good}"
        broken.append(Broken(rule=3, table=SEALS, file=table, got=got, expected="a checkpoint over all leaves"))
    return broken


def check_copies(table: str, notes: Mapping[str, bytes], tree: Tree, origin: str, trusts: Trusts) -> list[Broken]:
    """Rule 4: checkpoints that were kept elsewhere.

    Args:
        table: whose tree it is.
        notes: where a copy lies -> its bytes.
        tree: over the leaves as they are.
        origin: name of the table's log; empty where it cannot be told.
        trusts: says why a signature is not believed.
    """
    broken: list[Broken] = []
    kept: list[tuple[str, SignedCheckpoint]] = []
    for file, note in notes.items():
        try:
            kept.append((file, parse(note, file)))
        except Refused as refusal:
            broken.append(Broken(rule=4, table=table, file=file, got=str(refusal), expected="a signed checkpoint"))
    good = 0
    for file, signed in sorted(kept, key=lambda pair: (pair[1].checkpoint.size, pair[0])):
        other = check_root(file, signed.checkpoint, tree, good)
        good = good if other else signed.checkpoint.size
        broken += [replace(one, rule=4, table=table) for one in [*_trusted(file, signed, origin, trusts), *other]]
    return broken


def check_root(where: str, checkpoint: Checkpoint, tree: Tree, good: int) -> list[Broken]:
    """Rule 3 for one checkpoint; `good` is the size of the last one before it that held."""
    size = checkpoint.size
    signed = f"root {checkpoint.root.hex()} of {size} leaves, signed at {checkpoint.time.isoformat()}"
    if size > len(tree):
        got = f"{len(tree)} leaves: those from {len(tree)} to {size - 1} are gone"
        return [Broken(rule=3, table=SEALS, file=where, got=got, expected=signed)]
    root = tree.root(size)
    if root == checkpoint.root:
        return []
    since = f"one of the leaves {good} to {size - 1} is another one" if good < size else "another history"
    return [Broken(rule=3, table=SEALS, file=where, got=f"root {root.hex()}: {since}", expected=signed)]


def _trusted(where: str, signed: SignedCheckpoint, origin: str, trusts: Trusts) -> list[Broken]:
    broken = []
    if origin and signed.checkpoint.origin != origin:
        got = f"a checkpoint of {signed.checkpoint.origin}"
        broken.append(Broken(rule=1, table=SEALS, file=where, got=got, expected=origin))
    why = trusts(signed)
    if why:
        broken.append(Broken(rule=1, table=SEALS, file=where, got=why, expected="a signature of a trusted key"))
    return broken


def check_entries(
    table: str, leaves: Sequence[NumberedLeaf], entries: Mapping[int, LogEntry | str]
) -> list[Broken]:
    """Rules 6 and 7.

    Args:
        table: whose log it is.
        leaves: its leaves.
        entries: version -> the entry, or the SHA-256 of one that cannot be read; missing where there is none.
    """
    broken: list[Broken] = []
    for version, sealed in by_version(leaves).items():
        name = f"_delta_log/{version:020d}.json"
        entry = entries.get(version)
        wanted = sealed[0].leaf.log_sha256
        if entry is None:
            got = "no such log entry"
            broken.append(
                Broken(rule=6, table=table, file=name, got=got, expected=f"SHA-256 {wanted}{_adding(sealed)}")
            )
            continue
        sha256 = entry if isinstance(entry, str) else entry.sha256
        for one in sealed:
            if one.leaf.log_sha256 != sha256:
                got, expected = f"SHA-256 {sha256}", f"SHA-256 {one.leaf.log_sha256} as in leaf {one.place}"
                broken.append(Broken(rule=6, table=table, file=name, got=got, expected=expected))
                break
        if not isinstance(entry, str):
            broken += _compare(table, name, sealed, entry)
    return broken


def _adding(sealed: Sequence[NumberedLeaf]) -> str:
    paths = [file.path for one in sealed for file in one.leaf.files]
    return f", which adds {', '.join(paths)}" if paths else ""


def _compare(table: str, name: str, sealed: Sequence[NumberedLeaf], entry: LogEntry) -> list[Broken]:
    """Rule 7: what the entry adds and removes against what its leaves say."""
    broken: list[Broken] = []
    said = {file.path: file for one in sealed for file in one.leaf.files}
    added = {file.path: file for file in entry.added}
    gone = {path for one in sealed for path in one.leaf.removed}
    for path in said.keys() - added.keys():
        got = f"{name} without it"
        broken.append(Broken(rule=7, table=table, file=path, got=got, expected="an entry that adds it"))
    broken += [
        Broken(rule=7, table=table, file=path, got=f"{name} adds it", expected="no leaf seals it")
        for path in added.keys() - said.keys()
    ]
    for path in said.keys() & added.keys():
        found, file = added[path], said[path]
        if found.size != file.size or found.rows not in (None, file.rows):
            got = f"{found.size} bytes, {found.rows} rows in {name}"
            expected = f"{file.size} bytes, {file.rows} rows"
            broken.append(Broken(rule=7, table=table, file=path, got=got, expected=expected))
    for path in gone ^ {file.path for file in entry.removed}:
        got = f"{name} {'keeps' if path in gone else 'removes'} it"
        broken.append(Broken(rule=7, table=table, file=path, got=got, expected="what the version's leaf says"))
    return sorted(broken, key=lambda one: (one.file, one.got))


def by_version(leaves: Iterable[NumberedLeaf]) -> dict[int, list[NumberedLeaf]]:
    """Leaves of each version, in order."""
    found: dict[int, list[NumberedLeaf]] = {}
    for one in leaves:
        found.setdefault(one.leaf.version, []).append(one)
    return found


def replaced_files(leaves: Iterable[NumberedLeaf]) -> dict[str, int]:
    """Path -> number of the rewrite leaf that took its place, of files that are not live in the end."""
    replaced: dict[str, int] = {}
    for one in leaves:
        replaced |= dict.fromkeys(one.leaf.removed, one.place)
        for file in one.leaf.files:
            replaced.pop(file.path, None)
    return replaced
