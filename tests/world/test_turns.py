"""One process at a time, and a dead one holds up nobody."""

import subprocess
import sys
from pathlib import Path

import pytest

from fielded.words.errors import Unreachable
from fielded.world.turns import turn

OTHER = """
import sys
from pathlib import Path
from fielded.world.turns import turn
with turn(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


def test_it_is_one_process_turn_until_it_is_done_or_dead(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "drain"
    with turn(file) as mine:
        assert mine
        with turn(file) as again:
            assert not again
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    with turn(file) as mine:
        assert not mine
    other.kill()
    other.communicate()
    with turn(file) as mine:
        assert mine


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Unreachable, match="cannot be written"), turn(tmp_path / "cache" / "drain"):
        pass
