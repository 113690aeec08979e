"""Rows with proof, for somebody who has neither this package nor access to the ledger.

What goes out: the rows; the data files they stand in, whole, for a file is what is sealed; the leaf of each file
with the hashes that lead from it to the signed root; the signed checkpoint; the definition that scored them; and a
program that checks all of it. What the reader must have from elsewhere is the public key.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files as package_files
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fielded.decisions.checkpoints import SignedCheckpoint, parse
from fielded.decisions.merkle import Tree, leaf_hash
from fielded.decisions.plain_rows import plain
from fielded.decisions.rows import PARTITION
from fielded.decisions.seals import Leaf, SealedFile
from fielded.services.seal import LedgerBooks
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.keys import PublicKey, trusted_keys, verify_checkpoint
from fielded.world.ledger import Ledger
from fielded.world.ledger_tables import ledger_tables
from fielded.world.row_places import places_of, places_on
from fielded.world.seals import Seals

FORMAT = "fielded export 1"

_TREE = "predictions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows: of one subject, or with some request ids, or of one day.

    Attributes:
        subject: what the scores are about.
        request_ids: of single rows.
        day: partition.
    """

    subject: str | None = None
    request_ids: tuple[str, ...] = ()
    day: date | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what was asked for."""
        if self.request_ids:
            return {"request_ids": list(dict.fromkeys(self.request_ids))}
        return {"subject": self.subject} if self.day is None else {"day": plain(self.day)}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        rows: how many.
        files: whole data files that hold them.
        octets: bytes of those files.
    """

    folder: Path
    rows: int
    files: int
    octets: int


@dataclass(frozen=True, slots=True)
class _Proof:
    """A data file and what proves it."""

    file: SealedFile
    leaf: Leaf
    place: int


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The newest checkpoint of the tree, and the tree."""

    note: str
    signed: SignedCheckpoint
    key: PublicKey
    tree: Tree
    proofs: Mapping[str, _Proof]


def export(books: LedgerBooks, selection: Selection, folder: Path) -> Exported:
    """Write rows of the `predictions` table with their proof.

    Args:
        books: the deployment at its site.
        selection: which rows; those that still wait in a journal are none yet.
        folder: made, or there and empty.

    Raises:
        WrongUse: no such row, nothing or several things selected, or something is in the folder.
        Refused: rows that are not sealed yet, or a ledger that is not as it was sealed.
        Unreachable: the folder cannot be written.
    """
    if sum([selection.subject is not None, bool(selection.request_ids), selection.day is not None]) != 1:
        raise WrongUse("export: expected one of a subject, request ids or a day")
    source = Path(books.tables.uri(ledger_tables(books.site, books.deployment.name).predictions))
    places = _places(books, selection)
    sealed = _sealed(books)
    missing = sorted(places.keys() - sealed.proofs.keys())
    if missing:
        raise Refused(
            f"{_TREE}: got rows in {', '.join(missing)}, which is not sealed yet, expected sealed files. "
            "Run `fielded audit seal`"
        )
    _check_bytes(source, [sealed.proofs[path].file for path in places])
    try:
        _make_empty(folder)
        rows = _write_rows(folder, source, places)
        _write_proofs(folder, source, books, sealed, places, selection)
        _write_definitions(folder, books, {str(row["definition_sha256"]) for row in rows})
    except OSError as error:
        raise Unreachable(f"{folder}: cannot be written ({error.strerror or error})") from error
    octets = sum(sealed.proofs[path].file.size for path in places)
    return Exported(folder, len(rows), len(places), octets)


def _places(books: LedgerBooks, selection: Selection) -> dict[str, list[int]]:
    table = books.tables.open(ledger_tables(books.site, books.deployment.name).predictions)
    if selection.day is not None:
        places = places_on(table, selection.day)
    elif selection.subject is not None:
        places = places_of(table, "subject", {selection.subject})
    else:
        places = places_of(table, "request_id", set(selection.request_ids))
        found = sum(len(rows) for rows in places.values())
        if found != len(set(selection.request_ids)):
            raise WrongUse(
                f"request ids: got {found} rows for {len(set(selection.request_ids))} ids, expected one each, as "
                "`fielded audit find SUBJECT` lists them"
            )
    if not places:
        raise WrongUse(f"export: got no row for {selection.as_dict()}, expected at least one in the ledger")
    return places


def _sealed(books: LedgerBooks) -> _Sealed:
    """The tree, as far as its newest checkpoint goes, if that holds."""
    stored = Seals(books.tables, books.site, books.deployment.name).stored()
    checkpoints = stored.checkpoints.get(_TREE, [])
    if not checkpoints:
        raise Refused(f"{_TREE}: got no checkpoint, expected a sealed ledger. Run `fielded audit seal`")
    where = f"checkpoint {checkpoints[-1].place} of {_TREE}"
    signed = parse(checkpoints[-1].body, where)
    key = verify_checkpoint(signed, trusted_keys(books.site), where)
    rows = stored.leaves.get(_TREE, [])[: signed.checkpoint.size]
    tree = Tree(leaf_hash(row.body.encode()) for row in rows)
    if (len(tree), tree.root()) != (signed.checkpoint.size, signed.checkpoint.root):
        raise Refused(f"{where}: got other leaves, expected those that were sealed. Run `fielded audit verify`")
    proofs = {
        file.path: _Proof(file, leaf, place)
        for place, leaf in enumerate(Leaf.parse(row.body) for row in rows)
        for file in leaf.files
    }
    return _Sealed(checkpoints[-1].body, signed, key, tree, proofs)


def _check_bytes(source: Path, files: Sequence[SealedFile]) -> None:
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or str(path) != file.path:
            raise Refused(f"{_TREE}: got data file {file.path}, expected a plain path below the table's folder")
        with (source / file.path).open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 != file.sha256:
            raise Refused(
                f"{_TREE}: {file.path}: got SHA-256 {sha256}, expected {file.sha256}. Run `fielded audit verify`"
            )


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise WrongUse(f"{folder}: got a folder with something in it, expected an empty one or none")


def _write_rows(folder: Path, source: Path, places: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    """`rows.jsonl` and `rows.parquet`: the rows, each with its file and its number there (from 1)."""
    tables = []
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as lines:
        for path in sorted(places):
            rows = pq.read_table(source / path, partitioning=None).take(pa.array(places[path], pa.int64()))
            numbers = [place + 1 for place in places[path]]
            for number, values in zip(numbers, rows.to_pylist(), strict=True):
                line = {"file": path, "row": number, "values": plain(values)}
                lines.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            place = {"file": pa.array([path] * len(numbers)), "row": pa.array(numbers, pa.int64())}
            tables.append(pa.table({**place, **dict(zip(rows.column_names, rows.columns, strict=True))}))
    together = pa.concat_tables(tables, promote_options="default")
    pq.write_table(together, folder / "rows.parquet", compression="zstd")
    rows_named: list[dict[str, Any]] = together.select(["definition_sha256"]).to_pylist()
    return rows_named


def _write_proofs(
    folder: Path,
    source: Path,
    books: LedgerBooks,
    sealed: _Sealed,
    places: Mapping[str, list[int]],
    selection: Selection,
) -> None:
    for path in places:
        copy = folder / "data" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, copy)
    (folder / "checkpoint.note").write_text(sealed.note, encoding="utf-8")
    (folder / "keys").mkdir()
    (folder / "keys" / f"{sealed.key.key_id[:16]}.pem").write_text(sealed.key.pem, encoding="ascii")
    leaves = sorted({proof.place: proof.leaf for proof in map(sealed.proofs.__getitem__, places)}.items())
    manifest = {
        "format": FORMAT,
        "deployment": books.deployment.name,
        "table": _TREE,
        "partition": PARTITION,
        "asked": selection.as_dict(),
        "made_at": plain(books.clock()),
        "rows": sum(len(rows) for rows in places.values()),
        "leaves": [
            {
                "index": place,
                "leaf": leaf.text(),
                "proof": [step.hex() for step in sealed.tree.inclusion_proof(place)],
            }
            for place, leaf in leaves
        ],
    }
    (folder / "export.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False), encoding="utf-8")
    program = package_files("fielded.standalone").joinpath("verify_export.py").read_text(encoding="utf-8")
    (folder / "verify_export.py").write_text(program, encoding="utf-8")
    facts = {
        "rows": manifest["rows"],
        "asked": ", ".join(f"{name} {value}" for name, value in selection.as_dict().items()),
        "deployment": books.deployment.name,
        "size": sealed.signed.checkpoint.size,
        "time": plain(sealed.signed.checkpoint.time),
        "key": sealed.key.key_id,
    }
    (folder / "README.md").write_text(_README.format(**facts), encoding="utf-8")


def _write_definitions(folder: Path, books: LedgerBooks, wanted: set[str]) -> None:
    """The texts behind the rows' `definition_sha256`, from the ledger's events."""
    ledger = Ledger(books.tables, books.site, books.deployment.name)
    for event in ledger.events_of("definition_recorded"):
        if event["about"] in wanted:
            for name, text in _texts(event["details"]):
                path = folder / "definitions" / event["about"] / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())


def _texts(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """File names and texts; a name that leads out of its folder is left out."""
    for name, text in details.items():
        if isinstance(text, str) and not Path(name).is_absolute() and ".." not in Path(name).parts:
            yield name, text


_README = """\
# Predictions of {deployment}, with proof

