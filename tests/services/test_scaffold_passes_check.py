"""`fielded new` to a passing `fielded check`: every blank is reported, and only the blanks are in the way."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from conftest import DAY, World
from fielded.definition import load_deployment
from fielded.definition.scaffold import new_deployment
from fielded.services.approve import approve
from fielded.services.check import check
from fielded.services.score_day import score_day
from fielded.words.errors import DefinitionError

FEATURES = """\
  hours:   {type: float, unit: hours, min: 0}
  age:     {type: float, unit: years, min: 0, nullable: true}
  earlier: {type: int, min: 0}
  month:   {type: int, min: 1, max: 12}
  kind:    {type: category}
"""
BLANKS = {
    "purpose": "Flag open work orders that are likely to overrun.",
    "subject": "order_id",
    "threshold": "0.65",
    "rationale": "A missed overrun costs more than a needless visit.",
    "review_band": "[0.55, 0.75]",
    "subjects": "silver.subjects",
    "output": "gold.overrun_scores",
}


def _fill(file: Path, model: str) -> None:
    lines = []
    for line in file.read_text().splitlines():
        field = line.split("#")[0].strip().removesuffix(":")
        if field.startswith("example_"):
            continue
        text = line.split("#")[0].rstrip()
        lines.append(f"{text} {BLANKS[field]}" if field in BLANKS else text)
        if field == "features":
            lines += FEATURES.splitlines()
    text = "\n".join(lines) + "\n"
    text = text.replace("name: , email: ", "name: Alex Example, email: alex.example@example.mil")
    file.write_text(text.replace("overrun_classifier", model))


def test_a_new_folder_is_reported_blank_by_blank_and_passes_once_filled(world: World, tmp_path: Path) -> None:
    folder = new_deployment(tmp_path / "new", "overrun")
    with pytest.raises(DefinitionError) as caught:
        load_deployment(folder)
    named = {finding.field.rpartition(".")[2] for finding in caught.value.findings}
    assert named == {*BLANKS, "name", "email"}

    _fill(folder / "deployment.yaml", world.model)
    subjects = pa.table(
        {
            "order_id": [f"WO-{number}" for number in range(20)],
            "hours": [float(number) for number in range(20)],
            "age": pa.array([None, *(float(number) for number in range(19))], pa.float64()),
            "earlier": list(range(20)),
            "month": [number % 12 + 1 for number in range(20)],
            "kind": ["engine", "hull"] * 10,
            "opened_on": pa.array([DAY] * 19 + [date(2030, 1, 1)], pa.date32()),
        }
    )
    site = replace(world.site, root=str(tmp_path / "new_tables"))
    write_deltalake(str(tmp_path / "new_tables" / "silver" / "subjects"), subjects)
    made = replace(world, folder=folder, site=site)

    checks = check(made.open(), DAY)
    assert [str(finding) for item in checks for finding in item.findings] == []
    assert all(item.passed for item in checks)
    approve(made.open(), "2")
    assert all(item.passed for item in check(made.open(), DAY))
    summary = score_day(*made.scorers(), DAY)
    assert (summary.state, summary.scored, summary.quarantined) == ("published", 19, 0)
