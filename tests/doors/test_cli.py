"""`fielded` as a process of its own: exit codes, one JSON document, messages without a trace or a secret.

The calls do not depend on each other, so they are made beside each other once and looked at one by one. A process
that imports MLflow takes seconds: of those there is one for each way through, and what only says it otherwise is
asked of `main` in this process.
"""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from conftest import DAY, DEFINITION, POPULATION, SHIPS, Store, World, make_orders
from fielded.definition import Site
from fielded.doors.cli import app as commands
from fielded.doors.cli import main
from fielded.services.approve import approve

FIELDED = str(Path(sys.executable).with_name("fielded"))
GOOD, BAD, MIXED = (DAY - timedelta(days=number) for number in (3, 2, 1))
SECRET = "correct-horse"  # noqa: S105 - of nobody


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The whole of standard output as one document, exact numbers only."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


class Place:
    """A world, and `fielded` called in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = {
            **world.environment(), "OMP_NUM_THREADS": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }  # fmt: skip

    def call(self, *arguments: str, **environment: str) -> Answer:
        done = subprocess.run(
            [FIELDED, *arguments],
            env={**self.environment, **environment},
            cwd=self.world.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def call_here(self, *arguments: str, **environment: str) -> Answer:
        """The same without a process of its own."""
        code, out, err = 0, io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in {**self.environment, **environment}.items():
                patch.setenv(name, value)
            patch.chdir(self.world.folder)
            patch.setattr("sys.argv", ["fielded", *arguments])
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Answer(code, out.getvalue(), err.getvalue())


def _broken(rows: int, first: int) -> pa.Table:
    orders = make_orders(rows, first=first, opened_on=BAD)
    return orders.set_column(2, "hours", pa.array([-1.0] * rows))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, store: Store, logged: str) -> Place:
    """Fifty good orders; the next day fifty broken ones; then enough good ones to outweigh them."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "deployment").mkdir()
    site = Site(
        root=str(folder / "tables"),
        tracking_uri=store.uri,
        artifact_root=str(store.artifacts),
        cache=folder / "cache",
        journal_url=f"sqlite:///{folder / 'journal'}",
        signing_key=f"file:{folder / 'keys' / 'seal.pem'}",
    )
    world = World(folder / "deployment", site, store, logged)
    world.define()
    orders = [make_orders(50, opened_on=GOOD), _broken(50, 50), make_orders(400, first=100, opened_on=MIXED)]
    world.write("silver.orders", pa.concat_tables(orders))
    world.write("reference.ships", SHIPS)
    approve(world.open(), "2")
    for name, text in {
        "unapproved": DEFINITION.replace("name: overrun\n", "name: unapproved\n"),
        "unread": DEFINITION.replace("silver.orders", "silver.missing"),
        "wrong": DEFINITION.replace("threshold: 0.65", "threshold: 7").replace("Alex Example", "The Team"),
    }.items():
        (folder / "deployment" / name).mkdir()
        (folder / "deployment" / name / "deployment.yaml").write_text(text.replace("MODEL", logged))
        (folder / "deployment" / name / "population.py").write_text(POPULATION)
    return Place(world)


