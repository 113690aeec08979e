"""The identity that stands in every row cannot be put on by setting a variable."""

import os
import pwd

import pytest

from fielded.world.identity import operating_system_user


def test_is_the_account_of_the_process() -> None:
    assert operating_system_user() == f"os:{pwd.getpwuid(os.getuid()).pw_name}"


def test_does_not_believe_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = operating_system_user()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody.else")
    assert operating_system_user() == before


def test_is_the_real_user_not_the_effective_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = operating_system_user()
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    assert operating_system_user() == before


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)  # as in a container that runs under any uid
    assert operating_system_user() == "os:uid-3999999999"
