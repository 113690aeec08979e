"""Controls from elsewhere: catalogs and overlays that the site points to, in OSCAL (JSON).

Nothing here is invented: where no file is named, there are no additions and no texts.

1. A catalog adds every control in it; a profile adds those that its imports name by id. `include-all` adds
   nothing, for what it means lies in another file.
2. A control that SP 800-53 rev. 5 does not have needs a title of its own, which a catalog gives. Without one the
   profile names a control that nobody knows, and is refused.
3. Parameters that a profile sets count where the definition sets none.
4. The text of a control is put together of its statement's parts, in their order, with its parameters filled in
   as far as somebody set them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fielded.decisions.ato.baselines import controls
from fielded.words.errors import WrongUse

_ID = re.compile(r"[a-z]{2,10}-\d{1,3}(\.\d{1,3})?")
_INSERT = re.compile(r"\{\{\s*insert:\s*param,\s*([A-Za-z0-9_.-]+)\s*\}\}")
_DEEPEST = 20  # parts within parts that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Controls that one file adds.

    Attributes:
        title: of the file's metadata.
        version: likewise.
        controls: id -> title, in the file's order.
        parameters: id of an organization-defined parameter -> its value: rule 3.
    """

    title: str
    version: str
    controls: Mapping[str, str]
    parameters: Mapping[str, str]


def read_addition(document: Any, where: str) -> Addition:
    """Rules 1 to 3.

    Args:
        document: JSON value of the file.
        where: what to call it in an error.

    Raises:
        WrongUse: it is neither a catalog nor a profile of OSCAL, or names a control that nobody knows.
    """
    root = document if isinstance(document, Mapping) else {}
    held = root.get("catalog") or root.get("profile")
    if not isinstance(held, Mapping):
        keys = ", ".join(sorted(str(key) for key in root)[:3]) or "no object"
        raise _wrong(where, keys, "`catalog` or `profile` of OSCAL, in JSON")
    metadata = held.get("metadata", {})
    if "catalog" in root:
        found = {control["id"]: str(control.get("title", "")) for control in _controls(held)}
    else:
        found = dict.fromkeys(_named(held), "")
    known = controls()
    titled = {key: title or (known[key].title if key in known else "") for key, title in found.items()}
    bad = [key for key, title in titled.items() if not _ID.fullmatch(key) or not title]
    if bad or not titled:
        got = f"control {bad[0]} without a title" if bad else "no control"
        raise _wrong(where, got, "controls of SP 800-53 rev. 5, or a catalog with their titles")
    return Addition(
        title=str(metadata.get("title") or where),
        version=str(metadata.get("version") or ""),
        controls=titled,
        parameters=_parameters(held),
    )


def control_texts(catalog: Any, parameters: Mapping[str, str]) -> dict[str, str]:
    """Control -> its statement: rule 4.

    Args:
        catalog: JSON value of an OSCAL catalog.
        parameters: id of a parameter -> its value here.

    Raises:
        WrongUse: it is no catalog.
    """
    held = catalog.get("catalog") if isinstance(catalog, Mapping) else None
    if not isinstance(held, Mapping):
        raise _wrong("authorization.catalog", "something else", "`catalog` of OSCAL, in JSON")
    texts = {}
    for control in _controls(held):
        labels = {one["id"]: _label(one) for one in control.get("params", ()) if "id" in one}
        statements = [part for part in control.get("parts", ()) if part.get("name") == "statement"]
        lines = [line for part in statements for line in _lines(part, 0)]
        texts[control["id"]] = _filled("\n".join(lines), parameters, labels)
    return texts


def _wrong(where: str, got: str, expected: str) -> WrongUse:
    return WrongUse(f"{where}: got {got}, expected {expected}. Look at `authorization` in site.yaml")


def _controls(holder: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Controls, their enhancements, and those of groups, that are not withdrawn."""
    if depth > _DEEPEST:
        return
    for control in holder.get("controls", ()):
        if isinstance(control, Mapping) and isinstance(control.get("id"), str) and not _withdrawn(control):
            yield control
        yield from _controls(control, depth + 1)
    for group in holder.get("groups", ()):
        yield from _controls(group, depth + 1)


def _withdrawn(control: Mapping[str, Any]) -> bool:
    return any(
        one.get("name") == "status" and str(one.get("value", "")).lower() == "withdrawn"
        for one in control.get("props", ())
    )


def _named(profile: Mapping[str, Any]) -> Iterator[str]:
    for imported in profile.get("imports", ()):
        for chosen in imported.get("include-controls", ()):
            yield from (str(key) for key in chosen.get("with-ids", ()))


def _parameters(held: Mapping[str, Any]) -> dict[str, str]:
    set_here = held.get("modify", {}).get("set-parameters", ())
    return {
        str(one["param-id"]): ", ".join(str(value) for value in one["values"])
        for one in set_here
        if one.get("param-id") and one.get("values")
    }


def _label(parameter: Mapping[str, Any]) -> str:
    choices: Sequence[Any] = parameter.get("select", {}).get("choice", ())
    return str(parameter.get("label") or "; ".join(str(one) for one in choices) or parameter["id"])


def _lines(part: Mapping[str, Any], depth: int) -> Iterator[str]:
    marks = [str(one.get("value", "")) for one in part.get("props", ()) if one.get("name") == "label"]
    prose = str(part.get("prose", "")).strip()
    if prose:
        yield "  " * max(0, depth - 1) + " ".join([*marks[:1], prose])
    if depth < _DEEPEST:
        for below in part.get("parts", ()):
            yield from _lines(below, depth + 1)


def _filled(text: str, parameters: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """A parameter's choices may have parameters in them, so it is looked at more than once."""
    for _ in range(3):
        text = _INSERT.sub(
            lambda found: parameters.get(found[1]) or f"[Assignment: {labels.get(found[1], found[1])}]", text
        )
    return text
