"""A stretch of a journal: rows that follow each other without a gap, drained to one data file."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which rows of which journal a data file holds, and the chain's head on both sides of them.

    Attributes:
        journal: id.
        first: number of the first row.
        last: number of the last row.
        before: head of the chain before the first row, 64 hexadecimal digits.
        after: head after the last.
    """

    journal: str
    first: int
    last: int
    before: str
    after: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
