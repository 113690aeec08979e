"""Check an export of a fielded ledger. Needs pyarrow and cryptography; shares no code with fielded.

    python verify_export.py [FOLDER] --key PUBLIC_KEY.pem

FOLDER is where this program lies, if none is named. Exit code: 0 verified, 1 not, 2 wrong use.

What is checked, in this order; all that is wrong is told, not only the first:

 1. the checkpoint is signed by the key (Ed25519, or ECDSA P-256 with SHA-256), over its text;
 2. each leaf leads to the checkpoint's root by its proof (RFC 9162, section 2.1.3.2);
 3. each data file has the size, SHA-256 and number of rows that its leaf says;
 4. each exported row stands in such a file, at its number, with its values; in both forms, JSON and Parquet;
 5. rows of the API carry a hash chain: it is computed again for all of a file's rows, from the head before them to
    the head after them;
 6. the definitions have the digests that the rows name.
"""

import argparse
import base64
import hashlib
import json
import math
import struct
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

FORMAT = "fielded export 1"
NOT_ENCODED = ("chain", "scored_date")  # the chain is made of the row, the partition of a column that is there
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Wrong(Exception):
    """Something does not hold."""


class Findings:
    """What is wrong, and what was found to be right."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def add(self, text: str) -> None:
        self.wrong.append(text)


def main(arguments: list[str]) -> int:
    """Run the checks; the exit code."""
    parser = argparse.ArgumentParser(description="Check an export of a fielded ledger.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--key", type=Path, action="append", default=[], help="public key in PEM that you trust")
    chosen = parser.parse_args(arguments)
    if not (chosen.folder / "export.json").is_file():
        print(f"{chosen.folder}: no export.json here, expected the folder of an export", file=sys.stderr)
        return 2
    keys = chosen.key or sorted((chosen.folder / "keys").glob("*.pem"))
    findings = Findings()
    try:
        told = check(chosen.folder, keys, findings)
    except (Wrong, OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        findings.add(f"{type(error).__name__}: {error}")
        told = ""
    for text in findings.wrong:
        print(f"WRONG: {text}")
    if not chosen.key:
        print(LOUD)
    if findings.wrong:
        print(f"NOT VERIFIED: {len(findings.wrong)} things are wrong")
        return 1
    print(f"{'VERIFIED' if chosen.key else 'FITS TOGETHER, SIGNER NOT CHECKED'}: {told}")
    return 0


LOUD = """\
!!! No --key was given. The signature was checked against the key that lies in the export itself.
!!! Whoever makes a false export puts a key of their own there. Get the public key by another way and give it."""


def check(folder: Path, keys: list[Path], findings: Findings) -> str:
    """All checks; what to say if nothing is wrong."""
    manifest = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise Wrong(f"export.json is of format {manifest['format']!r}, this program knows {FORMAT!r}")
    note = (folder / "checkpoint.note").read_text(encoding="utf-8")
    origin, size, root, moment = checkpoint(note, [load_key(path) for path in keys])
    expected = f"fielded/{manifest['deployment']}/{manifest['table']}/"
    if not origin.startswith(expected):
        findings.add(f"the checkpoint is of {origin}, not of {expected}...")
    proven: dict[str, dict[str, Any]] = {}
    for item in manifest["leaves"]:
        leaf = item["leaf"].encode()
        value = json.loads(leaf)
        if not included(leaf, item["index"], size, [bytes.fromhex(step) for step in item["proof"]], root):
            findings.add(f"leaf {item['index']} does not lead to the signed root")
            continue
        if value["table"] != manifest["table"]:
            findings.add(f"leaf {item['index']} is of table {value['table']}")
            continue
        for file in [value] if value["kind"] == "file" else value.get("files", []):
            proven[file["path"]] = file
    tables = {
        path: table for path, file in proven.items() if (table := data_file(folder, file, findings)) is not None
    }
    rows = exported_rows(folder, manifest, tables, findings)
    chained = sum(check_chain(path, tables[path], proven[path].get("chain"), findings) for path in tables)
    check_definitions(folder, {str(row.get("definition_sha256")) for row in rows}, findings)
    return (
        f"{len(rows)} rows in {len(tables)} data files, {chained} rows of the API with their chain, "
        f"under a checkpoint of {size} leaves signed at {moment}"
    )


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


def data_file(folder: Path, file: dict[str, Any], findings: Findings) -> pa.Table | None:
    """The rows of a data file that is as its leaf says; None where the export does not have it."""
    path = folder / "data" / file["path"]
    if not path.resolve().is_relative_to((folder / "data").resolve()):
        raise Wrong(f"{file['path']} leads out of the export")
    if not path.is_file():
        return None  # a rewrite's leaf may speak of more files than the rows need
    octets = path.read_bytes()
    found = (len(octets), hashlib.sha256(octets).hexdigest())
    if found != (file["size"], file["sha256"]):
        findings.add(f"{file['path']}: {found[0]} bytes with SHA-256 {found[1]}, the leaf says {file['sha256']}")
        return None
    table = pq.read_table(pa.BufferReader(octets))
    if table.num_rows != file["rows"]:
        findings.add(f"{file['path']}: {table.num_rows} rows, the leaf says {file['rows']}")
    return table


def exported_rows(
    folder: Path, manifest: dict[str, Any], tables: dict[str, pa.Table], findings: Findings
) -> list[dict[str, Any]]:
    """The rows of rows.jsonl, compared with the data files and with rows.parquet."""
    with (folder / "rows.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if len(rows) != manifest["rows"]:
        findings.add(f"rows.jsonl has {len(rows)} rows, export.json says {manifest['rows']}")
    if len({(row["file"], row["row"]) for row in rows}) != len(rows):
        findings.add("rows.jsonl has a row more than once")
    places: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault(row["file"], []).append(row)
    for path, told in places.items():
        compare_rows(path, told, tables.get(path), findings)
    check_asked(manifest["asked"], [row["values"] for row in rows], findings)
    compare_parquet(folder, rows, findings)
    return [row["values"] for row in rows]


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


def check_asked(asked: dict[str, Any], rows: list[dict[str, Any]], findings: Findings) -> None:
    """The rows are those that were asked for."""
    if "subject" in asked and any(row["subject"] != asked["subject"] for row in rows):
        findings.add(f"a row is not about subject {asked['subject']}")
    if "request_ids" in asked and {row["request_id"] for row in rows} != set(asked["request_ids"]):
        findings.add("the rows are not those with the request ids that were asked for")


def same(kept: dict[str, Any], told: dict[str, Any], name: str) -> bool:
    """Whether two rows have one value under a name; -0.0 is not 0.0, true is not 1."""
    return name in kept and name in told and json.dumps(kept[name]) == json.dumps(told[name])


def compare_parquet(folder: Path, rows: list[dict[str, Any]], findings: Findings) -> None:
    """rows.parquet says the same as rows.jsonl, but for columns that it has for the sake of other rows."""
    others = pq.read_table(folder / "rows.parquet").to_pylist()
    if len(others) != len(rows):
        findings.add(f"rows.parquet has {len(others)} rows, rows.jsonl {len(rows)}")
        return
    for row, other in zip(rows, others, strict=True):
        told = {"file": row["file"], "row": row["row"], **row["values"]}
        if without_nulls(as_json(other)) != without_nulls(told):
            findings.add(f"{row['file']} row {row['row']}: rows.parquet differs from rows.jsonl")


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
    if "chain" not in table.column_names or (chain is None and table["journal"].null_count == table.num_rows):
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
    for digest in sorted(named):
        place = folder / "definitions" / str(digest)
        files = sorted(
            (path for path in place.rglob("*") if path.is_file()),
            key=lambda p: p.relative_to(place).as_posix().encode(),
        )
        if not files:
            findings.add(f"definition {digest}: the export does not have it")
            continue
        listing = "".join(
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(place).as_posix()}\n"
            for path in files
        )
        if hashlib.sha256(listing.encode()).hexdigest() != digest:
            findings.add(f"definition {digest}: its files have another digest")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
