"""A row's canonical bytes: the same for one value however Arrow stores it, never the same for two."""

import hashlib
import math
import struct
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions import chain
from fielded.decisions.chain import canonical_rows, link, row_digests, start_of, unordered_digest
from fielded.decisions.small_batches import SmallBatches

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")
ELEMENT = pa.struct([("field", pa.string()), ("got", pa.string())])
PARTS = pa.struct(
    [("hours", pa.float64()), ("count", pa.int64()), ("open", pa.bool_()), ("kind", pa.string()),
     ("deeper", pa.struct([("x", pa.float64())]))]
)  # fmt: skip
SCHEMA = pa.schema(
    [("name", pa.string()), ("features", PARTS), ("score", pa.float64()), ("flag", pa.bool_()),
     ("at", MOMENT), ("number", pa.int64()), ("reasons", pa.list_(ELEMENT)), ("words", pa.list_(pa.string())),
     ("day", pa.date32()), ("é", pa.string()), ("e", pa.string())]
)  # fmt: skip

texts = st.one_of(st.none(), st.text(max_size=6))
floats = st.one_of(st.none(), st.floats(), st.sampled_from([-0.0, 0.0, math.nan, -math.nan, math.inf, 5e-324]))
whole = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
truths = st.one_of(st.none(), st.booleans())
parts = st.fixed_dictionaries(
    {"hours": floats, "count": whole, "open": truths, "kind": texts,
     "deeper": st.one_of(st.none(), st.fixed_dictionaries({"x": floats}))}
)  # fmt: skip
elements = st.one_of(st.none(), st.fixed_dictionaries({"field": texts, "got": texts}))
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
rows = st.fixed_dictionaries(
    {"name": texts, "features": st.one_of(st.none(), parts), "score": floats, "flag": truths,
     "at": st.one_of(st.none(), moments), "number": whole,
     "reasons": st.one_of(st.none(), st.lists(elements, max_size=3)),
     "words": st.one_of(st.none(), st.lists(texts, max_size=3)),
     "day": st.one_of(st.none(), st.dates()), "é": texts, "e": texts}
)  # fmt: skip


def reference(row: dict[str, Any], schema: pa.Schema | pa.StructType) -> bytes:
    """The canonical bytes, one value at a time, as the module's text says."""
    found = dict(leaves(row, list(schema), b""))
    return b"".join(
        len(path).to_bytes(2, "little") + path + value
        for path, value in sorted(found.items())
        if value is not None
    )


def leaves(row: dict[str, Any] | None, fields: list[pa.Field], above: bytes) -> Any:
    for field in fields:
        path, value = above + field.name.encode(), None if row is None else row[field.name]
        if pa.types.is_struct(field.type):
            yield from leaves(value, list(field.type), path + b".")
        else:
            yield path, None if value is None else encoded(value, field.type)


def encoded(value: Any, kind: pa.DataType) -> bytes:
    if pa.types.is_list(kind):
        inner = kind.value_type
        one = [
            b"" if element is None else reference(element, inner) if pa.types.is_struct(inner)
            else bytes(2) + encoded(element, inner)
            for element in value
        ]  # fmt: skip
        return b"l" + struct.pack("<I", len(one)) + b"".join(struct.pack("<I", len(e)) + e for e in one)
    if kind == pa.string():
        return b"s" + struct.pack("<I", len(value.encode())) + value.encode()
    if kind == pa.bool_():
        return b"?\1" if value else b"?\0"
    if kind == MOMENT:
        return b"t" + struct.pack("<q", (value - EPOCH) // timedelta(microseconds=1))
    if kind == pa.date32():
        return b"q" + struct.pack("<q", (value - date(1970, 1, 1)).days)
    return struct.pack("<cd", b"d", value) if kind == pa.float64() else struct.pack("<cq", b"q", value)


def same_otherwise_stored(table: pa.RecordBatch, cut: int) -> pa.Table:
    """The same values: dictionaries, large and view texts, two chunks, each a slice of something longer."""
    columns = []
    for column in table.columns:
        kind = column.type
        around = pa.concat_arrays([column, column, column])
        if pa.types.is_string(kind):
            encodings = [
                around.dictionary_encode(),
                around.cast(pa.large_string()),
                around.cast(pa.string_view()),
                around.dictionary_encode(null_encoding="encode"),
            ]
            around = encodings[len(columns) % len(encodings)]
        part = around.slice(len(column), len(column))
        columns.append(pa.chunked_array([part.slice(0, cut), part.slice(cut)]))
    return pa.table(columns, names=table.schema.names)


@settings(max_examples=150, deadline=None)
@given(st.lists(rows, max_size=12), st.integers(0, 12))
def test_the_bytes_are_those_that_the_rules_give(values: list[dict[str, Any]], cut: int) -> None:
    table = pa.RecordBatch.from_pylist(values, SCHEMA)
    expected = [reference(row, SCHEMA) for row in values]
    assert canonical_rows(table) == expected
    assert row_digests(table) == [hashlib.sha256(row).digest() for row in expected]
    assert canonical_rows(same_otherwise_stored(table, min(cut, len(values)))) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, min_size=1, max_size=5))
