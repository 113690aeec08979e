"""What a machine says of itself: read, never believed beyond what it says."""

import os
import stat
from pathlib import Path

import pytest

from fielded.world import host_state
from fielded.world.host_state import (
    clock_state,
    encrypted_disk,
    fips_of_kernel,
    module_name,
    module_refuses_unapproved,
    open_to_others,
)


def test_a_machine_answers_or_says_that_it_does_not_know() -> None:
    state = clock_state()
    assert state is None or (isinstance(state.synchronized, bool) and state.most_wrong >= 0)
    assert fips_of_kernel() in (True, False, None)
    assert isinstance(module_refuses_unapproved(), bool)
    assert module_name()


def test_fips_is_the_kernels_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fips_enabled"
    monkeypatch.setattr(host_state, "_FIPS_OF_THE_KERNEL", file)
    assert fips_of_kernel() is None
    for text, found in (("1\n", True), ("0\n", False)):
        file.write_text(text)
        assert fips_of_kernel() is found


def test_a_disk_is_encrypted_where_all_below_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    place = tmp_path / "blocks" / f"{os.major(device)}:{os.minor(device)}"
    monkeypatch.setattr(host_state, "_BLOCK_DEVICES", tmp_path / "blocks")
    monkeypatch.setattr(host_state.os, "major", lambda _device: 253)
    place = tmp_path / "blocks" / f"253:{os.minor(device)}"
    assert encrypted_disk(tmp_path) is None, "the device does not say"
    place.mkdir(parents=True)
    assert encrypted_disk(tmp_path) is False
    for name in ("one", "two"):
        (place / "slaves" / name / "dm").mkdir(parents=True)
    (place / "slaves" / "one" / "dm" / "uuid").write_text("CRYPT-LUKS2-0")
    assert encrypted_disk(tmp_path) is False, "one of two is not"
    (place / "slaves" / "two" / "dm" / "uuid").write_text("CRYPT-LUKS2-1")
    assert encrypted_disk(tmp_path) is True
    monkeypatch.setattr(host_state.os, "major", lambda _device: 0)
    assert encrypted_disk(tmp_path) is None, "a network disk does not say"
    assert encrypted_disk(tmp_path / "nowhere") is None


def test_rights_count_only_where_somebody_can_pass(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & stat.S_IXOTH:
            assert open_to_others(inner) == (False, False), "nobody passes above"
            return
    inner.chmod(0o777)
    assert open_to_others(inner) == (True, True)
    outer.chmod(0o700)
    assert open_to_others(inner) == (False, False)
