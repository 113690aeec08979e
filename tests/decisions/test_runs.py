"""A run is named by its inputs, and its rows add up or it is refused."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conftest import DAY, DEFINITION, POPULATION
from fielded.decisions.runs import RunSummary, check_account, check_quarantine, run_id
from fielded.definition import Deployment, load_deployment
from fielded.words.errors import RunRefused

MODEL = {"name": "overrun", "version": "2", "artifact_sha256": "a" * 64}
INPUTS = {"orders": "id-1@4", "ships": "id-2@0"}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder: Path = tmp_path_factory.mktemp("overrun")
    (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "overrun"))
    (folder / "population.py").write_text(POPULATION)
    return load_deployment(folder)


def test_the_same_inputs_have_the_same_id(deployment: Deployment) -> None:
    first = run_id(deployment, DAY, MODEL, INPUTS, "")
    assert uuid.UUID(first).version == 8
    elsewhere = replace(deployment, folder=Path("/elsewhere"))
    turned = {name: dict(reversed(values.items())) for name, values in (("model", MODEL), ("inputs", INPUTS))}
    assert run_id(elsewhere, DAY, turned["model"], turned["inputs"], "") == first


CHANGES: dict[str, Callable[[Deployment], tuple[Any, ...]]] = {
    "definition": lambda made: (replace(made, sha256="0" * 64), DAY, MODEL, INPUTS, ""),
    "deployment": lambda made: (replace(made, name="other"), DAY, MODEL, INPUTS, ""),
    "day": lambda made: (made, DAY + timedelta(days=1), MODEL, INPUTS, ""),
    "model name": lambda made: (made, DAY, {**MODEL, "name": "other"}, INPUTS, ""),
    "model version": lambda made: (made, DAY, {**MODEL, "version": "3"}, INPUTS, ""),
    "model bytes": lambda made: (made, DAY, {**MODEL, "artifact_sha256": "b" * 64}, INPUTS, ""),
    "input version": lambda made: (made, DAY, MODEL, {**INPUTS, "orders": "id-1@5"}, ""),
    "input table made anew": lambda made: (made, DAY, MODEL, {**INPUTS, "orders": "id-3@4"}, ""),
    "input more": lambda made: (made, DAY, MODEL, {**INPUTS, "yards": "id-4@0"}, ""),
    "input less": lambda made: (made, DAY, MODEL, {"orders": "id-1@4"}, ""),
    "inputs exchanged": lambda made: (made, DAY, MODEL, {"orders": "id-2@0", "ships": "id-1@4"}, ""),
    "again": lambda made: (made, DAY, MODEL, INPUTS, "x"),
    "again, differently": lambda made: (made, DAY, MODEL, INPUTS, "y"),
}


def test_any_changed_input_gives_another_id(deployment: Deployment) -> None:
    ids = {name: run_id(*change(deployment)) for name, change in CHANGES.items()}
    ids["none"] = run_id(deployment, DAY, MODEL, INPUTS, "")
    assert len(set(ids.values())) == len(CHANGES) + 1


COUNTS = st.integers(0, 10**7)


@given(COUNTS, COUNTS, st.integers(-3, 3))
def test_every_row_is_accounted_for_or_the_run_is_refused(scored: int, quarantined: int, off: int) -> None:
    if off == 0:
        check_account(scored + quarantined, scored, quarantined)
        return
    with pytest.raises(RunRefused, match="account") as caught:
        check_account(scored + quarantined + off, scored, quarantined)
    for number in (scored, quarantined, scored + quarantined, scored + quarantined + off):
        assert str(number) in str(caught.value)


@given(st.integers(1, 10**6), st.integers(0, 100), st.data())
@example(100, 29, None)
@example(700, 7, None)
def test_the_share_of_quarantined_rows_is_compared_exactly(population: int, percent: int, data: Any) -> None:
    at_limit = population * percent // 100
    quarantined = at_limit if data is None else data.draw(st.integers(0, population) | st.just(at_limit))
    within = Fraction(quarantined, population) <= Fraction(percent, 100)
    if within:
        check_quarantine(population, quarantined, percent / 100)
        return
    with pytest.raises(RunRefused, match=rf"got {quarantined} of {population} rows"):
        check_quarantine(population, quarantined, percent / 100)


@pytest.mark.parametrize("limit", [0.0, 0.05, 1.0])
def test_an_empty_day_is_within_any_limit(limit: float) -> None:
    check_account(0, 0, 0)
    check_quarantine(0, 0, limit)


def test_a_limit_of_nothing_allows_nothing() -> None:
    check_quarantine(10**7, 0, 0.0)
    with pytest.raises(RunRefused):
        check_quarantine(10**7, 1, 0.0)


def summary(seconds: float) -> RunSummary:
    return RunSummary(
        run_id="r",
        day=date(2026, 3, 2),
        state="published",
        population=100,
        scored=90,
        flagged=20,
        clear=60,
        review=10,
        quarantined=10,
        model_name="overrun",
        model_version="2",
        inputs={"silver.orders": 4},
        seconds=seconds,
    )


def test_a_summary_in_json_holds_everything_and_makes_the_same_summary() -> None:
    text = json.dumps(summary(4.0).as_dict())
    values = json.loads(text)
    assert values["day"] == "2026-03-02"
    assert RunSummary(**{**values, "day": date.fromisoformat(values["day"])}) == summary(4.0)


def test_rows_a_second() -> None:
    assert summary(4.0).rows_per_second == 25
    assert summary(0.0).rows_per_second == 0