def test_columns_of_nulls_and_the_order_of_columns_change_no_byte(values: list[dict[str, Any]]) -> None:
    table = pa.RecordBatch.from_pylist(values, SCHEMA)
    wider = [
        *table.columns,
        *(pa.nulls(len(values), kind) for kind in (pa.null(), pa.string(), PARTS, pa.list_(ELEMENT))),
        pa.DictionaryArray.from_arrays(pa.nulls(len(values), pa.int8()), ["unused"]),
        pa.DictionaryArray.from_arrays(pa.array([0] * len(values), pa.int8()), pa.nulls(1, pa.string())),
    ]
    names = [*SCHEMA.names, "later", "aa", "features2", "f", "g", "h"]
    backwards = pa.RecordBatch.from_arrays(wider[::-1], names=names[::-1])
    assert canonical_rows(backwards) == canonical_rows(table)


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, max_size=8))
def test_only_equal_rows_have_equal_bytes(values: list[dict[str, Any]]) -> None:
    table = pa.RecordBatch.from_pylist(values, SCHEMA)
    read_back = [parsed(row) for row in canonical_rows(table)]
    assert read_back == [
        {path: value for path, value in leaves(row, list(SCHEMA), b"") if value is not None} for row in values
    ]


def parsed(octets: bytes) -> dict[bytes, bytes]:
    """The leaves read back from the bytes alone: what can be read back cannot stand for two rows."""
    found, place = {}, 0
    widths = {b"d": 8, b"q": 8, b"t": 8, b"?": 1}
    while place < len(octets):
        length = int.from_bytes(octets[place : place + 2], "little")
        path = octets[place + 2 : place + 2 + length]
        begin = place + 2 + length
        tag = octets[begin : begin + 1]
        number = int.from_bytes(octets[begin + 1 : begin + 5], "little")
        end = begin + 1
        if tag == b"l":
            end += 4
            for _ in range(number):
                end += 4 + int.from_bytes(octets[end : end + 4], "little")
        else:
            end += widths[tag] if tag in widths else 4 + number
        assert path not in found
        found[path] = octets[begin:end]
        place = end
    return found


def test_a_row_written_out_by_hand() -> None:
    """What another implementation can be held against."""
    row = pa.RecordBatch.from_pylist(
        [{"s": "é", "f": {"x": -0.0, "n": None}, "b": True, "t": EPOCH + timedelta(seconds=1), "q": -2,
          "chain": "no part", "scored_date": date(2026, 3, 2)}],
        pa.schema([("s", pa.string()), ("f", pa.struct([("x", pa.float64()), ("n", pa.int64())])),
                   ("b", pa.bool_()), ("t", MOMENT), ("q", pa.int64()), ("chain", pa.string()),
                   ("scored_date", pa.date32())]),
    )  # fmt: skip
    expected = (
        b"\1\0b?\1"
        b"\3\0f.xd\0\0\0\0\0\0\0\x80"
        b"\1\0qq\xfe\xff\xff\xff\xff\xff\xff\xff"
        b"\1\0ss\2\0\0\0\xc3\xa9"
        b"\1\0tt\x40\x42\x0f\0\0\0\0\0"
    )
    assert canonical_rows(row) == [expected]


