"""A secret is found where its reference says, and no message ever shows one."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fielded.words.errors import Unreachable, WrongUse
from fielded.world.secrets import MAX_BYTES, resolve_secret

ARN = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:overrun/mail-AbCdEf"
REFERENCE = f"aws-secretsmanager:{ARN}"


class Manager:
    """Answers as boto3's client for Secrets Manager does, or raises what it would."""

    def __init__(self, **answer: Any) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def get_secret_value(self, SecretId: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.asked.append(SecretId)
        if "raises" in self._answer:
            raise self._answer["raises"]
        return {"ARN": SecretId, "Name": "overrun/mail", **self._answer}


def an_error(name: str, text: str = "hunter2") -> Exception:
    """An exception such as botocore makes at run time: by its class's name."""
    made: Exception = type(name, (Exception,), {})(text)
    return made


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


@given(st.text(max_size=30).filter(lambda text: not text.startswith(("env:", "file:", "aws-secretsmanager:"))))
@example("env")
@example("file")
@example("aws-secretsmanager")
def test_a_reference_of_another_kind_may_be_the_secret_itself(reference: str) -> None:
    said = refused(reference)
    assert said == (
        "a secret: got a reference of another kind, expected env:NAME, file:PATH or aws-secretsmanager:ARN"
    )


@given(st.text(max_size=20))
def test_any_path_is_read_or_refused(path: str) -> None:
    assert "expected a secret" in refused(f"file:/nowhere/{path}")


@pytest.mark.parametrize(
    ("kept", "key", "secret"),
    [
        ("hunter2", "", "hunter2"),
        ("hunter2\n", "", "hunter2"),
        (json.dumps({"user": "bob", "password": "hunter2"}), "#password", "hunter2"),
        (json.dumps({"a#b": "hunter2"}), "#a#b", "hunter2"),
    ],
)
def test_secrets_manager_is_asked_by_the_arn_alone(kept: str, key: str, secret: str) -> None:
    manager = Manager(SecretString=kept)
    assert resolve_secret(REFERENCE + key, {}, manager) == secret
    assert manager.asked == [ARN]


@pytest.mark.parametrize(
    "name",
    [
        "hunter2",
        "",
        "overrun/hunter2",
        "arn:aws:s3:::bucket/hunter2",
        "arn:aws:kms:us-east-1:123456789012:key/hunter2",
        "arn:aws:secretsmanager:us-east-1:1234:secret:hunter2",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:",
        f"{ARN} hunter2",
        f"{ARN}\n",
    ],
)
def test_what_is_no_arn_may_be_the_secret_itself_and_nobody_is_asked(name: str) -> None:
    manager = Manager(SecretString="hunter2")
    with pytest.raises(WrongUse) as caught:
        resolve_secret(f"aws-secretsmanager:{name}", {}, manager)
    assert "expected the ARN of a secret" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert manager.asked == []


@pytest.mark.parametrize(
    ("answer", "key", "got"),
    [
        ({"SecretBinary": b"hunter2"}, "", "a secret that is no text"),
        ({"SecretString": "hunter2"}, "#password", "no key password in it"),
        ({"SecretString": '{"user": "hunter2"}'}, "#password", "no key password in it"),
        ({"SecretString": '["hunter2"]'}, "#password", "no key password in it"),
        ({"SecretString": '"hunter2"'}, "#password", "no key password in it"),
        ({"SecretString": '{"user": "hunter2", "password": 12}'}, "#password", "a key password that is no text"),
        ({"SecretString": " \n"}, "", "nothing but space"),
        ({"SecretString": '{"password": ""}'}, "#password", "nothing but space"),
        ({"raises": an_error("ResourceNotFoundException")}, "", "no such secret"),
    ],
)
def test_what_it_holds_and_is_of_no_use_is_never_shown(answer: dict[str, Any], key: str, got: str) -> None:
    with pytest.raises(WrongUse) as caught:
        resolve_secret(REFERENCE + key, {}, Manager(**answer))
    said = str(caught.value)
    assert f"{REFERENCE}{key}: got {got}" in said
    assert "Make it in Secrets Manager, or correct the ARN" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["AccessDeniedException", "EndpointConnectionError", "NoCredentialsError"])
def test_one_that_does_not_answer_is_unreachable(name: str) -> None:
    with pytest.raises(Unreachable) as caught:
        resolve_secret(REFERENCE, {}, Manager(raises=an_error(name)))
    assert f"got {name} for {ARN}" in str(caught.value)
    assert "secretsmanager:GetSecretValue" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("boto3") is not None, reason="boto3 is installed")
def test_without_its_extra_the_extra_is_named() -> None:
    with pytest.raises(WrongUse, match=r"fielded\[aws\]"):
        resolve_secret(REFERENCE, {})
