"""Facts of SP 800-53 rev. 5: every control's id and title, its baselines, and how SP 800-53A has it assessed.

They lie beside this module in `controls/sp800_53r5.json`, one control a line, with their source. The text of a
control is not among them: it comes from a catalog that the site names (`overlays.control_texts`). The file is a
part of the program, read once, like the module itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Literal, get_args

from fielded.definition.ato import Baseline

Method = Literal["examine", "interview", "test"]

# A baseline as the definition names it -> its mark in the file.
_MARKS: Mapping[Baseline, str] = {
    "nist-low": "L", "nist-moderate": "M", "nist-high": "H",
    "fedramp-class-b": "fB", "fedramp-class-c": "fC", "fedramp-class-d": "fD",
}  # fmt: skip
_METHODS: Mapping[str, Method] = {"E": "examine", "I": "interview", "T": "test"}


@dataclass(frozen=True, slots=True)
class Control:
    """What is known of a control.

    Attributes:
        id: `ac-6`, or of an enhancement `ac-6.9`.
        title: of an enhancement its own, without the control's.
        baselines: those of the definition's choice that have it.
        methods: how SP 800-53A has it assessed.
    """

    id: str
    title: str
    baselines: frozenset[Baseline]
    methods: tuple[Method, ...]

    @property
    def family(self) -> str:
        """`ac`."""
        return self.id[:2]

    @property
    def name(self) -> str:
        """As the publication writes it: `AC-6(9)`."""
        return name_of(self.id)


def name_of(control: str) -> str:
    """`ac-6.9` as the publication writes it: `AC-6(9)`."""
    base, _, enhancement = control.partition(".")
    return f"{base.upper()}({enhancement})" if enhancement else base.upper()


def order_of(control: str) -> tuple[str, int, int]:
    """Where a control stands in the catalog's order: `ac-6.9` after `ac-6`, and both before `ac-10`."""
    family, _, rest = control.partition("-")
    number, _, enhancement = rest.partition(".")
    return family, int(number), int(enhancement or 0)


@cache
def controls() -> Mapping[str, Control]:
    """All of them, by id, in the catalog's order."""
    return MappingProxyType(
        {
            key: Control(key, title, _baselines(marks.split()), tuple(_METHODS[one] for one in methods))
            for key, title, marks, methods in _file()["controls"]
        }
    )


@cache
def families() -> Mapping[str, str]:
    """A family's id -> its name."""
    return MappingProxyType(dict(_file()["families"]))


@cache
def baseline(chosen: Baseline) -> tuple[str, ...]:
    """Ids of the controls that a baseline has, in the catalog's order."""
    return tuple(key for key, control in controls().items() if chosen in control.baselines)


@cache
def _file() -> Mapping[str, list[list[str]]]:
    text = resources.files("fielded.decisions.ato").joinpath("controls", "sp800_53r5.json").read_text("utf-8")
    found: Mapping[str, list[list[str]]] = json.loads(text)
    return found


def _baselines(marks: list[str]) -> frozenset[Baseline]:
    return frozenset(name for name in get_args(Baseline) if _MARKS[name] in marks)
