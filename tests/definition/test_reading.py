"""YAML with lines: plain values, and where each stands."""

import math
from datetime import date
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from fielded.definition.reading import line_of, plain, read_yaml, show

TEXT = """\
# a remark
a: 1

b:
  - x
  - {c: true,
     d: 0x1f}
e: {f: [1.5, 2]}
"""


def read(text: str) -> CommentedMap:
    with TemporaryDirectory() as name:
        (Path(name) / "a.yaml").write_text(text, encoding="utf-8", newline="")
        return read_yaml(Path(name) / "a.yaml")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("a",), 2),
        (("b",), 4),
        (("b", "0"), 5),
        (("b", 1), 6),
        (("b", 1, "d"), 7),
        (("e", "f", "1"), 8),
        (("b", "7"), 4),
        (("b", "x"), 4),
        (("a", "deeper", "still"), 2),
        (("nowhere",), 1),
        (("e", "nowhere", "f"), 8),
        (([],), 1),
    ],
)
def test_the_line_of_the_deepest_part_that_is_there(path: tuple[object, ...], line: int) -> None:
    assert line_of(read(TEXT), path) == line


def types(value: object) -> object:
    """The exact type of each part."""
    if isinstance(value, dict):
        return type(value), {key: (type(key), types(item)) for key, item in value.items()}
    return (type(value), [types(item) for item in value]) if isinstance(value, list) else type(value)


def test_plain_values_have_python_s_own_types() -> None:
    found = plain(read(TEXT))
    assert found == {"a": 1, "b": ["x", {"c": True, "d": 31}], "e": {"f": [1.5, 2]}}
    assert types(found) == types({"a": 1, "b": ["x", {"c": True, "d": 31}], "e": {"f": [1.5, 2]}})
    assert plain(read("a: 2026-03-02\nb: ~"))["a"] == date(2026, 3, 2)
    assert plain(read("a: ~")) == {"a": None}


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_what_is_written_is_read(written: dict[str, object]) -> None:
    stream = StringIO()
    YAML(typ="rt", pure=True).dump(written, stream)
    found = plain(read(stream.getvalue()))
    assert found == written
    assert types(found) == types(written)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ({"a": 1}, "a mapping"),
        ([1, 2, 3], "a list of 3"),
        (0.5, "0.5"),
        ("text", "'text'"),
        (math.inf, "inf"),
        (True, "True"),
    ],
)
def test_what_a_message_shows(value: object, text: str) -> None:
    assert show(value) == text


@given(st.text())
def test_a_message_shows_no_long_text(text: str) -> None:
    assert len(show(text)) <= 60


@pytest.mark.parametrize("field", ["api_token", "signing_key", "PASSWORD", "client.secret", "credentials"])
def test_a_message_shows_no_secret(field: str) -> None:
    assert "hunter2" not in show("hunter2", field)
    assert show(None, field) == "nothing"
