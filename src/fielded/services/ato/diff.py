"""`fielded ato diff A B`: what a re-authorization has to read, and no more.

1. Evidence, controls, weaknesses, items, sentences and parts of definition and site that differ between two
   packages.
2. A control is touched where its result, origin or sentences differ, or a piece of evidence that it cites has
   another outcome or checks. Those are what an assessor tests anew, by the commands of its procedure.
3. Evidence that was collected again with the same outcome and checks touches nothing: it is told, in one number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fielded.services.ato.verify import Opened, sentences_in

_PARTS = ("definition", "site")
_VOLATILE = ("sha256",)  # of the definition: that it differs is told by the parts that do


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is otherwise.

    Attributes:
        kind: `evidence`, `control`, `weakness`, `item`, `document`, `definition` or `site`.
        name: of it.
        was: short; empty where it was not there.
        now: short; empty where it is gone.
    """

    kind: str
    name: str
    was: str
    now: str

    def as_dict(self) -> dict[str, str]:
        """JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two packages.

    Attributes:
        differences: in the order of rule 1.
        collected_again: pieces of evidence that are new and say the same.
        retest: control -> commands by which an assessor sees for himself.
    """

    differences: tuple[Difference, ...]
    collected_again: int
    retest: Mapping[str, tuple[str, ...]]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "differences": [one.as_dict() for one in self.differences],
            "collected_again": self.collected_again,
            "retest": {key: list(commands) for key, commands in self.retest.items()},
        }


def diff(before: Opened, after: Opened) -> Compared:
    """What differs between two packages; neither is verified by it."""
    changed = _changed_evidence(before, after)
    again = sum(
        one["sha256"] != before.manifest["evidence"].get(key, one)["sha256"] and key not in changed
        for key, one in after.manifest["evidence"].items()
    )
    controls = {
        package.name: {one["id"]: one for one in package.json("controls.json")} for package in (before, after)
    }
    touched = list(_touched(controls[before.name], controls[after.name], set(changed)))
    return Compared(
        differences=(
            *(Difference(kind="evidence", name=key, was=was, now=now) for key, (was, now) in changed.items()),
            *touched,
            *_listed(before, after, "weaknesses.json", "weakness", "id", "title"),
            *_listed(before, after, "readiness.json", "item", "title", "state"),
            *_documents(before, after),
            *_parts(before, after),
        ),
        collected_again=again,
        retest={
            one.name: tuple(controls[after.name][one.name]["procedure"]["test"])
            for one in touched
            if one.name in controls[after.name]
        },
    )


def _changed_evidence(before: Opened, after: Opened) -> dict[str, tuple[str, str]]:
    """Rule 2: what of it says something else than before."""
    found = {}
    for key in sorted({*before.manifest["evidence"], *after.manifest["evidence"]}):
        was, now = (package.json(f"evidence/{key}.json") for package in (before, after))
        if was is None or now is None or _says(was) != _says(now):
            found[key] = ("" if was is None else _told(was), "" if now is None else _told(now))
    return found


def _says(evidence: Mapping[str, Any]) -> Any:
    return evidence["outcome"], [(check["name"], check["outcome"]) for check in evidence["checks"]]


def _told(evidence: Mapping[str, Any]) -> str:
    held = sum(check["outcome"] == "held" for check in evidence["checks"])
    return f"{evidence['outcome']}, {held} of {len(evidence['checks'])} checks held"


def _touched(before: Mapping[str, Any], after: Mapping[str, Any], changed: set[str]) -> Iterator[Difference]:
    """Rule 2."""
    for key in dict.fromkeys([*after, *before]):
        was, now = before.get(key), after.get(key)
        if (
            was is None
            or now is None
            or (_stands(was), _texts(was)) != (_stands(now), _texts(now))
            or changed & set(now["evidence"])
        ):
            yield Difference(kind="control", name=key, was=_stands(was), now=_stands(now))


def _stands(control: Mapping[str, Any] | None) -> str:
    return "" if control is None else f"{control['origin']}, {control['result']}"


def _texts(control: Mapping[str, Any]) -> list[str]:
    return [said["text"] for said in control["said"]]


def _listed(before: Opened, after: Opened, file: str, kind: str, name: str, value: str) -> Iterator[Difference]:
    was, now = ({one[name]: str(one[value]) for one in package.json(file)} for package in (before, after))
    for key in dict.fromkeys([*now, *was]):
        if was.get(key) != now.get(key):
            yield Difference(kind=kind, name=str(key), was=was.get(key, ""), now=now.get(key, ""))


def _documents(before: Opened, after: Opened) -> Iterator[Difference]:
    """How many sentences of each document are new and how many are gone."""
    names = sorted(name for name in {*before.files, *after.files} if _is_document(name, before, after))
    for name in names:
        was, now = ({said["text"] for said in sentences_in(package.json(name))} for package in (before, after))
        if was != now:
            yield Difference(
                kind="document", name=name.rpartition("/")[2].removesuffix(".json"),
                was=f"{len(was - now)} sentences that are gone", now=f"{len(now - was)} sentences that are new",
            )  # fmt: skip


def _is_document(name: str, before: Opened, after: Opened) -> bool:
    page = name.replace(".json", ".html")
    return name.endswith(".json") and (page in before.files or page in after.files)


def _parts(before: Opened, after: Opened) -> Iterator[Difference]:
    was, now = before.json("sources.json"), after.json("sources.json")
    for part in _PARTS:
        for name in sorted({*was[part], *now[part]} - set(_VOLATILE)):
            if was[part].get(name) != now[part].get(name):
                yield Difference(
                    kind=part, name=name, was=_short(was[part].get(name)), now=_short(now[part].get(name))
                )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal
