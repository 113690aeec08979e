"""`fielded` called in this process: `main` is what the console script calls."""

import pytest

from conftest import World
from fielded.doors.cli import main

Ended = tuple[int, str, str]  # exit code, standard output, standard error


def at_site(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands run at a world's site."""
    for name, value in world.environment().items():
        if name.startswith("FIELDED_"):
            monkeypatch.setenv(name, value)


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, by: str = ""
) -> Ended:
    """What became of a command, called by a person; nobody named is whoever runs the tests."""
    if by:
        monkeypatch.setattr("fielded.doors.cli.opening.operating_system_user", lambda: by)
    monkeypatch.setattr("sys.argv", ["fielded", *arguments])
    capsys.readouterr()
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err