def test_every_bit_of_a_float_counts() -> None:
    bits = [0, 1 << 63, 0x7FF8000000000000, 0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8000000000000]
    stored = pa.array(np.array(bits, "<u8").view("<f8"))
    found = canonical_rows(pa.RecordBatch.from_arrays([stored], names=["x"]))
    assert [int.from_bytes(row[4:], "little") for row in found] == bits


def test_a_null_struct_hides_what_lies_below_it() -> None:
    below = pa.array([1.0, 2.0])
    hidden = pa.StructArray.from_arrays([below], names=["x"], mask=pa.array([False, True]))
    first, second = canonical_rows(pa.RecordBatch.from_arrays([hidden], names=["f"]))
    assert len(first) == 2 + 3 + 1 + 8
    assert second == b""


def test_bytes_behind_a_null_text_do_not_count() -> None:
    hidden = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\2"), pa.py_buffer(np.array([0, 3, 5], np.int32)), pa.py_buffer(b"abcde")]
    )
    assert canonical_rows(pa.RecordBatch.from_arrays([hidden], names=["s"])) == [b"", b"\1\0ss\2\0\0\0de"]


@pytest.mark.parametrize("rows", [8191, 8192, 8193, 20_000])
def test_more_rows_than_are_encoded_at_once_give_the_same_bytes(rows: int) -> None:
    names = pa.array([f"n{number % 1000}" for number in range(rows)])
    batch = pa.RecordBatch.from_arrays([names, pa.array(np.arange(rows))], names=["s", "q"])
    found = canonical_rows(batch)
    assert len(found) == rows
    assert found[-2:] == canonical_rows(batch.slice(rows - 2))
    assert len(set(found)) == rows


def test_rows_too_long_to_be_encoded_together_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x" * 300
    texts = pa.array([text] * 9).dictionary_encode()
    batch = pa.RecordBatch.from_arrays([texts, pa.array(range(9))], names=["s", "q"])
    expected = canonical_rows(batch)
    monkeypatch.setattr(chain, "_MOST_BYTES", 1000)
    assert canonical_rows(batch) == expected
    monkeypatch.setattr(chain, "_MOST_BYTES", 100)
    with pytest.raises(OverflowError, match="expected at most 100"):
        canonical_rows(batch)


FLAT = pa.schema(
    [*(field for field in SCHEMA if field.name not in ("features", "reasons", "words", "day")),
     ("features", pa.struct([field for field in PARTS if field.name != "deeper"])), ("chain", pa.string()),
     ("model", pa.string()), ("limit", pa.float64()), ("run", pa.string())]
)  # fmt: skip
flat = st.fixed_dictionaries(
    {"name": texts, "score": floats, "flag": truths, "at": st.one_of(st.none(), moments), "number": whole,
     "é": texts, "e": texts, "chain": texts,
     "features": st.one_of(st.none(), st.fixed_dictionaries(
         {"hours": floats, "count": whole, "open": truths, "kind": texts}))}
)  # fmt: skip


@given(st.lists(flat, max_size=6), texts, floats, st.integers(0, 6))
def test_small_batches_have_the_same_digests(
    values: list[dict[str, Any]], model: str | None, limit: float | None, cut: int
) -> None:
    shared = {"model": pa.scalar(model, pa.string()), "limit": pa.scalar(limit, pa.float64()),
              "run": pa.scalar(None, pa.string())}  # fmt: skip
    whole_of = {"model": model, "limit": limit, "run": None}
    batch = pa.RecordBatch.from_pylist([value | whole_of for value in values], schema=FLAT)
    small = SmallBatches(FLAT, shared)
    assert small.digests(batch) == row_digests(batch)
    assert small.digests(batch.slice(cut)) == row_digests(batch)[cut:]


def test_a_batch_that_is_not_small_has_the_same_digests() -> None:
    batch = pa.RecordBatch.from_pydict({"a": [f"{number}" for number in range(500)], "b": ["same"] * 500})
    small = SmallBatches(batch.schema, {"b": pa.scalar("same")})
    assert small.digests(batch) == row_digests(batch)
    assert small.digests(batch.slice(7, 90)) == row_digests(batch)[7:97]


