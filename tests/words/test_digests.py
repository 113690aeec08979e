"""A digest names content: any change shows, nothing else does, and a shell gets the same one."""

import hashlib
import json
import math
import os
import random
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fielded.words import digests

PARTS = st.text(st.sampled_from("ab-Z0 .'\"$*é漢_"), min_size=1, max_size=6).filter(
    lambda part: part.strip(".") != ""
)
CONTENTS = st.binary(max_size=40)


def tree(paths: dict[tuple[str, ...], bytes]) -> dict[str, bytes]:
    """The paths that can stand beside each other: none is a folder of another."""
    folders = {path[:depth] for path in paths for depth in range(1, len(path))}
    return {"/".join(path): content for path, content in paths.items() if path not in {*folders, ("-",)}}


TREES = st.dictionaries(st.lists(PARTS, min_size=1, max_size=3).map(tuple), CONTENTS, max_size=6).map(tree)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def digest_of(files: dict[str, bytes]) -> str:
    with TemporaryDirectory() as name:
        write(Path(name), files)
        return digests.folder_sha256(Path(name))


def shell_digest(folder: Path) -> str:
    """What an assessor gets from the command in the module's docstring."""
    command = next(line.strip() for line in str(digests.__doc__).splitlines() if "cd FOLDER" in line)
    command = command.replace("FOLDER", '"$1"')
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command, "bash", folder], capture_output=True, check=True
    )
    return done.stdout.decode().split()[0]


@settings(deadline=None, max_examples=25)
@given(TREES)
def test_a_shell_gets_the_same_digest(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as name:
        write(Path(name), files)
        assert digests.folder_sha256(Path(name)) == shell_digest(Path(name))


def test_a_shell_gets_the_same_digest_of_files_that_look_like_options(tmp_path: Path) -> None:
    write(tmp_path, {"-c": b"1", "--check": b"2", ".hidden/x": b"3", "a b": b"4", "a'b": b"5"})
    assert digests.folder_sha256(tmp_path) == shell_digest(tmp_path)


def test_a_shell_gets_the_same_digest_of_an_empty_folder(tmp_path: Path) -> None:
    assert digests.folder_sha256(tmp_path) == shell_digest(tmp_path) == hashlib.sha256().hexdigest()


@settings(deadline=None, max_examples=40)
@given(TREES.filter(bool), st.data())
def test_any_change_of_content_shows(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(CONTENTS)
    assume(content != files[name])
    assert digest_of({**files, name: content}) != digest_of(files)


@settings(deadline=None, max_examples=40)
@given(TREES.filter(bool), st.data())
def test_any_change_of_a_name_shows(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    renamed = {f"{key}x" if key == name else key: content for key, content in files.items()}
    assume(len(renamed) == len(files))
    assert digest_of(renamed) != digest_of(files)


@settings(deadline=None, max_examples=40)
@given(TREES.filter(bool), st.data())
def test_a_file_more_or_less_shows(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    assert digest_of({key: content for key, content in files.items() if key != name}) != digest_of(files)


def test_two_files_that_change_places_show() -> None:
    assert digest_of({"a": b"1", "b": b"2"}) != digest_of({"a": b"2", "b": b"1"})


def test_a_file_moved_into_a_folder_shows() -> None:
    assert digest_of({"a": b"1"}) != digest_of({"a/a": b"1"})


@settings(deadline=None, max_examples=40)
@given(TREES, st.randoms(use_true_random=False))
def test_the_order_of_creation_does_not_show(files: dict[str, bytes], chance: random.Random) -> None:
    names = list(files)
    chance.shuffle(names)
    assert digest_of({name: files[name] for name in names}) == digest_of(files)


@given(st.dictionaries(st.text("abc/.", min_size=1), st.text("0123456789abcdef", min_size=64, max_size=64)))
def test_a_listing_has_no_order(files: dict[str, str]) -> None:
    assert digests.listing_sha256(dict(reversed(files.items()))) == digests.listing_sha256(files)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\\b", "a\n", "-"])
def test_a_name_that_sha256sum_would_escape_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="line break, backslash or lone dash"):
        digests.listing_sha256({"fine": "0" * 64, name: "0" * 64})


def test_a_name_that_sha256sum_would_escape_is_refused_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"a\nb": b""})
    with pytest.raises(ValueError, match="line break, backslash or lone dash"):
        digests.folder_sha256(tmp_path)


@pytest.mark.parametrize("target", ["file", "folder", "nowhere", "folder/inside"])
@pytest.mark.parametrize("place", ["link", "folder/link"])
def test_a_symbolic_link_is_refused(tmp_path: Path, target: str, place: str) -> None:
    write(tmp_path, {"file": b"1", "folder/inside": b"2"})
    before = digests.folder_sha256(tmp_path)
    (tmp_path / place).symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match=f"{place}: got a symbolic link"):
        digests.folder_sha256(tmp_path)
    (tmp_path / place).unlink()
    assert digests.folder_sha256(tmp_path) == before


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_FILES", 3)
    write(tmp_path, dict.fromkeys("abc", b""))
    assert len(digests.folder_listing(tmp_path)) == 3
    write(tmp_path, {"d": b""})
    with pytest.raises(ValueError, match="more than 3 files"):
        digests.folder_listing(tmp_path)


def test_a_file_longer_than_one_reading_is_read_to_its_end(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) * 2 + 17)
    (tmp_path / "a").write_bytes(content)
    assert digests.file_sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_texts_that_were_read_have_the_digest_of_their_files(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "b": b"2"})
    whole = digests.folder_sha256(tmp_path)
    write(tmp_path, {"c": b"3"})
    assert digests.texts_sha256({"b": "2", "a": "1"}) == whole
    assert digests.texts_sha256({"a": "1", "b": "2", "c": "3"}) == digests.folder_sha256(tmp_path) != whole


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ENCODABLE = VALUES.filter(lambda value: "\\ud" not in json.dumps(value))


@given(ENCODABLE)
def test_one_text_for_one_value(value: object) -> None:
    text = digests.canonical_json(value)
    assert json.loads(text) == value
    assert digests.canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text("abé"), ENCODABLE, min_size=2))
def test_the_order_of_keys_does_not_show(value: dict[str, object]) -> None:
    assert digests.value_sha256(dict(reversed(value.items()))) == digests.value_sha256(value)


@given(ENCODABLE, ENCODABLE)
def test_other_values_have_other_digests(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digests.value_sha256(one) == digests.value_sha256(other)) is same


def test_the_canonical_text_is_pinned() -> None:
    assert digests.canonical_json({"b": [1, 0.5, None, True], "a": "é"}) == '{"a":"é","b":[1,0.5,null,true]}'
    assert digests.value_sha256({}) == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_what_json_has_no_text_for_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        digests.canonical_json(value)
