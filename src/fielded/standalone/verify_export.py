"""Check an export of a fielded ledger. Needs pyarrow and cryptography; shares no code with fielded.

    python verify_export.py [FOLDER] --key PUBLIC_KEY.pem

FOLDER is where this program lies, if none is named. Exit code: 0 verified, 1 not, 2 wrong use.

What is checked, in this order; all that is wrong is told, not only the first:

 1. the checkpoint is signed by the key (Ed25519, or ECDSA P-256 with SHA-256), over its text;
 2. each leaf leads to the checkpoint's root by its proof (RFC 9162, section 2.1.3.2);
 3. each data file has the size, SHA-256 and number of rows that its leaf says; there is no other data file;
 4. each exported row stands in such a file, at its number, with its values; in both forms, JSON and Parquet, and
    neither has anything besides;
 5. the exported rows are all those of the enclosed files that were asked for, and no others: of the subject, of
    the day (each row of each file, and the day is that of the leaf), or with the request ids, each exactly once;
 6. rows of the API carry a hash chain: it is computed again for all of a file's rows, from the head before them to
    the head after them;
 7. the definitions have the digests that the rows name.

Every JSON object has exactly the keys it should, each once: two readers must not see two things.

This is one file, though a long one: it goes out with every export, and whoever gets it should be able to read it
from top to bottom.
"""

import argparse
import base64
import hashlib
import json
import math
import re
import struct
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

FORMAT = "fielded export 1"
PARTITION = "scored_date"
NOT_ENCODED = ("chain", PARTITION)  # the chain is made of the row, the partition of a column that is there
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
READ = ("export.json", "checkpoint.note", "rows.jsonl", "rows.parquet", "data", "definitions", "keys")

# The keys of each JSON object, and what they hold.
MANIFEST = {
    "format": str, "deployment": str, "table": str, "partition": str, "asked": dict, "made_at": str, "rows": int,
    "leaves": list,
}  # fmt: skip
ITEM = {"index": int, "leaf": str, "proof": list}
LEAF = {"kind": str, "table": str, "version": int, "log_sha256": str, "partition": dict}
REWRITE = {"files": list, "removed": dict, "rows_sha256": str}
FILE = {"path": str, "size": int, "rows": int, "sha256": str}
CHAIN = {"journal": str, "first": int, "last": int, "before": str, "after": str}
LINE = {"file": str, "row": int, "values": dict}
ASKED = {"subject": str, "request_ids": list, "day": str}


class Wrong(Exception):
    """Something does not hold."""


class Findings:
    """What is wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def add(self, text: str) -> None:
        self.wrong.append(text)


@dataclass(frozen=True)
class Enclosed:
    """A data file that a leaf proves: its rows, the day it belongs to, what it holds of a journal."""

    table: pa.Table
    day: str | None
    chain: dict[str, Any] | None


FAULTS = (
    Wrong, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    pa.ArrowException,
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the checks; the exit code."""
    parser = argparse.ArgumentParser(description="Check an export of a fielded ledger.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", type=Path, action="append", default=[], help="public key in PEM that you trust")
    chosen = parser.parse_args(arguments)
    if not (chosen.folder / "export.json").is_file():
        print(f"{chosen.folder}: no export.json here, expected the folder of an export", file=sys.stderr)
        return 2
    findings, told = Findings(), []
    try:
        told = check(chosen.folder, chosen.key or sorted((chosen.folder / "keys").glob("*.pem")), findings)
    except FAULTS as error:
        findings.add(f"{type(error).__name__}: {error}")
    for text in findings.wrong:
        print(f"WRONG: {shown(text)}")
    if not chosen.key:
        print(LOUD)
    if findings.wrong or not told:
        print(f"NOT VERIFIED: {len(findings.wrong)} things are wrong")
        return 1
    print(f"{'VERIFIED' if chosen.key else 'FITS TOGETHER, SIGNER NOT CHECKED'}: {shown(told[0])}")
    for text in told[1:]:
        print(f"  {shown(text)}")
    return 0


LOUD = """\
!!! No --key was given. The signature was checked against the key that lies in the export itself.
!!! Whoever makes a false export puts a key of their own there. Get the public key by another way and give it."""


PROVEN = (
    "Proven: these rows are unaltered, and they are all in the enclosed files that were asked for. "
    "Not proven: that the ledger has no other rows of the subject or day, in files that are not enclosed."
)


