"""`fielded review band`, as docs/band.md has it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from conftest import DAY, DEFINITION, World, make_orders
from fielded.services.score_day import score_day

PAGE = Path(__file__).resolve().parents[2] / "docs" / "band.md"


def held_out(rows: int) -> pa.Table:
    rng = np.random.default_rng(3)
    made = make_orders(rows, 7).drop_columns(["hull", "opened_on"])
    made = made.append_column("age", pa.array(rng.integers(1, 50, rows).astype(float)))
    return made.append_column("overran", pa.array(rng.random(rows) < 0.5))


def run(world: World, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "fielded"), *arguments]
    environment = {**world.environment(), "FIELDED_DEPLOYMENT": str(world.folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_documents_command_says_what_the_document_says(world: World, tmp_path: Path) -> None:
    world.define(DEFINITION + "release:\n  holdout: {table: silver.holdout, label: overran}\n")
    world.write("silver.holdout", held_out(2000))
    score_day(*world.scorers(), DAY)
    page = PAGE.read_text()
    command = re.search(r"```console\n\$ fielded (.*)\n```", page)[1].split()
    done = run(world, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1].splitlines()
    assert shown[1:] == done.stdout.splitlines()[1 : len(shown)]
    assert "Beyond chance: " in done.stdout, "labels that have nothing to do with the scores"
    assert (tmp_path / "band" / "band.html").is_file()
    again = run(world, tmp_path, "review", "band", "--json", "--out", "other")
    report = json.loads(again.stdout)
    assert report["points"]["in_force"]["band"] == [0.55, 0.75]
    assert (tmp_path / "other" / "band.json").is_file()
    assert report["report"] == "other"


def test_what_is_wrong_is_told_with_the_next_step(world: World, tmp_path: Path) -> None:
    none = run(world, tmp_path, "review", "band")
    assert (none.returncode, none.stdout) == (1, "")
    assert "labelled rows: got none" in none.stderr
    assert run(world, tmp_path, "review", "band", "--cost", "-1").returncode == 2
