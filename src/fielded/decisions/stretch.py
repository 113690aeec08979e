"""A stretch of a journal: rows that follow each other without a gap, drained to one data file."""

import re
from dataclasses import asdict, dataclass
from typing import Any

_MOST = 2**63 - 1
_JOURNAL = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)  # a UUID as text
_HEAD = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Which rows of which journal a data file holds, and the chain's head on both sides of them.

    Attributes:
        journal: id.
        first: number of the first row.
        last: number of the last row.
        before: head of the chain before the first row, 64 hexadecimal digits.
        after: head after the last.

    Raises:
        ValueError: a value is none of these; it may come from a file that anybody wrote.
    """

    journal: str
    first: int
    last: int
    before: str
    after: str

    def __post_init__(self) -> None:
        if not (isinstance(self.journal, str) and _JOURNAL.fullmatch(self.journal)):
            raise ValueError("journal: got something else, expected the id of a journal")
        for name, number in (("first", self.first), ("last", self.last)):
            if type(number) is not int or not 1 <= number <= _MOST:
                raise ValueError(f"{name}: got no number of a row, expected one from 1")
        if self.last < self.first:
            raise ValueError(f"last: got row {self.last}, expected {self.first} or a later one")
        for name, head in (("before", self.before), ("after", self.after)):
            if not (isinstance(head, str) and _HEAD.fullmatch(head)):
                raise ValueError(f"{name}: got no head of a chain, expected 64 hexadecimal digits")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