def shown(text: str) -> str:
    """A text as one line, whatever a forger wrote into it."""
    return "".join(
        char if char.isprintable() and char.isascii() else char.encode("unicode_escape").decode() for char in text
    )


def check(folder: Path, keys: list[Path], findings: Findings) -> list[str]:
    """All checks; what to say if nothing is wrong."""
    check_links(folder)
    manifest = strict((folder / "export.json").read_bytes().decode(), "export.json")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Wrong(f"export.json is of another format, this program knows {FORMAT!r}")
    expect(manifest, MANIFEST, "export.json")
    note = (folder / "checkpoint.note").read_bytes().decode()
    origin, size, root, moment = checkpoint(note, [load_key(path) for path in keys])
    expected = f"fielded/{manifest['deployment']}/{manifest['table']}/"
    table_id = origin.removeprefix(expected)
    if not origin.startswith(expected) or not table_id or "/" in table_id:
        findings.add(f"the checkpoint is of {origin}, not of {expected}...")
    if manifest["partition"] != PARTITION:
        findings.add(f"export.json: partition {manifest['partition']}, expected {PARTITION}")
    enclosed = data_files(folder, proven_leaves(manifest, size, root, findings), findings)
    rows = exported_rows(folder, manifest, enclosed, findings)
    asked = check_asked(manifest["asked"], enclosed, rows, findings)
    compare_parquet(folder, enclosed, rows, findings)
    chained = sum(check_chain(path, file.table, file.chain, findings) for path, file in enclosed.items())
    check_definitions(folder, {str(row["values"].get("definition_sha256")) for row in rows}, findings)
    return [
        f"{len(rows)} rows in {len(enclosed)} data files, {chained} rows of the API with their chain",
        f"deployment  {manifest['deployment']}",
        f"table       {manifest['table']}",
        f"table id    {table_id}",
        f"asked       {asked}",
        f"checkpoint  {size} leaves, signed at {moment}",
        PROVEN,
    ]


def strict(text: str, where: str) -> Any:
    """JSON, in which no object has a key twice and every number is one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        if twice:
            raise Wrong(f"{where}: an object has {', '.join(twice)} more than once")
        return dict(pairs)

    def refuse(constant: str) -> NoReturn:
        raise Wrong(f"{where}: {constant} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except ValueError as error:
        raise Wrong(f"{where}: no JSON ({error})") from None


def expect(value: Any, fields: dict[str, type], where: str) -> None:
    """Whether an object has exactly some keys, each with a value of its type."""
    if not isinstance(value, dict):
        raise Wrong(f"{where}: expected an object")
    if value.keys() != fields.keys():
        raise Wrong(f"{where}: keys {', '.join(sorted(value))}, expected exactly {', '.join(sorted(fields))}")
    other = [name for name, kind in fields.items() if type(value[name]) is not kind]
    if other:
        raise Wrong(f"{where}: {', '.join(other)} not of the type that was expected")


def check_links(folder: Path) -> None:
    """All that is read lies in the export: no symbolic links, nothing that is neither file nor folder."""
    for top in (folder / name for name in READ):
        for path in (top, *(top.rglob("*") if top.is_dir() and not top.is_symlink() else ())):
            if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
                raise Wrong(f"{path.relative_to(folder).as_posix()} is a link or no plain file")


def load_key(path: Path) -> Any:
    """A public key in PEM."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise Wrong(f"{path} is no public key in PEM") from None
    p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if not p256 and not isinstance(key, ed25519.Ed25519PublicKey):
        raise Wrong(f"{path} is a key of another kind than Ed25519 and ECDSA P-256")
    return key


def checkpoint(note: str, keys: list[Any]) -> tuple[str, int, bytes, str]:
    """Origin, size, root and time of a checkpoint that one of the keys signed."""
    body, blank, signatures = note.partition("\n\n")
    body += "\n"
    origin, size, root, moment, *rest = body.split("\n")
    if not blank or rest != [""] or not moment.startswith("time "):
        raise Wrong(
            "checkpoint.note has not the four lines origin, size, root, time, and signatures after a blank one"
        )
    for line in signatures.splitlines():
        dash, _, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)[4:]  # 4 bytes of key id: a hint, no proof
        if dash == "\N{EM DASH}" and any(signed(key, signature, body.encode()) for key in keys):
            return origin, int(size), base64.b64decode(root, validate=True), moment.removeprefix("time ")
    raise Wrong("the checkpoint is not signed by the given key")