{rows} rows ({asked}), proven by a checkpoint over {size} leaves that was signed at {time}.

    python verify_export.py --key PUBLIC_KEY.pem

needs Python 3.11 with the packages `pyarrow` and `cryptography`, nothing else. It says `VERIFIED` and exits with
0, or names what is wrong and exits with 1. It prints of which deployment and table the rows are, what was asked
for, and when the checkpoint was signed: believe that, not this text. Get the public key, and the program or its
SHA-256, from the office that keeps the ledger, by another way than this folder; the SHA-256 (DER) of the key
should be

    {key}

Without `--key` the program uses the key in `keys/`: that shows only that this folder fits together, for whoever
forged the folder would have put their own key there.

| File | What |
|---|---|
| `rows.jsonl`, `rows.parquet` | the rows, each with its data file and its number there |
| `data/` | those data files, whole, for a file is what is sealed. They hold other rows too: handle with care |
| `export.json` | the leaf of each file, and the hashes that lead from it to the signed root (RFC 9162) |
| `checkpoint.note` | the signed root (C2SP tlog-checkpoint) |
| `definitions/` | the definitions that the rows name by their digest |

What is proven: these rows are unaltered; they were in files of the ledger when the checkpoint was signed; and
within the enclosed files they are complete. Of a subject, every row in the enclosed files is here. Of a day, every
row of each enclosed file is here, and the files are of that day. Of request ids, exactly those rows are here. Rows
of the API stand in the order in which they were answered, none changed since.

What is not proven: that the ledger has no other rows of the subject or the day, in files that are not enclosed;
that the signer's clock was right; that the ledger is whole. For that, compare the checkpoint with copies kept
elsewhere, or see `fielded audit verify` run on the ledger.
"""
