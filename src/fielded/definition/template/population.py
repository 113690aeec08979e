"""Who is scored on a day."""

from datetime import date
from typing import Any


def pending(tables: Any, as_of: date) -> Any:
    """Subjects to score on the day `as_of`, one row each, with every feature.

    `tables.subjects` is an Ibis table; `as_of` is passed in, and no clock is read: a back-fill of a past
    day must give that day's rows.
    """
    subjects = tables.subjects
    return subjects.filter(subjects.opened_on <= as_of)
