"""A YAML file to plain values, and pydantic's errors to findings with file, line and field."""

import re
import warnings
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

MAX_DEPTH = 50  # levels of mappings and lists
MAX_VALUES = 100_000  # values in a file, an alias counted as what it stands for
_MAX_BITS = 1000  # of a whole number: a float holds no larger one, and no message should

_SECRET_FIELD = re.compile(r"secret|token|password|key|credential|journal_url", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"//[^/?#\s]*@")  # user and password of a URL


def read_yaml(path: Path) -> CommentedMap:
    """The mapping that a YAML file holds, each value knowing its line.

    Raises:
        DefinitionError: not there, not readable, not YAML, not a mapping, or a key twice.
    """
    return parse_yaml(path, read_text(path))


def parse_yaml(path: Path, text: str) -> CommentedMap:
    """The mapping in a YAML text that was read from `path`; see `read_yaml`."""
    try:
        with warnings.catch_warnings(record=True):  # the parser's advice on YAML 1.1 and anchors
            document = YAML(typ="rt", pure=True).load(StringIO(text))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        got = str(error.problem or error.context or "unreadable text").splitlines()[0]
        got = got.partition(" with value ")[0]  # of a key that is there twice, not what it holds
        raise DefinitionError([Finding(f"{path.name}:{line}", "(file)", got, "YAML")]) from None
    except YAMLError as error:
        got = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DefinitionError([Finding(path.name, "(file)", got, "YAML")]) from None
    except Exception:  # noqa: BLE001 - the parser trips over such text as `!!int ""` with errors of every kind
        got = "text that the YAML parser cannot read"
        raise DefinitionError([Finding(path.name, "(file)", got, "YAML")]) from None
    if not isinstance(document, CommentedMap):
        got = "nothing" if document is None else type(document).__name__.removeprefix("Commented").lower()
        raise DefinitionError([Finding(path.name, "(file)", got, "a mapping of fields")])
    if excess := _excess(document):
        raise DefinitionError([Finding(path.name, "(file)", *excess)])
    return document


def _excess(document: CommentedMap) -> tuple[str, str] | None:
    """(got, expected) where aliases make a small text large or endless, or a number has thousands of digits."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            return "a whole number of thousands of digits", "numbers of at most 1000 bits"
        parts = _parts(value)
        count += len(parts)
        if depth > MAX_DEPTH:
            return "values deeper in each other, or one that holds itself", f"at most {MAX_DEPTH} levels"
        if count > MAX_VALUES:
            return "more values, aliases written out", f"at most {MAX_VALUES}"
        waiting += [(part, depth + 1) for part in parts]
    return None


def _parts(value: Any) -> list[Any]:
    if isinstance(value, CommentedMap):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, CommentedSeq | tuple) else []


def read_text(path: Path) -> str:
    """A file's text, line ends as they are.

    Raises:
        DefinitionError: not there, too large, or not UTF-8.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DefinitionError([Finding(path.name, "(file)", "over 1 MiB", "at most 1 MiB")])
        return path.read_bytes().decode("utf-8")
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
    if isinstance(value, str) and (_SECRET_FIELD.search(field) or _SECRET_VALUE.search(value)):
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