def signed(key: Any, signature: bytes, text: bytes) -> bool:
    """Whether a key made a signature."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, text)
        else:
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Whether a leaf is number `index` of `size` under a root.

    From the root down: of n > 1 leaves, as many as the largest power of 2 below n are on the left. The proof has
    the hash of the side that was not taken, for each step down, the last of them first.
    """

    def climb(index: int, size: int, proof: list[bytes]) -> bytes:
        if size == 1:
            if proof:
                raise Wrong("too long a proof")
            return hashlib.sha256(b"\x00" + leaf).digest()
        if not proof:
            raise Wrong("too short a proof")
        left = 1 << ((size - 1).bit_length() - 1)
        *below, other = proof
        if index < left:
            return hashlib.sha256(b"\x01" + climb(index, left, below) + other).digest()
        return hashlib.sha256(b"\x01" + other + climb(index - left, size - left, below)).digest()

    try:
        return 0 <= index < size and climb(index, size, proof) == root
    except Wrong:
        return False


def proven_leaves(manifest: dict[str, Any], size: int, root: bytes, findings: Findings) -> list[dict[str, Any]]:
    """The leaves of export.json that lead to the root and are of data files of its table."""
    proven: dict[int, dict[str, Any]] = {}
    for item in manifest["leaves"]:
        try:
            leaf = proven_leaf(item, manifest["table"], size, root)
            if proven.setdefault(item["index"], leaf) is not leaf:
                findings.add(f"leaf {item['index']} is there more than once")
        except (Wrong, ValueError, TypeError, AttributeError, RecursionError) as error:
            findings.add(str(error))
    return list(proven.values())


def proven_leaf(item: Any, table: str, size: int, root: bytes) -> dict[str, Any]:
    """One of them, with its data files under `files`."""
    expect(item, ITEM, "export.json: a leaf")
    where = f"leaf {item['index']}"
    proof = [bytes.fromhex(step) for step in item["proof"]]
    if not included(item["leaf"].encode(), item["index"], size, proof, root):
        raise Wrong(f"{where} does not lead to the signed root")
    leaf = strict(item["leaf"], where)
    files = files_of(leaf, where)
    if leaf["table"] != table:
        raise Wrong(f"{where} is of table {leaf['table']}")
    return {**leaf, "files": files}


def files_of(leaf: Any, where: str) -> list[dict[str, Any]]:
    """The data files of a leaf."""
    kind = leaf.get("kind") if isinstance(leaf, dict) else None
    if kind not in ("file", "rewrite"):
        raise Wrong(f"{where} is of no data file")

    def with_chain(value: Any) -> dict[str, type]:
        return {**FILE, "chain": dict} if isinstance(value, dict) and "chain" in value else FILE

    expect(leaf, {**LEAF, **(REWRITE if kind == "rewrite" else with_chain(leaf))}, where)
    files: list[dict[str, Any]] = leaf["files"] if kind == "rewrite" else [leaf]
    for file in files:
        if kind == "rewrite":
            expect(file, with_chain(file), where)
        if "chain" in file:
            expect(file["chain"], CHAIN, where)
    return files


def data_files(folder: Path, leaves: list[dict[str, Any]], findings: Findings) -> dict[str, Enclosed]:
    """Path -> data file that is as its leaf says."""
    enclosed: dict[str, Enclosed] = {}
    named: dict[str, str] = {}
    for leaf in leaves:
        there = [file for file in leaf["files"] if safe_path(folder, file["path"]).is_file()]
        if not there:  # the leaf of a rewrite may speak of more files than the rows need
            findings.add(f"{', '.join(file['path'] for file in leaf['files'])}: a leaf, but no data file")
        for file in there:
            if named.setdefault(file["path"], file["sha256"]) != file["sha256"]:
                findings.add(f"{file['path']}: two leaves that do not agree")
            elif (table := data_file(folder, file, findings)) is not None:
                enclosed[file["path"]] = Enclosed(table, leaf["partition"].get(PARTITION), file.get("chain"))
    found = (path for path in (folder / "data").rglob("*") if not path.is_dir())
    for more in sorted({path.relative_to(folder / "data").as_posix() for path in found} - named.keys()):
        findings.add(f"{more}: a data file that no leaf proves")
    return enclosed


