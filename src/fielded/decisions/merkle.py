"""A Merkle tree as RFC 9162 section 2.1 has it: who holds a root holds every leaf below it, and their order.

A leaf and a node are hashed with different first bytes (0x00, 0x01), so that none can be passed off as the
other. Leaves come in by their hashes; 32 bytes each. Numbers in comments are steps of the RFC's algorithms.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HASH_LENGTH = 32  # bytes
EMPTY_ROOT = hashlib.sha256(b"").digest()

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf that holds `entry`."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two others."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Root of a tree of leaf hashes (section 2.1.1)."""
    return Tree(leaves).root()


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """`Tree.inclusion_proof` of a tree that is made for it."""
    return Tree(leaves).inclusion_proof(index)


def consistency_proof(leaves: Iterable[bytes], old_size: int) -> list[bytes]:
    """`Tree.consistency_proof` of a tree that is made for it."""
    return Tree(leaves).consistency_proof(old_size)


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that must be kept of a tree to add to it: the roots of its full subtrees, the largest first.

    Attributes:
        size: leaves.
        peaks: one hash for each 1 in the binary digits of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(
                f"peaks: got {len(self.peaks)} for {self.size} leaves, expected {abs(self.size).bit_count()}"
            )
        if any(len(peak) != HASH_LENGTH for peak in self.peaks):
            raise ValueError(f"peaks: got one of another length, expected {HASH_LENGTH} bytes each")

    def appended(self, leaf: bytes) -> "Frontier":
        """The frontier with one leaf hash more: as many hashes as `size` has 1s at its end."""
        peaks, rest = [*self.peaks, leaf], self.size
        while rest & 1:
            right = peaks.pop()
            peaks[-1] = node_hash(peaks[-1], right)
            rest >>= 1
        return Frontier(self.size + 1, tuple(peaks))

    def root(self) -> bytes:
        """The tree's root."""
        if not self.peaks:
            return EMPTY_ROOT
        found = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            found = node_hash(peak, found)
        return found


class Tree:
    """A tree whose full subtrees are kept: adding a leaf and making a proof cost O(log n) hashes at most.

    Args:
        leaves: leaf hashes, 32 bytes each.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        # _levels[k][i] is the root of the full subtree over leaves i * 2^k up to (i + 1) * 2^k
        self._levels: list[list[bytes]] = [[_checked(leaf) for leaf in leaves]]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)  # an odd one waits for its neighbour
            self._levels.append([hashlib.sha256(_NODE + left + right).digest() for left, right in pairs])

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self._levels[0].append(_checked(leaf))
        for height in range(len(self._levels)):
            level = self._levels[height]
            if len(level) % 2:
                return
            if height + 1 == len(self._levels):
                self._levels.append([])
            self._levels[height + 1].append(node_hash(level[-2], level[-1]))

    def root(self, size: int | None = None) -> bytes:
        """Root over the first `size` leaves; all of them by default."""
        size = self._checked_size(size)
        return self._root(0, size) if size else EMPTY_ROOT

    def frontier(self) -> Frontier:
        """What is needed to go on without the leaves."""
        size, peaks, begin = len(self), [], 0
        for height in reversed(range(size.bit_length())):
            if size >> height & 1:
                peaks.append(self._levels[height][begin >> height])
                begin += 1 << height
        return Frontier(size, tuple(peaks))

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """Hashes that lead from a leaf to the root over the first `size` leaves (section 2.1.3.1).

        Raises:
            ValueError: no such leaf.
        """
        size = self._checked_size(size)
        if not 0 <= index < size:
            raise ValueError(f"index: got {index}, expected 0 to {size - 1}")
        proof, begin, end = [], 0, size
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                proof.append(self._root(middle, end))
                end = middle
            else:
                proof.append(self._root(begin, middle))
                begin = middle
        return proof[::-1]

    def consistency_proof(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Hashes that show that the first `old_size` of `size` leaves were not touched (section 2.1.4.1).

        Empty where there is nothing to show: for a tree without leaves, and for one that did not grow.

        Raises:
            ValueError: the tree never had that size.
        """
        size = self._checked_size(size)
        if not 0 <= old_size <= size:
            raise ValueError(f"old_size: got {old_size}, expected 0 to {size}")
        if old_size in (0, size):
            return []
        proof, begin, end = [], 0, size
        while old_size != end:
            middle = begin + _split(end - begin)
            if old_size <= middle:
                proof.append(self._root(middle, end))
                end = middle
            else:
                proof.append(self._root(begin, middle))
                begin = middle
        if begin:  # else it is the old root, which whoever checks has
            proof.append(self._root(begin, end))
        return proof[::-1]

    def _checked_size(self, size: int | None) -> int:
        if size is None:
            return len(self)
        if not 0 <= size <= len(self):
            raise ValueError(f"size: got {size}, expected 0 to {len(self)}")
        return size

    def _root(self, begin: int, end: int) -> bytes:
        """Root over some leaves; `begin` is a multiple of the largest power of 2 that fits between."""
        count = end - begin
        height = count.bit_length() - 1
        if count == 1 << height:
            return self._levels[height][begin >> height]
        middle = begin + _split(count)
        return node_hash(self._root(begin, middle), self._root(middle, end))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether a leaf hash is number `index` (from 0) of `size` below the root `expected` (section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, expected, *proof):  # 1
        return False
    first, last, found = index, size - 1, leaf  # 2, 3
    for step in proof:  # 4
        if not last:
            return False
        if first & 1 or first == last:
            found = node_hash(step, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, step)
        first, last = first >> 1, last >> 1
    return not last and found == expected  # 5


def verify_consistency(old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, expected: bytes) -> bool:
    """Whether the tree with `expected` as its root starts with all leaves of an older one (section 2.1.4.2).

    A tree without leaves is where every tree starts; the RFC leaves it and equal sizes out, and both need an
    empty proof here.
    """
    if not 0 <= old_size <= size or not _are_hashes(old_root, expected, *proof):
        return False
    if old_size == size:
        return not proof and old_root == expected and (size > 0 or expected == EMPTY_ROOT)
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if not proof:  # 1
        return False
    steps = list(proof) if old_size & (old_size - 1) else [old_root, *proof]  # 2
    first, last = old_size - 1, size - 1  # 3
    while first & 1:  # 4
        first, last = first >> 1, last >> 1
    old_found = found = steps[0]  # 5
    for step in steps[1:]:  # 6
        if not last:
            return False
        if first & 1 or first == last:
            old_found, found = node_hash(step, old_found), node_hash(step, found)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            found = node_hash(found, step)
        first, last = first >> 1, last >> 1
    return not last and old_found == old_root and found == expected  # 7


def _split(count: int) -> int:
    """The largest power of 2 below `count`, which is 2 or more."""
    return 1 << (count - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_LENGTH for value in values)


def _checked(leaf: bytes) -> bytes:
    if len(leaf) != HASH_LENGTH:
        raise ValueError(f"leaf: got {len(leaf)} bytes, expected a hash of {HASH_LENGTH}")
    return leaf
