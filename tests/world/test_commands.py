"""Commands as processes: at another site, ended as a whole."""

import os
import sys
import time
from pathlib import Path

import pytest

from fielded.world.commands import Commands, Service

LISTEN = '{"level": "info", "event": "listening", "url": "http://127.0.0.1:4321"}'
ERROR = '{"level": "error", "event": "log", "message": "first line\\\\nsecond"}'


def commands(tmp_path: Path, script: str) -> Commands:
    return Commands((sys.executable, "-c", script), tmp_path, tmp_path / "site.yaml", tmp_path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_nothing_of_this_site_reaches_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDED_ROOT", "/the/real/one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://registry.example.mil")
    monkeypatch.setenv("KEPT", "yes")
    script = "import os, sys; print(sorted(os.environ), sys.argv[1:]); sys.exit(3)"
    ended = commands(tmp_path, script).run("rollback", "-m", "x", timeout_seconds=60)
    assert ended.exit_code == 3
    assert "'KEPT'" in ended.out
    assert "FIELDED" not in ended.out
    assert "MLFLOW" not in ended.out
    assert (
        f"['rollback', '-d', '{tmp_path}', '--site', '{tmp_path / 'site.yaml'}', '--json', '-m', 'x']" in ended.out
    )
    assert os.environ["FIELDED_ROOT"] == "/the/real/one"


STARTS_ANOTHER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    ended = commands(tmp_path, STARTS_ANOTHER).run("rollback", timeout_seconds=3)
    assert ended.exit_code is None
    assert gone(int(ended.out))


def test_a_service_tells_where_it_listens_and_what_went_wrong(tmp_path: Path) -> None:
    script = f"print('no json'); print('''{LISTEN}'''); print('''{ERROR}'''); raise SystemExit(3)"
    with Service(commands(tmp_path, script), tmp_path / "log") as service:
        while service.exit_code is None:
            time.sleep(0.02)
        assert (service.exit_code, service.address, service.complaint) == (3, ("127.0.0.1", 4321), "first line")


def test_a_service_that_is_left_is_killed_with_its_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Service(commands(tmp_path, STARTS_ANOTHER), log) as service:
        while not log.read_text().strip():
            time.sleep(0.02)
        assert (service.exit_code, service.address, service.complaint) == (None, None, "")
    assert gone(int(log.read_text()))


def test_a_service_is_asked_to_end_and_one_that_does_not_is_told_of(tmp_path: Path) -> None:
    for taken, code in (("lambda *_: sys.exit(0)", 0), ("signal.SIG_IGN", None)):
        script = f"import signal, sys, time; signal.signal(15, {taken}); print(1, flush=True); time.sleep(600)"
        log = tmp_path / f"log-{code}"
        with Service(commands(tmp_path, script), log) as service:
            while not log.read_text().strip():
                time.sleep(0.02)
            assert service.stop(10 if code == 0 else 0.5) == code