CALLS: dict[str, tuple[str, ...]] = {
    "score": ("score", "--as-of", str(MIXED)),
    "score of a refused day": ("score", "--as-of", str(BAD), "--json"),
    "backfill": ("score", "--backfill", f"{GOOD}..{MIXED}", "--json"),
    "backfill in words": ("score", "--backfill", f"{GOOD}..{MIXED}"),
    "backfill without approval": ("score", "-d", "unapproved", "--backfill", f"{GOOD}..{MIXED}", "--json"),
    "check": ("check", "--as-of", str(MIXED), "--json"),
    "check that fails": ("check", "-d", "unread", "--json"),
    "a wrong definition": ("audit", "find", "WO-00000007", "-d", "wrong", "--json"),
    "find": ("audit", "find", "WO-00000007"),
    "find as JSON": ("audit", "find", "WO-00000007", "--on", str(MIXED), "--json"),
    "find nobody": ("audit", "find", "WO-nobody", "--json"),
    "show nothing": ("audit", "show", "0190a0a0-0000-7000-8000-000000000000", "--json"),
    "help": ("--help",),
    "no such command": ("scor",),
    "no such option": ("audit", "find", "WO-00000007", "--no-such-option"),
    "no deployment": ("audit", "find", "WO-00000007", "-d", "nowhere"),
    "find on no date": ("audit", "find", "WO-00000007", "--on", "yesterday", "--json"),
}
ELSEWHERE: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "no store": (
        ("score", "--as-of", str(MIXED), "--json"),
        {"FIELDED_TRACKING_URI": f"http://user:{SECRET}@127.0.0.1:9"},
    ),
    "no driver": (
        ("score", "--as-of", str(MIXED)),
        {"FIELDED_TRACKING_URI": f"nosuch://user:{SECRET}@127.0.0.1:9/db?password={SECRET}"},
    ),
    "no root": (("score", "--as-of", str(MIXED)), {"FIELDED_ROOT": "no/such/folder"}),
    "no root to look into": (("audit", "find", "WO-00000007", "--json"), {"FIELDED_ROOT": "no/such/folder"}),
}
HERE = {
    "check", "check that fails", "score", "score of a refused day", "backfill in words",
    "backfill without approval", "no driver", "no root",
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(place: Place) -> dict[str, Answer]:
    first = {"first score": place.call("score", "--as-of", str(MIXED), "--json")}
    assert first["first score"].code == 0, first["first score"].err
    found = place.world.open().tables.open("ledger.overrun.predictions").to_pyarrow_table().to_pylist()
    row = next(row["request_id"] for row in found if row["subject"] == "WO-00000007")
    calls = {
        **{name: (arguments, {}) for name, arguments in CALLS.items()},
        **ELSEWHERE,
        "show": (("audit", "show", row, "--json"), {}),
        "show in words": (("audit", "show", row), {}),
        "replay": (("audit", "replay", row, "--json"), {}),
    }
    with ThreadPoolExecutor(2) as pool:
        own = {
            name: pool.submit(place.call, *given, **changed)
            for name, (given, changed) in calls.items()
            if name not in HERE
        }
        here = {name: place.call_here(*calls[name][0], **calls[name][1]) for name in sorted(HERE)}
        return first | here | {name: answer.result() for name, answer in own.items()}


EXIT_CODES = {
    "first score": 0, "score": 0, "check": 0, "find": 0, "find as JSON": 0, "show": 0, "show in words": 0,
    "replay": 0, "help": 0,
    "score of a refused day": 1, "backfill": 1, "backfill in words": 1, "backfill without approval": 1,
    "check that fails": 1, "find nobody": 1,
    "a wrong definition": 2, "show nothing": 2, "no such command": 2, "no such option": 2,
    "no deployment": 2, "find on no date": 2,
    "no store": 3, "no driver": 3, "no root": 3, "no root to look into": 3,
}  # fmt: skip


@pytest.mark.parametrize("name", EXIT_CODES)
def test_exit_codes(answers: dict[str, Answer], name: str) -> None:
    answer = answers[name]
    assert answer.code == EXIT_CODES[name], answer.out + answer.err


def test_every_call_is_looked_at(answers: dict[str, Answer]) -> None:
    assert set(answers) == set(EXIT_CODES)


def test_no_answer_has_a_trace_or_a_secret(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        said = answer.out + answer.err
        assert "Traceback" not in said, name
        assert 'File "' not in said, name
        assert SECRET not in said, name
        assert said.strip(), name


def test_errors_in_words_go_to_standard_error_and_json_to_standard_output(answers: dict[str, Answer]) -> None:
    for name in ("no such command", "no such option", "no deployment", "no driver", "no root"):
        assert answers[name].out == "", name
        assert answers[name].err, name
    for name in ("no store", "show nothing", "find on no date", "score of a refused day", "no root to look into"):
        assert set(answers[name].json()) == {"error", "message", "findings"}, name
        assert answers[name].err == "", name


def test_an_error_names_its_class_and_the_next_step(answers: dict[str, Answer]) -> None:
    assert answers["no store"].json()["error"] == "Unreachable"
    assert answers["no store"].json()["message"].startswith("registry: http://127.0.0.1:9 does not answer")
    assert "Check root in site.yaml" in answers["no root"].err
    refused = answers["score of a refused day"].json()
    assert refused["error"] == "RunRefused"
    assert "50 of 100 rows quarantined" in refused["message"]
    assert "--on: got 'yesterday', expected a date" in answers["find on no date"].json()["message"]
    assert "fielded new" in answers["no deployment"].err


def test_a_wrong_definition_is_told_field_by_field(answers: dict[str, Answer]) -> None:
    told = answers["a wrong definition"].json()
    assert told["error"] == "DefinitionError"
    assert {"decision.threshold", "people.model_owner.name"} <= {item["field"] for item in told["findings"]}
    assert all(item["where"].startswith("deployment.yaml:") for item in told["findings"])


def test_score_as_json(answers: dict[str, Answer]) -> None:
    told = answers["first score"].json()
    wanted = {"state": "published", "population": 500, "scored": 450, "quarantined": 50, "day": str(MIXED)}
    assert {name: told[name] for name in wanted} == wanted
    assert told["flagged"] + told["clear"] + told["review"] == 450
    assert told["model_version"] == "2"
    assert told["inputs"] == {"silver.orders": 0, "reference.ships": 0}
    assert told["rows_per_second"] > 0


def test_score_in_words(answers: dict[str, Answer]) -> None:
    first, second = answers["score"].out.splitlines()
    assert first.startswith(f"{MIXED}  already done: 500 in the population = 450 scored + 50 quarantined; ")
    assert re.search(r"shared version 2; .* rows/s; run [0-9a-f-]{36}$", second)


def test_a_back_fill_is_one_array_with_both_ends_and_goes_on_after_a_refused_day(
    answers: dict[str, Answer],
) -> None:
    told = answers["backfill"].json()
    assert [item["day"] for item in told] == [str(GOOD), str(BAD), str(MIXED)]
    assert [item.get("state") or item["error"] for item in told] == [
        told[0]["state"], "RunRefused", "already done",
    ]  # fmt: skip
    assert told[0]["state"] in ("published", "already done")  # the other back-fill runs beside this one
    assert told[0]["scored"] == 50


def test_a_back_fill_in_words_says_which_day_was_refused(answers: dict[str, Answer]) -> None:
    answer = answers["backfill in words"]
    assert re.findall(r"^(\S+)  (?:published|already done)", answer.out, re.MULTILINE) == [str(GOOD), str(MIXED)]
    assert answer.err.startswith(f"{BAD}  refused: batch.quarantine_limit")


def test_a_back_fill_stops_at_what_is_not_the_days_fault(answers: dict[str, Answer]) -> None:
    (told,) = answers["backfill without approval"].json()
    assert told["error"] == "NotApproved"
    assert "fielded release approve 2" in told["message"]


def test_check_as_json(answers: dict[str, Answer]) -> None:
    told = answers["check"].json()
    assert [item["check"] for item in told] == ["definition", "people", "model", "tables", "population"]
    assert all(item["passed"] and item["note"] and not item["findings"] + item["errors"] for item in told)
    failing = {item["check"]: item for item in answers["check that fails"].json()}
    assert [name for name, item in failing.items() if not item["passed"]] == ["tables", "population"]
    assert failing["tables"]["errors"][0].startswith("table silver.missing: got no Delta table")


def test_find_and_show_and_replay_tell_of_the_same_row(answers: dict[str, Answer]) -> None:
    (found,) = answers["find as JSON"].json()
    shown, replayed = answers["show"].json(), answers["replay"].json()
    assert found == shown
    assert (shown["subject"], shown["scored_date"]) == ("WO-00000007", str(MIXED))
    assert set(shown["features"]) == {"hours", "age", "earlier", "month", "kind"}
    assert (replayed["outcome"], replayed["request_id"]) == ("exact", shown["request_id"])
    assert replayed["stored"] == replayed["replayed"] == shown["score"]
    assert shown["request_id"] in answers["find"].out
    assert repr(shown["score"]) in answers["show in words"].out


def test_nobody_found_is_an_empty_list(answers: dict[str, Answer]) -> None:
    assert answers["find nobody"].json() == []


def test_help_lists_every_command(answers: dict[str, Answer]) -> None:
    listed = re.findall(r"^  ([a-z]+)  ", answers["help"].out, re.MULTILINE)
    assert listed == list(commands._COMMANDS)


# What a look-up does without

QUICK = """\
import sys
sys.argv = ["fielded", *sys.argv[1:]]
from fielded.doors.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
print(code, *sorted({"mlflow", "pandas", "sklearn", "ibis", "duckdb"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["find", "show"])
def test_a_look_up_imports_no_model_library(place: Place, answers: dict[str, Answer], command: str) -> None:
    what = {"find": "WO-00000007", "show": answers["show"].json()["request_id"]}[command]
    done = subprocess.run(
        [sys.executable, "-c", QUICK, "audit", command, what],
        env=place.environment,
        cwd=place.world.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answers["show"].json()["request_id"] in done.stdout
    assert done.stderr.split() == ["0"]


# Watching


def test_a_watch_scores_new_data_and_ends_well_when_told(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "tables"
    shutil.copytree(place.world.site.root, root)
    world = replace(place.world, site=replace(place.world.site, root=str(root)))
    watching = subprocess.Popen(
        [FIELDED, "score", "--watch", "--every", "0.1", "--json"],
        env={**place.environment, "FIELDED_ROOT": str(root)},
        cwd=place.world.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = json.loads(watching.stdout.readline())  # said at once, not when it ends
        world.write("silver.orders", make_orders(30, first=1000), mode="append")
        second = json.loads(watching.stdout.readline())
        assert (first["population"], second["population"]) == (500, 530)
        time.sleep(0.3)
        watching.send_signal(signal.SIGTERM)
        out, err = watching.communicate(timeout=30)
    finally:
        watching.kill()
    assert (watching.returncode, out, err) == (0, "", "")
