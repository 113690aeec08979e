"""What happens to a case, as the events about `case REQUEST_ID` tell it.

The details of every event carry `turn` (1, 2, 3, ... for one case), `subject` and `scored_date` of the prediction.
Those of single kinds:

- `case_claimed`: `stage` (what is to be done), `until` (UTC, when the claim ends), `judge_first`;
- `case_released`: nothing more;
- `case_judged`: `flag`, what the reviewer would have decided before he saw the score;
- `case_decided`: `outcome` (`keep` or `override`), `final` (`flagged` or `clear`), `reason` (a code of the
  definition), `text`, `second_due` (whether a second person judges it), and what was decided about, so that
  statistics need no more than the events: `flag`, `score`, `scored_at`, `decision`, `routed_by`, `propensity`,
  `model_version`, `channel`, `slices`, `due_at`;
- `case_second_judged`: `flag`, `agrees`;
- `case_reassigned`: `stage`, `to`, `until`, `judge_first`, `reason`;
- `case_escalated`, `case_appealed`: `reason`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from fielded.decisions.acts import Act

CLAIMED = "case_claimed"
RELEASED = "case_released"
JUDGED = "case_judged"
DECIDED = "case_decided"
SECOND_JUDGED = "case_second_judged"
REASSIGNED = "case_reassigned"
ESCALATED = "case_escalated"
APPEALED = "case_appealed"

KINDS = frozenset({CLAIMED, RELEASED, JUDGED, DECIDED, SECOND_JUDGED, REASSIGNED, ESCALATED, APPEALED})
SETTLING = frozenset({DECIDED, SECOND_JUDGED, APPEALED})  # what changes the decision that stands

ABOUT = "case "  # followed by the request id

Outcome = Literal["keep", "override"]
Final = Literal["flagged", "clear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent(Act):
    """One act about one case.

    Attributes:
        sequence: its number among all events of the ledger; 0 where it is not there yet.
    """

    sequence: int = 0

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """As `Act.read`; a row's number is a whole one too."""
        # Named, for a dataclass with slots is another class than the one that `super()` knows.
        return replace(super(CaseEvent, cls).read(row), sequence=int(row["sequence"]))


def final_of(flag: bool) -> Final:
    """A flag as a decision."""
    return "flagged" if flag else "clear"