def safe_path(folder: Path, path: str) -> Path:
    """Where a data file lies; its path is relative, in its plainest form, and leads nowhere else."""
    plain = PurePosixPath(path)
    odd = "\\" in path or not path.isprintable() or str(plain) != path or PureWindowsPath(path).anchor
    if odd or plain.is_absolute() or ".." in plain.parts or plain == PurePosixPath():
        raise Wrong(f"{path!r} leads out of the export, or is not written as a relative path should be")
    return folder / "data" / path


def data_file(folder: Path, file: dict[str, Any], findings: Findings) -> pa.Table | None:
    """The rows of a data file; None where it is not as its leaf says."""
    octets = safe_path(folder, file["path"]).read_bytes()
    found = (len(octets), hashlib.sha256(octets).hexdigest())
    if found != (file["size"], file["sha256"]):
        findings.add(f"{file['path']}: {found[0]} bytes with SHA-256 {found[1]}, the leaf says {file['sha256']}")
        return None
    table = parquet(octets)
    if table.num_rows != file["rows"]:
        findings.add(f"{file['path']}: {table.num_rows} rows, the leaf says {file['rows']}")
    return table


def parquet(octets: bytes) -> pa.Table:
    """All columns as they are in the file: none made of folder names, none joined; in this thread alone."""
    return pq.ParquetFile(pa.BufferReader(octets)).read(use_threads=False)


def exported_rows(
    folder: Path, manifest: dict[str, Any], enclosed: dict[str, Enclosed], findings: Findings
) -> list[dict[str, Any]]:
    """The lines of rows.jsonl, compared with the data files."""
    rows: list[dict[str, Any]] = []
    places: dict[str, list[dict[str, Any]]] = {}
    with (folder / "rows.jsonl").open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = strict(line, f"rows.jsonl line {number}")
                expect(row, LINE, f"rows.jsonl line {number}")
            except (Wrong, RecursionError) as error:
                findings.add(str(error))
                continue
            rows.append(row)
            places.setdefault(row["file"], []).append(row)
    if not rows:
        findings.add("nothing to verify: rows.jsonl has no rows")
    if len(rows) != manifest["rows"]:
        findings.add(f"rows.jsonl has {len(rows)} rows, export.json says {manifest['rows']}")
    if len({(row["file"], row["row"]) for row in rows}) != len(rows):
        findings.add("rows.jsonl has a row more than once")
    if len({json.dumps(row["values"].get("request_id")) for row in rows}) != len(rows):
        findings.add("rows.jsonl has a request id more than once")
    for path, told in places.items():
        compare_rows(path, told, enclosed[path].table if path in enclosed else None, findings)
    return rows


def compare_rows(path: str, told: list[dict[str, Any]], table: pa.Table | None, findings: Findings) -> None:
    """Rows of the export against the data file that they are said to stand in."""
    if table is None:
        findings.add(f"{path}: {len(told)} exported rows, but no proven data file")
        return
    there = [row for row in told if 1 <= row["row"] <= table.num_rows]
    if len(there) != len(told):
        findings.add(f"{path}: {len(told) - len(there)} exported rows past its {table.num_rows} rows")
    stands = table.take(pa.array([row["row"] - 1 for row in there], pa.int64())).to_pylist()
    for row, found in zip(there, stands, strict=True):
        kept = as_json(found)
        names = sorted(name for name in kept.keys() | row["values"].keys() if not same(kept, row["values"], name))
        if names:
            findings.add(f"{path} row {row['row']}: {', '.join(names)} differ from the data file")


def check_asked(
    asked: dict[str, Any], enclosed: dict[str, Enclosed], rows: list[dict[str, Any]], findings: Findings
) -> str:
    """The rows are all those of the enclosed files that were asked for, and no others; what was asked for."""
    name = next(iter(asked), "")
    if name not in ASKED:
        raise Wrong("export.json: asked: expected one of subject, request_ids, day")
    expect(asked, {name: ASKED[name]}, "export.json: asked")
    if name == "day":
        wanted = rows_of_day(asked["day"], enclosed, findings)
    elif name == "subject":
        wanted = rows_with("subject", [asked["subject"]], enclosed)[0]
    else:
        wanted, found = rows_with("request_id", asked["request_ids"], enclosed)
        if found != Counter(asked["request_ids"]):
            findings.add("the request ids that were asked for are not in the enclosed files, each exactly once")
    told = Counter((row["file"], row["row"]) for row in rows)
    for path, count in Counter(path for path, _ in wanted - told).items():
        findings.add(f"{path}: {count} rows that were asked for are not exported")
    for path, count in Counter(path for path, _ in told - wanted).items():
        findings.add(f"{path}: {count} exported rows are not among those that were asked for")
    return f"{name} {', '.join(asked[name]) if name == 'request_ids' else asked[name]}"


