"""UUIDs of RFC 9562, read back by Python's own `uuid`."""

import hashlib
import random
import uuid

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.words.identifiers import uuid7, uuid7_array, uuid8

MOMENTS = st.integers(0, 2**48 - 1)
SEEDS = st.integers(0, 2**32)


def chance(seed: int) -> random.Random:
    return random.Random(seed)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 300), MOMENTS, SEEDS)
def test_uuid7s_ascend_and_are_version_7(count: int, unix_ms: int, seed: int) -> None:
    found = uuid7_array(count, unix_ms, chance(seed).randbytes)
    found.validate(full=True)
    assert (found.type, len(found), found.null_count) == (pa.string(), count, 0)
    texts = found.to_pylist()
    assert texts == sorted(set(texts))
    for text in texts:
        read = uuid.UUID(text)
        assert str(read) == text
        assert (read.version, read.variant) == (7, uuid.RFC_4122)
        assert read.int >> 80 == unix_ms


@pytest.mark.parametrize(
    "start", [0, 250, (1 << 8) - 2, (1 << 14) - 3, (1 << 21) - 3, (1 << 22) - 3, (1 << 25) - 1]
)
def test_the_counter_carries_through_all_its_parts(start: int) -> None:
    def zeros(count: int) -> bytes:
        return start.to_bytes(4, "big") if count == 4 else bytes(count)

    texts = uuid7_array(20_000, 1_772_416_800_123, zeros).to_pylist()
    assert texts == sorted(set(texts))
    assert {(read.version, read.variant) for read in map(uuid.UUID, texts)} == {(7, uuid.RFC_4122)}


def test_the_last_48_bits_are_random_for_each() -> None:
    tails = {text[-12:] for text in uuid7_array(1000, 5, chance(0).randbytes).to_pylist()}
    assert len(tails) == 1000


@given(MOMENTS, MOMENTS, SEEDS)
def test_a_later_millisecond_sorts_later(one: int, other: int, seed: int) -> None:
    source = chance(seed)
    first, second = (uuid7_array(3, unix_ms, source.randbytes).to_pylist() for unix_ms in (one, other))
    if one != other:
        assert (max(first) < min(second)) is (one < other)
    assert not set(first) & set(second)


@pytest.mark.parametrize("count", [-1, 2**25 + 1])
def test_more_than_the_counter_holds_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count: got {count}, expected 0 to {2**25}"):
        uuid7_array(count, 0, chance(0).randbytes)


@given(MOMENTS, SEEDS)
def test_one_uuid7_is_an_array_of_one(unix_ms: int, seed: int) -> None:
    one = uuid7(unix_ms, chance(seed).randbytes)
    assert isinstance(one, str)
    assert [one] == uuid7_array(1, unix_ms, chance(seed).randbytes).to_pylist()


@given(st.text(st.characters(codec="utf-8")))
def test_uuid8_is_the_name_hashed(name: str) -> None:
    read = uuid.UUID(uuid8(name))
    assert str(read) == uuid8(name)
    assert (read.version, read.variant) == (8, uuid.RFC_4122)
    free = ~(0xF << 76 | 0x3 << 62)  # all but version and variant
    assert read.int & free == int(hashlib.sha256(name.encode()).hexdigest()[:32], 16) & free


def test_other_names_have_other_uuid8s() -> None:
    assert len({uuid8(f"work {number}") for number in range(1000)}) == 1000
