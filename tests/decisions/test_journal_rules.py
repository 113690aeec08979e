"""Rows of journals in files: whatever is cut, doubled or changed is told, and what is whole is not."""

import hashlib
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from fielded.decisions.chain import link, start_of
from fielded.decisions.journal_rules import Run, check_runs, check_stretch_of_file, check_stretches
from fielded.decisions.seal_rules import NumberedLeaf
from fielded.decisions.seals import Leaf, RowName, SealedFile
from fielded.decisions.stretch import Stretch

JOURNAL = "j"
DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(60)]
HEADS = link(start_of(JOURNAL), DIGESTS)
CUTS = st.lists(st.integers(1, 59), min_size=1, max_size=8, unique=True).map(sorted)


def head_after(number: int) -> bytes:
    return HEADS[number - 1] if number else start_of(JOURNAL)


def file(first: int, last: int) -> SealedFile:
    chain = Stretch(
        journal=JOURNAL, first=first, last=last, before=head_after(first - 1).hex(), after=head_after(last).hex()
    )
    return SealedFile(path=f"{first}-{last}", size=1, rows=last - first + 1, sha256="", chain=chain)


def files(cuts: list[int]) -> list[SealedFile]:
    """Files that hold the journal's rows, cut after some of them."""
    return [file(first + 1, last) for first, last in zip([0, *cuts], [*cuts, 60], strict=True)]


def leaf(sealed: SealedFile, place: int) -> NumberedLeaf:
    return NumberedLeaf(
        place, Leaf(kind="file", table="predictions", version=place, log_sha256="", files=(sealed,))
    )


def run(first: int, last: int, row: int = 1) -> Run:
    return Run(
        journal=JOURNAL, first=first, last=last, digest=DIGESTS[first - 1], head=head_after(first),
        end=head_after(last), opening=RowName(number=row, request_id=f"r{first}", subject=f"s{first}"),
    )  # fmt: skip


def leaves(sealed: list[SealedFile]) -> list[NumberedLeaf]:
    return [leaf(one, place) for place, one in enumerate(sealed)]


@given(CUTS.flatmap(lambda cuts: st.permutations(files(cuts))))
def test_stretches_without_a_gap_are_whole_in_whichever_order_they_were_sealed(sealed: list[SealedFile]) -> None:
    assert check_stretches(leaves(sealed)) == []


@given(CUTS, st.data())
def test_a_missing_stretch_is_told_with_its_rows(cuts: list[int], data: st.DataObject) -> None:
    whole = files(cuts)
    gone = data.draw(st.integers(0, len(whole) - 2))  # of the last one only the journal knows
    (finding,) = check_stretches(leaves([one for one in whole if one != whole[gone]]))
    chain = whole[gone].chain
    assert chain is not None
    assert finding.expected == f"rows {chain.first} to {chain.last} before them, which no file has"
    assert finding.file == whole[gone + 1].path


@given(CUTS, st.data())
def test_a_stretch_that_is_there_twice_is_told(cuts: list[int], data: st.DataObject) -> None:
    whole = files(cuts)
    twice = data.draw(st.sampled_from(whole))
    findings = check_stretches(leaves([*whole, twice]))
    assert [one.file for one in findings] == [twice.path]


@given(CUTS, st.data())
def test_a_stretch_that_starts_from_another_head_is_told(cuts: list[int], data: st.DataObject) -> None:
    whole = files(cuts)
    place = data.draw(st.integers(0, len(whole) - 1))
    chain = whole[place].chain
    assert chain is not None
    whole[place] = replace(whole[place], chain=replace(chain, before="00" * 32))
    (finding,) = check_stretches(leaves(whole))
    assert finding.file == whole[place].path


@given(CUTS)
def test_runs_that_join_are_whole(cuts: list[int]) -> None:
    runs = [("f", run(one.chain.first, one.chain.last)) for one in files(cuts) if one.chain]
    assert check_runs(runs[::-1], {}) == []


@given(CUTS, st.data())
def test_a_missing_a_doubled_and_a_changed_run_are_told_by_the_row_where_it_shows(
    cuts: list[int], data: st.DataObject
) -> None:
    runs = [("f", run(one.chain.first, one.chain.last)) for one in files(cuts) if one.chain]
    place = data.draw(st.integers(0, len(runs) - 1))
    name, chosen = runs[place]
    if place < len(runs) - 1:
        (finding,) = check_runs([*runs[:place], *runs[place + 1 :]], {})
        assert finding.request_id == f"r{chosen.last + 1}"
        assert finding.expected == f"rows {chosen.first} to {chosen.last} before it"
    (finding,) = check_runs([*runs, (name, chosen)], {})
    assert finding.got == f"row {chosen.first} of journal j once more"
    (finding,) = check_runs([*runs[:place], (name, replace(chosen, digest=bytes(32))), *runs[place + 1 :]], {})
    assert (finding.request_id, finding.subject) == (f"r{chosen.first}", f"s{chosen.first}")


def test_after_a_gap_a_row_is_checked_against_the_head_that_was_sealed_before_it() -> None:
    befores = {(JOURNAL, 21): head_after(20).hex()}
    runs = [("f", run(1, 10)), ("f", replace(run(21, 30), digest=bytes(32)))]
    assert [one.rule for one in check_runs(runs, befores)] == [13, 13]
    assert [one.rule for one in check_runs(runs, {})] == [13]


class TestRowsOfADrainedFile:
    def test_whole(self) -> None:
        assert check_stretch_of_file(file(11, 40), [run(11, 40)]) == []

    @given(st.integers(11, 40))
    def test_without_one_of_them(self, gone: int) -> None:
        parts = ((11, gone - 1, 1), (gone + 1, 40, gone - 10))
        runs = [run(first, last, row) for first, last, row in parts if first <= last]
        (finding,) = check_stretch_of_file(file(11, 40), runs)
        assert finding.row == (gone - 10 if gone < 40 else None)

    @given(st.integers(11, 40), st.integers(11, 40))
    def test_two_of_them_in_each_other_s_place(self, one: int, two: int) -> None:
        assume(one < two)
        order = list(range(11, 41))
        order[one - 11], order[two - 11] = two, one
        runs = [run(number, number, row) for row, number in enumerate(order, 1)]
        findings = check_stretch_of_file(file(11, 40), runs)
        assert {one - 10, two - 10} <= {finding.row for finding in findings}

    def test_none_of_them(self) -> None:
        (finding,) = check_stretch_of_file(file(11, 40), [])
        assert finding.got == "no row"

    def test_of_another_journal(self) -> None:
        assert check_stretch_of_file(file(11, 40), [replace(run(11, 40), journal="k")])

    def test_the_first_of_them_changed(self) -> None:
        (finding,) = check_stretch_of_file(file(11, 40), [replace(run(11, 40), digest=bytes(32))])
        assert (finding.row, finding.request_id) == (1, "r11")