@pytest.mark.parametrize(
    "kind", [pa.int32(), pa.list_(pa.string()), pa.timestamp("ms", "UTC"), pa.timestamp("us")]
)
def test_small_batches_of_other_types_are_refused_by_name(kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match="x: got "):
        SmallBatches(pa.schema([("x", kind)]), {})
    with pytest.raises(ValueError, match=r"f\.x: got a name with a dot"):
        SmallBatches(pa.schema([("f.x", pa.string())]), {})


def test_no_row_gives_no_digest() -> None:
    assert row_digests(SCHEMA.empty_table()) == []
    assert row_digests(pa.RecordBatch.from_pylist([], SCHEMA)) == []


def test_rows_without_a_value_have_the_digest_of_nothing() -> None:
    nothing = pa.RecordBatch.from_arrays([pa.nulls(2, pa.string())], names=["s"])
    assert row_digests(nothing) == [hashlib.sha256(b"").digest()] * 2


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0], pa.float32()),
        pa.array([1], pa.uint64()),
        pa.array([b"x"], pa.binary()),
        pa.array([EPOCH.replace(tzinfo=None)], pa.timestamp("us")),
        pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
    ],
    ids=lambda values: str(values.type),
)
def test_a_type_without_canonical_bytes_is_refused_by_name(values: pa.Array) -> None:
    with pytest.raises(ValueError, match=r"^f\.x: got .*, expected float64, a signed whole number"):
        row_digests(pa.RecordBatch.from_arrays([pa.StructArray.from_arrays([values], names=["x"])], names=["f"]))


def test_names_that_could_be_taken_for_others_are_refused() -> None:
    value = pa.array([1])
    with pytest.raises(ValueError, match=r"a\.b: got a name with a dot"):
        row_digests(pa.RecordBatch.from_arrays([value], names=["a.b"]))
    with pytest.raises(ValueError, match="a: got two columns of this name"):
        row_digests(pa.RecordBatch.from_arrays([value, value], names=["a", "a"]))
    with pytest.raises(ValueError, match="got 65536 bytes"):
        row_digests(pa.RecordBatch.from_arrays([value], names=["a" * 65536]))


def test_smaller_numbers_and_other_units_of_time_count_as_their_values() -> None:
    wide = pa.RecordBatch.from_arrays([pa.array([7]), pa.array([EPOCH], MOMENT)], names=["q", "t"])
    narrow = pa.RecordBatch.from_arrays(
        [pa.array([7], pa.int16()), pa.array([EPOCH], pa.timestamp("ms", tz="America/New_York"))], names=["q", "t"]
    )
    assert canonical_rows(narrow) == canonical_rows(wide)


def test_a_chain_starts_with_its_journal_and_binds_every_row_before() -> None:
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(4)]
    heads = link(start_of("j"), digests)
    assert start_of("j") == hashlib.sha256(b"fielded journal v1\nj").digest()
    assert heads[0] == hashlib.sha256(start_of("j") + digests[0]).digest()
    assert heads[1:] == link(heads[0], digests[1:])
    assert link(start_of("other"), digests)[-1] != heads[-1]
    assert link(start_of("j"), digests[::-1])[-1] != heads[-1]
    assert link(start_of("j"), []) == []


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.randoms(use_true_random=False))
def test_the_unordered_digest_counts_rows_but_not_their_order(digests: list[bytes], chance: Any) -> None:
    shuffled = chance.sample(digests, len(digests))
    assert unordered_digest(iter(shuffled)) == unordered_digest(digests)
    if digests:
        assert unordered_digest([*digests, digests[0]]) != unordered_digest(digests)


def test_pandas_stays_unloaded() -> None:
    script = (
        "import sys, pyarrow as pa, numpy as np\n"
        "from fielded.decisions.chain import row_digests\n"
        "row_digests(pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.int64(), 1,"
        " [None, pa.py_buffer(bytes(8))])], names=['q']))\n"
        "print('pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
