"""A YAML file to plain values, and pydantic's errors to findings with file, line and field."""

import re
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase, CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from fielded.words.errors import DefinitionError, Finding

MAX_BYTES = 1 << 20  # a larger definition is a mistake, or an attempt to exhaust memory

_SECRET_FIELD = re.compile(r"secret|token|password|key|credential", re.IGNORECASE)


def read_yaml(path: Path) -> CommentedMap:
    """The mapping that a YAML file holds, each value knowing its line.

    Raises:
        DefinitionError: not there, not readable, not YAML, not a mapping, or a key twice.
    """
    text = _text(path)
    try:
        document = YAML(typ="rt", pure=True).load(StringIO(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        got = str(error.problem or error.context or "unreadable text").splitlines()[0]
        raise DefinitionError([Finding(f"{path.name}:{line}", "(file)", got, "YAML")]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        got = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DefinitionError([Finding(path.name, "(file)", got, "YAML")]) from None
    if not isinstance(document, CommentedMap):
        got = "nothing" if document is None else type(document).__name__.removeprefix("Commented").lower()
        raise DefinitionError([Finding(path.name, "(file)", got, "a mapping of fields")])
    return document


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DefinitionError([Finding(path.name, "(file)", "over 1 MiB", "at most 1 MiB")])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        step = "Go to the deployment's folder, name it with -d, or make one with `fielded new NAME`"
        raise DefinitionError([Finding(str(path), "(file)", "nothing", "a file", step)]) from None
    except (OSError, UnicodeDecodeError) as error:
        got = "bytes that are not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
        raise DefinitionError([Finding(path.name, "(file)", got, "a readable UTF-8 file")]) from None


def plain(value: Any) -> Any:
    """Ruamel's line-carrying values as plain dict, list, str, int, float, bool, None and date."""
    if isinstance(value, CommentedMap):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, CommentedSeq):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def line_of(document: CommentedBase, path: Iterable[Any]) -> int:
    """Line (from 1) of the deepest part of `path` that the document has."""
    node: Any = document
    line = 1
    for part in path:
        try:
            if isinstance(node, CommentedMap) and part in node:
                line, node = node.lc.key(part)[0] + 1, node[part]
            elif isinstance(node, CommentedSeq) and int(part) < len(node):
                line, node = node.lc.item(int(part))[0] + 1, node[int(part)]
            else:
                break
        except (KeyError, TypeError, ValueError):
            break
    return line


def show(value: Any, field: str = "") -> str:
    """A value short enough for a message; of a field that may hold a secret, only that it is there."""
    if _SECRET_FIELD.search(field) and isinstance(value, str):
        return "a value that is not shown"
    if value is None:
        return "nothing"
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - one line of a terminal


_EXPECTED = {
    "missing": "a value",
    "unexpected_keyword_argument": "no such field",
    "string_type": "text",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping of fields",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def findings_of(error: ValidationError, document: CommentedMap, file: str, step: str) -> list[Finding]:
    """Each of pydantic's errors as a finding with the line it stands on."""
    found = []
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"] if part != "[key]")
        field = ".".join(path) or "(file)"
        missing = item["type"] == "missing"
        expected = _EXPECTED.get(item["type"]) or _message(item)
        known = item["type"] == "unexpected_keyword_argument"
        found.append(
            Finding(
                f"{file}:{line_of(document, item['loc'])}",
                field,
                "nothing" if missing else ("an unknown field" if known else show(item["input"], field)),
                expected,
                step if missing else "",
            )
        )
    return found


def _message(item: Any) -> str:
    text = str(item["msg"]).removeprefix("Value error, ")
    for opening in (
        "Input should be ",
        "String should match pattern ",
        "Tuple should have ",
        "String should have ",
    ):
        if text.startswith(opening):
            rest = text.removeprefix(opening)
            return f"text matching {rest}" if "pattern" in opening else rest
    return text
