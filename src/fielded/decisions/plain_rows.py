"""Rows as JSON that says the same as the row, to the last bit."""

import math
from datetime import UTC, date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """A value of a ledger row as JSON.

    A float is written with all its digits, so that reading gives the same float; one that is not finite, for
    which JSON has no number, is the text `NaN`, `Infinity` or `-Infinity`. A moment is RFC 3339 in UTC with
    microseconds, a day is ISO 8601.
    """
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return value
