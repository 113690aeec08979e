"""Marks of processes that try a candidate."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fielded.words.errors import Unreachable
from fielded.world.trial_marks import TrialMarks

CHILD = """
import sys, time
from pathlib import Path
from fielded.world.trial_marks import TrialMarks
marks = TrialMarks(Path(sys.argv[1]))
marks.hold(sys.argv[2])
print("marked", flush=True)
if sys.argv[3] == "release":
    marks.release()
else:
    time.sleep(600)
"""


def child(folder: Path, trial: str, then: str = "wait") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), trial, then], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "marked\n"
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.wait(30)
    process.stdout.close()


def test_a_living_process_has_not_died_and_a_killed_one_has(tmp_path: Path) -> None:
    marks = TrialMarks(tmp_path / "trials")
    assert marks.left("one") == 0, "nothing was ever marked"
    process = child(tmp_path / "trials", "one")
    marks.hold("one")
    assert (marks.left("one"), TrialMarks(tmp_path / "trials").left("one")) == (0, 0)
    process.send_signal(signal.SIGSTOP)
    assert marks.left("one") == 0
    process.kill()
    ended(process)
    assert (marks.left("one"), marks.left("two")) == (1, 0)
    marks.release()
    assert marks.left("one") == 1


def test_who_ends_in_order_leaves_nothing(tmp_path: Path) -> None:
    ended(child(tmp_path, "one", "release"))
    assert list(tmp_path.iterdir()) == []


def test_marks_of_earlier_trials_go_away_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead, living = child(tmp_path, "old"), child(tmp_path, "other")
    dead.kill()
    ended(dead)
    marks = TrialMarks(tmp_path)
    marks.hold("new")
    marks.hold("new")
    assert marks.left("old") == 0
    assert len(list(tmp_path.iterdir())) == 2
    living.kill()
    ended(living)
    assert marks.left("other") == 1
    marks.hold("newer")
    assert len(list(tmp_path.iterdir())) == 1


def test_names_of_trials_are_no_paths(tmp_path: Path) -> None:
    marks = TrialMarks(tmp_path / "trials")
    marks.hold("../../etc/x")
    assert marks.left("../../etc/x") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["trials"]
    marks.release()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unreachable, match="mark of the trial"):
        TrialMarks(tmp_path / "trials").hold("one")


def test_a_file_in_the_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("")
    marks = TrialMarks(tmp_path / "trials")
    with pytest.raises(Unreachable, match="mark of the trial"):
        marks.hold("one")
    assert marks.left("one") == 0
