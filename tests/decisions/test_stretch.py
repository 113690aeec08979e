"""A stretch may come from a commit that anybody wrote: what is none is no value."""

from typing import Any

import pytest

from fielded.decisions.stretch import Stretch

GOOD: dict[str, Any] = {
    "journal": "11111111-1111-4111-8111-111111111111", "first": 1, "last": 3,
    "before": "0" * 64, "after": "a" * 64,
}  # fmt: skip


def test_a_stretch_is_read_back() -> None:
    assert Stretch(**GOOD).as_dict() == GOOD


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal", ""), ("journal", 7), ("journal", "a/b"), ("journal", "\u0661"),
        ("first", 0), ("first", True), ("first", "1"), ("first", 1.0), ("first", 4),
        ("last", None), ("last", 2**63), ("last", 0),
        ("before", "zz"), ("before", "0" * 63), ("before", "A" * 64), ("before", "0" * 64 + "\n"), ("after", []),
    ],
)  # fmt: skip
def test_any_other_value_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Stretch(**{**GOOD, name: value})
