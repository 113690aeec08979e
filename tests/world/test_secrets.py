"""A secret is found where its reference says, and no message ever shows one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.words.errors import WrongUse
from fielded.world.secrets import MAX_BYTES, resolve_secret


def refused(reference: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(WrongUse) as caught:
        resolve_secret(reference, environment or {})
    return str(caught.value)


def test_a_variable_is_read_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    assert resolve_secret("env:A_SECRET") == "hunter2"
    monkeypatch.setenv("A_SECRET", "hunter3")
    assert resolve_secret("env:A_SECRET") == "hunter3"


@pytest.mark.parametrize("written", ["hunter2", "hunter2\n", "hunter2\r\n", "hunter2\n\n"])
def test_a_file_is_read_without_its_line_end(tmp_path: Path, written: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(written.encode())
    assert resolve_secret(f"file:{file}") == resolve_secret(f"file://{file}") == "hunter2"


def test_space_is_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" a b \n")
    assert resolve_secret(f"file:{tmp_path / 'secret'}") == " a b "


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert "env:NO_SUCH" in refused("env:NO_SUCH")
    assert "Set the variable NO_SUCH" in refused("env:NO_SUCH")
    assert f"file:{tmp_path / 'none'}" in refused(f"file:{tmp_path / 'none'}")
    assert f"file:{tmp_path}" in refused(f"file:{tmp_path}")  # a folder
    assert "no such file" not in refused(f"file:{tmp_path}")


@pytest.mark.parametrize("value", ["", " ", "\n", " \t\r\n"])
def test_nothing_is_no_secret(tmp_path: Path, value: str) -> None:
    (tmp_path / "secret").write_bytes(value.encode())
    assert "nothing but space" in refused("env:EMPTY", {"EMPTY": value})
    assert "nothing but space" in refused(f"file:{tmp_path / 'secret'}")


def test_a_file_that_is_no_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"hunter2\xff\xfe")
    (tmp_path / "large").write_bytes(b"hunter2 " * MAX_BYTES)
    for name in ("binary", "large"):
        said = refused(f"file:{tmp_path / name}")
        assert name in said
        assert "hunter2" not in said


@given(st.text(max_size=30).filter(lambda text: not text.startswith(("env:", "file:"))))
def test_a_reference_of_another_kind_may_be_the_secret_itself(reference: str) -> None:
    said = refused(reference)
    assert said == "a secret: got a reference of another kind, expected env:NAME or file:PATH"


@given(st.text(max_size=20))
def test_any_path_is_read_or_refused(path: str) -> None:
    assert "expected a secret" in refused(f"file:/nowhere/{path}")