def rows_of_day(day: str, enclosed: dict[str, Enclosed], findings: Findings) -> Counter[tuple[str, int]]:
    """File and number of each row of a day; no file is of another."""
    for path, file in enclosed.items():
        if file.day != day:
            findings.add(f"{path}: its leaf is of day {file.day}, not of {day} that was asked for")
    return Counter(
        (path, number)
        for path, file in enclosed.items()
        if file.day == day
        for number in range(1, file.table.num_rows + 1)
    )


def rows_with(
    column: str, sought: list[str], enclosed: dict[str, Enclosed]
) -> tuple[Counter[tuple[str, int]], Counter[str]]:
    """File and number of each row with one of some texts in a column, and how often each text is there."""
    texts = frozenset(sought)
    places = [
        ((path, number), value)
        for path, file in enclosed.items()
        for number, value in enumerate(file.table.column(column).to_pylist(), start=1)
        if value in texts
    ]
    return Counter(place for place, _ in places), Counter(value for _, value in places)


def same(kept: dict[str, Any], told: dict[str, Any], name: str) -> bool:
    """Whether two rows have one value under a name; -0.0 is not 0.0, true is not 1."""
    return name in kept and name in told and json.dumps(kept[name]) == json.dumps(told[name])


def compare_parquet(
    folder: Path, enclosed: dict[str, Enclosed], rows: list[dict[str, Any]], findings: Findings
) -> None:
    """rows.parquet says the same as rows.jsonl, and has the columns of the data files and no others."""
    table = parquet((folder / "rows.parquet").read_bytes())
    place = pa.schema([("file", pa.string()), ("row", pa.int64())])
    schemas = [place, *(file.table.schema.remove_metadata() for file in enclosed.values())]
    known = column_types(pa.unify_schemas(schemas, promote_options="default"))
    told = column_types(table.schema)
    odd = sorted(set(told) ^ set(known))
    if odd:
        names = ", ".join(f"{name} ({kind})" for name, kind in odd)
        findings.add(f"rows.parquet: columns that it should not have, or should: {names}")
    if len(told) != len({name for name, _ in told}):
        findings.add("rows.parquet has a column more than once")
        return
    others = table.to_pylist()
    if len(others) != len(rows):
        findings.add(f"rows.parquet has {len(others)} rows, rows.jsonl {len(rows)}")
        return
    for row, other in zip(rows, others, strict=True):
        line = {"file": row["file"], "row": row["row"], **row["values"]}
        if without_nulls(as_json(other)) != without_nulls(line):
            findings.add(f"{row['file']} row {row['row']}: rows.parquet differs from rows.jsonl")


def column_types(fields: Any) -> list[tuple[str, str]]:
    """Names and types of columns, of structs each part."""
    types = []
    for field in fields:
        if pa.types.is_struct(field.type):
            types += [(f"{field.name}.{name}", kind) for name, kind in column_types(field.type)]
        else:
            types.append((field.name, str(field.type)))
    return types


def without_nulls(value: Any) -> str:
    """A row as text, less what is null."""

    def bare(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: bare(inner) for name, inner in sorted(part.items()) if inner is not None}
        return part

    return json.dumps(bare(value), sort_keys=True)


def as_json(value: Any) -> Any:
    """A value as the export writes it."""
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return value


