"""The tree of RFC 9162: known values, and for every small size all proofs hold and nothing else does."""

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

# Of the reference implementation of Certificate Transparency.
ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {  # (index, size)
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {  # (old size, size)
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
KNOWN = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
LEAVES = [leaf_hash(str(number).encode()) for number in range(70)]

sizes = st.integers(0, len(LEAVES))


def slow_root(leaves: list[bytes]) -> bytes:
    """Section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(slow_root(leaves[:split]), slow_root(leaves[split:]))


def in_hex(hashes: list[bytes]) -> list[str]:
    return [value.hex() for value in hashes]


def flipped(octets: bytes, bit: int) -> bytes:
    return (int.from_bytes(octets) ^ 1 << bit % (8 * len(octets))).to_bytes(len(octets))


def test_roots_are_the_known_ones() -> None:
    assert [root(KNOWN[:size]).hex() for size in range(9)] == ROOTS
    assert ROOTS[0] == EMPTY_ROOT.hex()


def test_proofs_are_the_known_ones() -> None:
    assert {key: in_hex(inclusion_proof(KNOWN[: key[1]], key[0])) for key in INCLUSION} == INCLUSION
    assert {key: in_hex(consistency_proof(KNOWN[: key[1]], key[0])) for key in CONSISTENCY} == CONSISTENCY


def test_every_size_has_the_root_that_the_definition_gives_however_the_tree_grew() -> None:
    grown, frontier, whole = Tree(), Frontier(), Tree(LEAVES)
    for size in range(len(LEAVES) + 1):
        expected = slow_root(LEAVES[:size])
        assert len(grown) == frontier.size == size
        assert grown.root() == frontier.root() == whole.root(size) == Tree(LEAVES[:size]).root() == expected
        assert grown.frontier() == Tree(LEAVES[:size]).frontier() == frontier
        if size < len(LEAVES):
            grown.append(LEAVES[size])
            frontier = frontier.appended(LEAVES[size])


def test_every_inclusion_proof_of_every_size_holds_for_its_place_alone() -> None:
    tree = Tree(LEAVES)
    for size in range(1, len(LEAVES) + 1):
        expected = tree.root(size)
        for index in range(size):
            proof = tree.inclusion_proof(index, size)
            assert verify_inclusion(LEAVES[index], index, size, proof, expected)
            places = [
                other for other in range(size) if verify_inclusion(LEAVES[index], other, size, proof, expected)
            ]
            assert places == [index]


def test_every_consistency_proof_of_every_two_sizes_holds() -> None:
    tree = Tree(LEAVES)
    for size in range(len(LEAVES) + 1):
        for old in range(size + 1):
            proof = tree.consistency_proof(old, size)
            assert verify_consistency(old, size, proof, tree.root(old), tree.root(size))


@given(st.data())
def test_an_inclusion_proof_with_anything_changed_fails(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    tree, leaf = Tree(LEAVES), LEAVES[index]
    proof, expected = tree.inclusion_proof(index, size), tree.root(size)
    assert not verify_inclusion(flipped(leaf, bit), index, size, proof, expected)
    assert not verify_inclusion(leaf, index, size, proof, flipped(expected, bit))
    assert not verify_inclusion(leaf, index, size, [*proof, leaf], expected)
    assert not verify_inclusion(leaf, index + size, size, proof, expected)
    assert not verify_inclusion(leaf, -1, size, proof, expected)
    assert not verify_inclusion(leaf, index, 0, proof, expected)
    assert not verify_inclusion(leaf, index, size, proof, expected[:31])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
        assert not verify_inclusion(leaf, index, size, changed, expected)
        assert not verify_inclusion(leaf, index, size, proof[:place] + proof[place + 1 :], expected)
        assert not verify_inclusion(leaf, index, size, [*proof[:place], proof[place][:31]], expected)


@given(st.data())
def test_a_consistency_proof_with_anything_changed_fails(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    old = data.draw(st.integers(1, size))
    bit = data.draw(st.integers(0, 255))
    tree = Tree(LEAVES)
    proof, before, after = tree.consistency_proof(old, size), tree.root(old), tree.root(size)
    assert not verify_consistency(old, size, proof, flipped(before, bit), after)
    assert not verify_consistency(old, size, proof, before, flipped(after, bit))
    assert not verify_consistency(old, size, [*proof, before], before, after)
    assert not verify_consistency(size + 1, size, proof, before, after)
    assert not verify_consistency(-1, size, proof, before, after)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]]
        assert not verify_consistency(old, size, changed, before, after)
        assert not verify_consistency(old, size, proof[:place] + proof[place + 1 :], before, after)


@given(sizes, sizes, sizes)
def test_a_tree_that_was_changed_before_it_grew_is_not_consistent(old: int, more: int, place: int) -> None:
    size = min(old + more, len(LEAVES))
    if not place < old:
        return
    forged = Tree([*LEAVES[:place], leaf_hash(b"forged"), *LEAVES[place + 1 : size]])
    assert not verify_consistency(old, size, forged.consistency_proof(old), Tree(LEAVES).root(old), forged.root())


def test_a_tree_without_leaves_is_where_every_tree_starts() -> None:
    assert verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert verify_consistency(0, 8, [], EMPTY_ROOT, root(KNOWN))
    assert not verify_consistency(0, 8, [], KNOWN[0], root(KNOWN))
    assert not verify_consistency(0, 8, [KNOWN[0]], EMPTY_ROOT, root(KNOWN))
    assert not verify_consistency(0, 0, [], KNOWN[0], KNOWN[0])


def test_what_the_tree_does_not_have_is_refused() -> None:
    tree = Tree(KNOWN)
    with pytest.raises(ValueError, match="index: got 8, expected 0 to 7"):
        tree.inclusion_proof(8)
    with pytest.raises(ValueError, match="old_size: got 6, expected 0 to 5"):
        tree.consistency_proof(6, 5)
    with pytest.raises(ValueError, match="size: got 9, expected 0 to 8"):
        tree.root(9)
    with pytest.raises(ValueError, match="leaf: got 5 bytes"):
        tree.append(b"bytes")
    with pytest.raises(ValueError, match="peaks: got 1 for 3 leaves, expected 2"):
        Frontier(3, (KNOWN[0],))
    with pytest.raises(ValueError, match="peaks: got one of another length"):
        Frontier(1, (b"short",))


def test_a_hundred_thousand_leaves_cost_little_more_than_their_hashes() -> None:
    leaves = LEAVES * 1429
    costs = []
    for make in (lambda: [hashlib.sha256(leaf + leaf).digest() for leaf in leaves], lambda: Tree(leaves).root()):
        started = time.thread_time()
        make()
        costs.append(time.thread_time() - started)
    assert costs[1] < 10 * costs[0]
    tree = Tree(leaves)
    proof = tree.inclusion_proof(54_321)
    assert len(leaves) > 100_000
    assert verify_inclusion(leaves[54_321], 54_321, len(leaves), proof, tree.root())
