"""Our drift against NannyML's on the same rows: to 1e-9 where groups are alike, else within the stated error."""

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from fielded.decisions.monitoring.drift import chi2, js, ks, wasserstein
from fielded.decisions.monitoring.histograms import OVERALL
from fielded.decisions.monitoring.profile import counted, profile_of
from fielded.definition.deployment import Feature

ROOT = Path(__file__).resolve().parents[3]
EXACT = 1e-9
SAID = json.loads((ROOT / "tests" / "oracles" / "drift_nannyml.json").read_text())["windows"]


def _script() -> ModuleType:
    """The script that asked NannyML: it makes the rows."""
    spec = importlib.util.spec_from_file_location(
        "drift_nannyml", ROOT / "bench" / "monitoring" / "oracles" / "drift_nannyml.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ASKED = _script()
TRAINING = pa.table(ASKED.made(ASKED.ROWS[0], 0.0))
FEATURES = {
    name: Feature(type="category" if name == "kind" else "float") for name in ("hours", "age", "month", "kind")
}
PROFILE = profile_of(FEATURES, (), TRAINING, TRAINING.column("score").to_numpy())


@pytest.fixture(params=ASKED.WINDOWS, scope="module")
def window(request: pytest.FixtureRequest) -> tuple[str, pa.Table]:
    return request.param, pa.table(ASKED.made(ASKED.ROWS[1], ASKED.WINDOWS[request.param]))


def test_of_categories_both_say_the_same(window: tuple[str, pa.Table]) -> None:
    name, rows = window
    grid = PROFILE.grids["kind"]
    pair = PROFILE.reference.of(OVERALL, "kind"), counted(PROFILE, rows).of(OVERALL, "kind")
    said = SAID[name]["kind"]
    assert js(grid, *pair).value == pytest.approx(said["jensen_shannon"], abs=EXACT)
    found = chi2(grid, *pair)
    assert found.value == pytest.approx(math.sqrt(said["chi2"] / sum(ASKED.ROWS)), abs=EXACT)


@pytest.mark.parametrize("column", ["hours", "age", "month", "score"])
def test_of_numbers_they_differ_by_no_more_than_the_stated_error(
    window: tuple[str, pa.Table], column: str
) -> None:
    name, rows = window
    grid = PROFILE.grids[column]
    pair = PROFILE.reference.of(OVERALL, column), counted(PROFILE, rows).of(OVERALL, column)
    said = SAID[name][column]
    found = ks(grid, *pair)
    assert found.value - EXACT <= said["kolmogorov_smirnov"] <= found.value + found.error + EXACT
    values = rows.column(column).to_numpy()
    outside = np.abs(values - np.clip(values, grid.edges[0], grid.edges[-1])).mean()  # we take these to its end
    found = wasserstein(grid, *pair)
    assert abs(found.value - said["wasserstein"]) <= found.error + outside + EXACT


def test_a_bin_for_each_value_is_exact(window: tuple[str, pa.Table]) -> None:
    name, rows = window
    pair = PROFILE.reference.of(OVERALL, "month"), counted(PROFILE, rows).of(OVERALL, "month")
    said, grid = SAID[name]["month"], PROFILE.grids["month"]
    assert ks(grid, *pair).value == pytest.approx(said["kolmogorov_smirnov"], abs=EXACT)
    assert wasserstein(grid, *pair).value == pytest.approx(said["wasserstein"], abs=EXACT)
