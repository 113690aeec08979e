"""fielded's own commands as processes of their own, at another site than this one's.

Nothing of this process's site reaches them: variables of fielded and MLflow are left out, so that the site file
alone says where they run. Each leads a process group, which ends as a whole.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_OF_A_SITE = ("FIELDED_", "MLFLOW_", "PROMETHEUS_MULTIPROC_DIR")
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended.

    Attributes:
        exit_code: None where it was ended because it took too long.
        out: its standard output.
        err: its standard error.
        begun: in ticks, just before it was started.
        seconds: that it took.
    """

    exit_code: int | None
    out: str
    err: str
    begun: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Commands:
    """How to start commands at a site.

    Attributes:
        prefix: what `fielded` is here: program and arguments.
        deployment: its folder.
        site_file: of the site.
        folder: where they run.
        ticks: seconds that only go up.
    """

    prefix: tuple[str, ...]
    deployment: Path
    site_file: Path
    folder: Path
    ticks: Callable[[], float] = time.monotonic

    def line(self, command: str, *options: str) -> list[str]:
        """The words that start a command."""
        place = ("-d", str(self.deployment), "--site", str(self.site_file), "--json")
        return [*self.prefix, command, *place, *options]

    def run(self, command: str, *options: str, timeout_seconds: float) -> Ended:
        """Run a command to its end."""
        begun = self.ticks()
        process = subprocess.Popen(  # noqa: S603 - our own command
            self.line(command, *options), cwd=self.folder, env=_environment(os.environ), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            out, err = process.communicate()
            return Ended(None, out, err, begun, self.ticks() - begun)
        except BaseException:
            _kill(process)
            process.communicate()
            raise
        return Ended(process.returncode, out, err, begun, self.ticks() - begun)


class Service:
    """`fielded serve`, from when it is entered until `stop`; killed where it is left before that.

    Args:
        commands: where it runs.
        log: file for what it says.
        options: of the command.
    """

    def __init__(self, commands: Commands, log: Path, options: Sequence[str] = ()) -> None:
        self._line = commands.line("serve", *options)
        self._folder = commands.folder
        self._ticks = commands.ticks
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._line, cwd=self._folder, env=_environment(os.environ), stdin=subprocess.DEVNULL,
                stdout=sink, stderr=sink, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            _kill(self._process)
            self._process.wait()

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, as it says itself; None before that."""
        for event in self._events():
            if event.get("event") == "listening":
                url = urlsplit(str(event["url"]))
                return str(url.hostname), int(url.port or 0)
        return None

    @property
    def complaint(self) -> str:
        """The last error that it told of; empty where there is none. No payload is ever in its log."""
        errors = [event for event in self._events() if event.get("level") == "error"]
        told = [str(event["message"]) for event in errors if event.get("message")]
        return told[-1].splitlines()[0] if told else ""

    def stop(self, timeout_seconds: float) -> int | None:
        """Tell it to end, and wait for that; its exit code, None where it had to be killed."""
        if self._process is None:
            return None
        self._process.terminate()
        until = self._ticks() + timeout_seconds
        while self._process.poll() is None and self._ticks() < until:
            time.sleep(_LOOK_SECONDS)
        return self._process.poll()

    def _events(self) -> list[dict[str, object]]:
        found = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    found.append(event)
        return found


def _environment(here: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in here.items() if not name.startswith(_OF_A_SITE)}


def _kill(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process that runs, and all that it started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
