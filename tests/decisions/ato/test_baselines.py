"""The table of facts: as many controls in each baseline as the publications have."""

import json
from pathlib import Path
from typing import get_args

import pytest

from fielded.decisions.ato.baselines import baseline, controls, families, name_of, order_of
from fielded.definition.ato import Baseline

REFERENCE = Path("/work/shared/reference/sp800-53/sp800_53r5_controls.json")


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ("nist-low", 149),
        ("nist-moderate", 287),
        ("nist-high", 370),
        ("fedramp-class-b", 155),
        ("fedramp-class-c", 322),
        ("fedramp-class-d", 409),
    ],
)
def test_a_baseline_has_as_many_controls_as_published(chosen: Baseline, count: int) -> None:
    assert len(baseline(chosen)) == count
    assert list(baseline(chosen)) == sorted(baseline(chosen), key=order_of)


def test_every_control_is_whole() -> None:
    assert (len(controls()), len(families())) == (1014, 20)
    for key, control in controls().items():
        assert control.id == key
        assert control.family in families()
        assert control.title.strip() == control.title != ""
        assert control.methods
        assert control.baselines <= set(get_args(Baseline))
    assert list(controls()) == sorted(controls(), key=order_of)


def test_low_is_within_moderate_within_high() -> None:
    low, moderate, high = (set(baseline(name)) for name in ("nist-low", "nist-moderate", "nist-high"))
    assert low < moderate < high


def test_what_the_publications_say_of_some() -> None:
    assert controls()["ac-6.9"].name == "AC-6(9)" == name_of("ac-6.9")
    assert controls()["sr-4"].baselines == frozenset()
    assert controls()["au-10"].baselines == {"nist-high", "fedramp-class-d"}
    assert controls()["ca-5"].baselines == {"nist-low", "nist-moderate", "nist-high"}, "not in FedRAMP's any more"
    assert controls()["au-11"].methods == ("examine", "interview")


@pytest.mark.skipif(not REFERENCE.exists(), reason="the gathered reference is not on this machine")
def test_the_table_is_the_reference() -> None:
    known = {row[0]: row for row in json.loads(REFERENCE.read_text())["controls"]}
    assert set(known) == set(controls())
    for key, control in controls().items():
        assert control.title == known[key][1].strip()
        assert "".join(method[0].upper() for method in control.methods) == known[key][4]
