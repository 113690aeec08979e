"""What a site refers to but never holds: `env:NAME`, `file:PATH` as a container's secret is mounted, or
`aws-secretsmanager:ARN` (extra `aws`), with `#KEY` behind it where the secret is a JSON object.

Control: IA-5(7), no embedded unencrypted static authenticators.
"""

import importlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fielded.words.errors import Unreachable, WrongUse

SCHEMES = ("env", "file", "aws-secretsmanager")

_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+")

MAX_BYTES = 64 * 1024  # a larger file is no secret but a mistake in the path


def path_of(reference: str) -> Path:
    """The path in a `file:PATH` or `file:///PATH`."""
    return Path(reference.removeprefix("file:").removeprefix("//"))


def resolve_secret(reference: str, environment: Mapping[str, str] = os.environ, client: Any = None) -> str:
    """The text that `reference` stands for, without the line end that editors leave.

    Args:
        reference: `env:NAME`, `file:PATH` or `aws-secretsmanager:ARN[#KEY]`.
        environment: where `env:` looks.
        client: boto3's client for Secrets Manager, made for the ARN's region by default.

    Raises:
        WrongUse: not there, empty, or not to be read. The message names the reference and never the value.
        Unreachable: Secrets Manager does not answer.
    """
    scheme, colon, name = reference.partition(":")
    if not colon:
        scheme = ""  # the word alone is no reference
    if scheme == "env":
        got, text = "no such variable", environment.get(name)
    elif scheme == "file":
        got, text = _read(path_of(reference))
    elif scheme == "aws-secretsmanager":
        got, text = _ask_manager(name, client)
    else:
        raise WrongUse(
            "a secret: got a reference of another kind, expected env:NAME, file:PATH or aws-secretsmanager:ARN"
        )
    if text is None:
        raise WrongUse(f"{reference}: got {got}, expected a secret. {_next_step(reference)}")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise WrongUse(f"{reference}: got nothing but space, expected a secret. {_next_step(reference)}")
    return text


def _read(path: Path) -> tuple[str, str | None]:
    """(what is wrong, the text or None)."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return f"over {MAX_BYTES // 1024} KiB", None
        return "", content.decode("utf-8")
    except FileNotFoundError:
        return "no such file", None
    except UnicodeDecodeError:
        return "bytes that are not UTF-8", None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        return getattr(error, "strerror", None) or "a path that cannot be opened", None


def _ask_manager(name: str, client: Any) -> tuple[str, str | None]:
    """(what is wrong, the text or None).

    Raises:
        WrongUse: the name is no ARN, or the extra is not installed.
        Unreachable: it does not answer.
    """
    arn, mark, key = name.partition("#")
    matched = _ARN.fullmatch(arn)
    if matched is None:
        raise WrongUse(
            "a secret: got aws-secretsmanager: with something else, expected the ARN of a secret, "
            "arn:aws-us-gov:secretsmanager:REGION:ACCOUNT:secret:NAME"
        )
    try:
        client = client if client is not None else _manager(matched["region"])
        text = client.get_secret_value(SecretId=arn).get("SecretString")
    except WrongUse:
        raise
    except Exception as error:  # the SDK makes its exceptions at run time
        if type(error).__name__ == "ResourceNotFoundException":
            return "no such secret", None
        raise Unreachable(
            f"aws-secretsmanager: got {type(error).__name__} for {arn}, expected an answer. Check credentials, "
            "the secret's policy (secretsmanager:GetSecretValue) and network"
        ) from error
    if text is None:
        return "a secret that is no text", None
    if not mark:
        return "", str(text)
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        return f"no key {key} in it", None
    return ("", value) if isinstance(value, str) else (f"a key {key} that is no text", None)


def _manager(region: str) -> Any:
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        raise WrongUse(
            "a secret: got aws-secretsmanager:, expected the package boto3, which is not installed. "
            'Install the extra: pip install "fielded[aws]"'
        ) from None
    return boto3.client("secretsmanager", region_name=region)


def _next_step(reference: str) -> str:
    if reference.startswith("aws-secretsmanager:"):
        return "Make it in Secrets Manager, or correct the ARN"
    if reference.startswith("env:"):
        return f"Set the variable {reference.removeprefix('env:')} for this process"
    return "Put the secret there, readable by this process's account only"
