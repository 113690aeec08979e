"""Every day of October 2013 on the real flights: none unaccounted for, and the page shows what is measured."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples" / "flight_delay"


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("flights")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIELDED_")}
    command = [sys.executable, str(FLIGHTS / "run.py"), "--json", str(folder / "numbers.json")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "numbers.json").read_text())


def test_every_flight_of_every_day_is_scored_or_quarantined(numbers: dict) -> None:
    days = numbers["days"]
    assert len(days) == 31
    totals = numbers["totals"]
    assert totals["file"] == totals["population"] == totals["scored"] + totals["quarantined"] == 28_889
    assert totals["unaccounted"] == 0


def test_what_was_looked_up_replays_to_the_last_bit(numbers: dict) -> None:
    assert numbers["replay"]["asked"] == numbers["replay"]["exact"] == 3


def test_the_page_shows_what_was_measured(numbers: dict) -> None:
    page = (ROOT / "docs" / "flights.md").read_text()
    totals = numbers["totals"]
    for count in (totals["file"], totals["scored"], totals["quarantined"]):
        assert re.search(rf"\| {count:,} \|", page), count