def check_chain(path: str, table: pa.Table, chain: dict[str, Any] | None, findings: Findings) -> int:
    """The chain of a file's journaled rows; how many there are.

    A drained file (`chain` in its leaf) is one stretch of a journal from head to head. In other files, those of a
    rewrite, each row is checked against its journal's row before it, where the file has that one.
    """
    if "chain" not in table.column_names:
        if chain:
            findings.add(f"{path}: sealed with a chain, but has no column chain")
        return 0
    if chain is None and table["journal"].null_count == table.num_rows:
        return 0
    head = bytes.fromhex(chain["before"]) if chain else None
    number = chain["first"] if chain else None
    heads: dict[tuple[str, int], bytes] = {}
    count = 0
    digests = [hashlib.sha256(octets).digest() for octets in encoded_rows(table)]
    columns = (table.column(name).to_pylist() for name in ("journal", "journal_sequence", "chain"))
    for place, (journal, sequence, kept) in enumerate(zip(*columns, strict=True), start=1):
        if journal is None:
            continue
        count += 1
        if chain and (journal, sequence) != (chain["journal"], number):
            findings.add(f"{path} row {place}: row {sequence} of journal {journal}, expected row {number}")
        before = (
            head if chain else heads.get((journal, sequence - 1), start_of(journal) if sequence == 1 else None)
        )
        if before is not None and hashlib.sha256(before + digests[place - 1]).hexdigest() != kept:
            findings.add(f"{path} row {place}: its values are not those of its chain")
        head, number = bytes.fromhex(kept), sequence + 1
        heads[journal, sequence] = head
    if chain and (head is None or head.hex() != chain["after"] or number != chain["last"] + 1):
        findings.add(f"{path}: its rows do not end at row {chain['last']} with the head that was sealed")
    return count


def start_of(journal: str) -> bytes:
    """The head of a journal's chain before its first row."""
    return hashlib.sha256(b"fielded journal v1\n" + journal.encode()).digest()


def encoded_rows(table: pa.Table) -> list[bytes]:
    """The canonical bytes of each row, version 1.

    For every value that is not null, parts of structs included, in the order of the names' bytes (UTF-8; a part is
    named `struct.part`): the name behind its length (2 bytes), a tag, the value. Numbers are little-endian.
    """
    leaves: list[tuple[bytes, pa.ChunkedArray]] = []

    def descend(name: str, column: pa.ChunkedArray) -> None:
        if pa.types.is_struct(column.type):
            flat = pa.table({"it": column}).flatten()  # a part of a struct that is null is null
            for part, inner in zip(column.type, flat.columns, strict=True):
                descend(f"{name}.{part.name}", inner)
        else:
            leaves.append((name.encode(), column))

    for name in table.column_names:
        if name not in NOT_ENCODED:
            descend(name, table.column(name))
    rows = [bytearray() for _ in range(table.num_rows)]
    for name, column in sorted(leaves, key=lambda leaf: leaf[0]):
        opening = struct.pack("<H", len(name)) + name
        for row, value in zip(rows, column.to_pylist(), strict=True):
            if value is not None:
                row.extend(opening + encoded(value))
    return [bytes(row) for row in rows]


def encoded(value: Any) -> bytes:
    """Tag and value."""
    if isinstance(value, bool):
        return b"?" + bytes([value])
    if isinstance(value, int):
        return b"q" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"d" + struct.pack("<d", value)
    if isinstance(value, str):
        octets = value.encode()
        return b"s" + struct.pack("<I", len(octets)) + octets
    if isinstance(value, datetime):
        since = value - EPOCH
        return b"t" + struct.pack("<q", (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds)
    if isinstance(value, date):
        return b"q" + struct.pack("<q", (value - EPOCH.date()).days)
    raise Wrong(f"a value of type {type(value).__name__}, which this program cannot encode")


def check_definitions(folder: Path, named: set[str], findings: Findings) -> None:
    """A definition's digest is that of the listing `sha256sum` prints of its files."""
    folders = {path.name for path in (folder / "definitions").glob("*")}
    for more in sorted(folders - named):
        findings.add(f"definition {more}: no row names it")
    for digest in sorted(named):
        place = folder / "definitions" / digest
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not place.is_dir():
            findings.add(f"definition {digest}: the export does not have it")
            continue
        files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
        if any("\\" in name or not name.isprintable() for name in files):  # could pass for two lines
            findings.add(f"definition {digest}: a file's name is not plain")
        listing = "".join(
            f"{hashlib.sha256(files[name].read_bytes()).hexdigest()}  {name}\n"
            for name in sorted(files, key=str.encode)
        )
        if hashlib.sha256(listing.encode()).hexdigest() != digest:
            findings.add(f"definition {digest}: its files have another digest")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
