"""Leaves: one text for one leaf, and nothing else is taken for one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.seals import (
    Added,
    Broken,
    Leaf,
    LogEntry,
    Removed,
    SealedFile,
    leaves_of,
    not_sealable,
    partition_key,
)
from fielded.decisions.stretch import Stretch
from fielded.words.digests import canonical_json

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
COUNTS = st.integers(0, 2**53)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STRETCHES = st.builds(
    Stretch, journal=st.uuids().map(str), first=st.integers(1, 2**52), last=st.integers(2**52, 2**53),
    before=DIGESTS, after=DIGESTS,
)  # fmt: skip
FILES = st.builds(SealedFile, path=TEXTS, size=COUNTS, rows=COUNTS, sha256=DIGESTS, chain=st.none() | STRETCHES)
COMMON: dict[str, Any] = {
    "table": st.sampled_from(["predictions", "quarantine", "events"]),
    "version": COUNTS,
    "log_sha256": DIGESTS,
}
PARTITIONS = st.dictionaries(TEXTS, st.none() | TEXTS, max_size=2)
LEAVES = st.one_of(
    st.builds(Leaf, kind=st.just("commit"), **COMMON),
    st.builds(Leaf, kind=st.just("file"), **COMMON, partition=PARTITIONS, files=st.tuples(FILES)),
    st.builds(
        Leaf, kind=st.just("rewrite"), **COMMON, partition=PARTITIONS,
        files=st.lists(FILES, max_size=3).map(tuple), removed=st.dictionaries(TEXTS, DIGESTS, max_size=3),
        rows_sha256=DIGESTS,
    ),
)  # fmt: skip


@given(LEAVES)
def test_a_leaf_s_text_is_read_back_as_that_leaf(leaf: Leaf) -> None:
    assert Leaf.parse(leaf.text()) == leaf


@given(LEAVES)
def test_a_leaf_s_text_is_canonical_json(leaf: Leaf) -> None:
    assert canonical_json(json.loads(leaf.text())) == leaf.text()


@given(LEAVES, st.data())
def test_a_text_that_says_the_same_in_another_way_is_refused(leaf: Leaf, data: st.DataObject) -> None:
    value = json.loads(leaf.text())
    other = data.draw(
        st.sampled_from([json.dumps(value), json.dumps(value, indent=1), leaf.text() + " ", leaf.text() + "\n"])
    )
    with pytest.raises(ValueError, match="canonical"):
        Leaf.parse(other)


@given(LEAVES, st.data())
def test_a_leaf_with_a_part_more_or_less_is_refused(leaf: Leaf, data: st.DataObject) -> None:
    value = json.loads(leaf.text())
    more = {**value, "zzz": 1}
    name = data.draw(st.sampled_from(sorted(value.keys() - {"chain"})))  # which only some files have
    less = {key: part for key, part in value.items() if key != name}
    for changed in (more, less):
        with pytest.raises(ValueError, match="got a leaf"):
            Leaf.parse(canonical_json(changed))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "7", '"file"', '{"kind":"file"}', "{" * 2000])
def test_what_is_no_leaf_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Leaf.parse(text)


def entry(added: tuple[Added, ...] = (), removed: tuple[Removed, ...] = ()) -> LogEntry:
    return LogEntry(version=7, sha256="ab" * 32, unix_ms=0, added=added, removed=removed)


def added(path: str, day: str = "2026-03-02", **options: Any) -> Added:
    values: dict[str, Any] = {"data_change": True, **options}
    return Added(path=path, partition={"scored_date": day}, size=1, rows=1, **values)


def sealed(path: str) -> SealedFile:
    return SealedFile(path=path, size=1, rows=1, sha256="cd" * 32)


class TestWhichEntriesCanBeSealed:
    def test_added_rows_and_nothing_at_all(self) -> None:
        assert not_sealable(entry((added("a"),))) == []
        assert not_sealable(entry()) == []

    def test_a_rewrite(self) -> None:
        rewritten = entry((added("b", data_change=False),), (Removed("a", data_change=False),))
        assert not_sealable(rewritten) == []

    def test_removed_rows_are_named_all_of_them(self) -> None:
        reasons = not_sealable(entry(removed=(Removed("a", data_change=True), Removed("b", data_change=True))))
        assert reasons == ["rows removed with a", "rows removed with b"]

    def test_new_rows_in_a_rewrite(self) -> None:
        assert not_sealable(entry((added("b"),), (Removed("a", data_change=False),))) == [
            "b added by a commit that rewrites"
        ]

    def test_hidden_rows(self) -> None:
        assert "deletion vector" in not_sealable(entry((added("a", masked=True),)))[0]


class TestLeavesOfAnEntry:
    def test_one_for_each_file_in_its_order(self) -> None:
        made = leaves_of("events", entry((added("b"), added("a"))), {name: sealed(name) for name in "ab"}, {})
        assert [(leaf.kind, leaf.files[0].path, leaf.version) for leaf in made] == [
            ("file", "b", 7),
            ("file", "a", 7),
        ]

    def test_one_for_an_entry_without_files(self) -> None:
        (leaf,) = leaves_of("events", entry(), {}, {})
        assert (leaf.kind, leaf.files, leaf.log_sha256) == ("commit", (), "ab" * 32)

    def test_one_for_each_partition_of_a_rewrite(self) -> None:
        files = (added("a", "2026-03-01"), added("b"), added("c"))
        keys = [partition_key(file.partition) for file in files]
        rewrites = {keys[0]: ({"x": "01" * 32}, "02" * 32), keys[1]: ({"y": "03" * 32}, "04" * 32)}
        made = leaves_of("events", entry(files), {name: sealed(name) for name in "abc"}, rewrites)
        assert [[file.path for file in leaf.files] for leaf in made] == [["a"], ["b", "c"]]
        assert [leaf.removed for leaf in made] == [{"x": "01" * 32}, {"y": "03" * 32}]


def test_a_finding_is_one_line_that_names_the_place() -> None:
    finding = Broken(
        rule=13, table="predictions", file="a.parquet", row=7, request_id="r", subject="s", got="x", expected="y"
    )
    assert str(finding) == "predictions: a.parquet: row 7 (request r, subject s): got x, expected y [rule 13]"
    assert str(Broken(rule=8, table="events", got="x", expected="y")) == "events: got x, expected y [rule 8]"
    assert finding.as_dict()["row"] == 7
