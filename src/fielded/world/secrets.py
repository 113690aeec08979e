"""What a site refers to but never holds: `env:NAME`, or `file:PATH` as a container's secret is mounted.

Control: IA-5(7), no embedded unencrypted static authenticators.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from fielded.words.errors import WrongUse

MAX_BYTES = 64 * 1024  # a larger file is no secret but a mistake in the path


def path_of(reference: str) -> Path:
    """The path in a `file:PATH` or `file:///PATH`."""
    return Path(reference.removeprefix("file:").removeprefix("//"))


def resolve_secret(reference: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text that `reference` stands for, without the line end that editors leave.

    Args:
        reference: `env:NAME` or `file:PATH`.
        environment: where `env:` looks.

    Raises:
        WrongUse: not there, empty, or not to be read. The message names the reference and never the value.
    """
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        got, text = "no such variable", environment.get(name)
    elif scheme == "file":
        got, text = _read(path_of(reference))
    else:
        raise WrongUse("a secret: got a reference of another kind, expected env:NAME or file:PATH")
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


def _next_step(reference: str) -> str:
    if reference.startswith("env:"):
        return f"Set the variable {reference.removeprefix('env:')} for this process"
    return "Put the secret there, readable by this process's account only"
