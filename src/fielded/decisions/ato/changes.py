"""What has changed since the last package, and what of the authorization that touches (CA-7, CM-3, CM-4).

1. A package speaks of what was on record when it was made. What came into the ledger later, and what is otherwise
   now (the definition, the site, the version of fielded), is a change since.
2. Each change has one subject of `decisions.ato.touches`. A definition or a site that differs is a change for
   each part that does; where the former text is not to be had, it is one change of the whole.
3. A version of the definition or the site that came and went between two looks is on record, and counts: whoever
   set a limit aside for a day has changed something.
4. Nothing is decided here. A change asks questions, each once, and says which changes raise it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fielded.decisions.ato.touches import QUESTIONS, Touch, touch_of
from fielded.decisions.monitoring import watch
from fielded.decisions.readiness.items import WAIVED as READINESS_WAIVED
from fielded.decisions.release import acts
from fielded.definition.deployment import Document
from fielded.words.digests import value_sha256

PACKAGED = "package_built"  # kinds of events, about `model NAME`
SITE_RECORDED = "site_recorded"
SIGNED = "document_signed"
DEFINITION_RECORDED = "definition_recorded"  # about the definition's digest

# Acts of people and machines that touch the authorization -> their subject.
_SUBJECTS: Mapping[str, str] = {
    acts.ADOPTED: "promotion",
    acts.PROMOTED: "promotion",
    acts.ROLLED_BACK: "rollback",
    acts.DRILLED: "drill",
    acts.WAIVED: "waiver",
    acts.ALIAS_MOVED: "meddling",
    acts.VERSION_MISSING: "meddling",
    acts.ARTIFACT_CHANGED: "meddling",
    watch.CHANGED: "alarm",
    READINESS_WAIVED: "waiver",
    SIGNED: "signature",
}
ABOUT_THE_MODEL = frozenset({*_SUBJECTS, PACKAGED, SITE_RECORDED})

_FIRING = "firing"
_NAMES = ("name", "subject")  # of a definition: another deployment, not another section of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is otherwise than the last package says.

    Attributes:
        subject: key of `touches.TOUCHES`, or a part of one.
        told: what happened, in a sentence's part.
        at: UTC; None where it is seen now and nobody put it on record.
        by: authenticated identity; empty where it is not known.
        event: id of its event; empty where there is none.
    """

    subject: str
    told: str
    at: datetime | None = None
    by: str = ""
    event: str = ""

    @property
    def touch(self) -> Touch:
        """What it touches."""
        return touch_of(self.subject)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        touch = self.touch
        return {
            "subject": self.subject,
            "title": touch.title,
            "told": self.told,
            "at": None if self.at is None else self.at.isoformat(),
            "by": self.by,
            "event": self.event,
            "evidence": list(touch.evidence),
            "documents": list(touch.documents),
            "controls": list(touch.controls),
            "asks": list(touch.asks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody has to say about changes.

    Attributes:
        key: of `touches.QUESTIONS`.
        text: as it is asked.
        raised_by: subjects of the changes that raise it.
    """

    key: str
    text: str
    raised_by: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"key": self.key, "text": self.text, "raised_by": list(self.raised_by)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The last package, as its event tells of it.

    Attributes:
        as_of: UTC; what came later is not in it.
        built_at: UTC.
        sha256: of its manifest or archive; empty where the event does not say.
        definition_sha256: of the definition that it speaks of; empty where the event does not say.
        tool: program and version that made it; empty where the event does not say.
    """

    as_of: datetime
    built_at: datetime
    sha256: str
    definition_sha256: str
    tool: str

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> "Package":
        """From a row of the events table.

        Raises:
            KeyError, TypeError, ValueError: fielded did not write it.
        """
        details = event["details"]
        at = event["occurred_at"]
        return cls(
            as_of=datetime.fromisoformat(details["as_of"]) if "as_of" in details else at,
            built_at=at,
            sha256=str(details.get("sha256", "")),
            definition_sha256=str(details.get("definition_sha256", "")),
            tool=str(details.get("tool", "")),
        )


def last_package(events: Iterable[Mapping[str, Any]]) -> Package | None:
    """The package that was built last; None where none was.

    Raises:
        KeyError, TypeError, ValueError: its event is none of fielded's.
    """
    found = [event for event in events if event["kind"] == PACKAGED]
    return Package.read(found[-1]) if found else None


def acts_since(events: Iterable[Mapping[str, Any]], since: datetime) -> list[Change]:
    """Acts on record that came after a moment, in their order.

    Args:
        events: rows of the events table with `details` read.
        since: UTC.
    """
    return [change for event in events if event["occurred_at"] > since for change in _changes_of(event)]


def _changes_of(event: Mapping[str, Any]) -> Iterator[Change]:
    kind, details = event["kind"], event["details"]
    subject = _SUBJECTS.get(kind)
    if subject is None:
        return
    if kind == acts.DRILLED and details.get("passed") is not True:
        subject = "drill failed"
    told = _told(kind, details)
    if told:
        yield Change(
            subject=subject,
            told=told,
            at=event["occurred_at"],
            by=str(event["actor"]),
            event=str(event["event_id"]),
        )


def _told(kind: str, details: Mapping[str, Any]) -> str:
    """What happened; empty where it is no change."""
    return _TOLD[kind](details)


def _adopted(details: Mapping[str, Any]) -> str:
    return f"version {details['production']['version']} was adopted"


def _moved(how: str) -> Callable[[Mapping[str, Any]], str]:
    def told(details: Mapping[str, Any]) -> str:
        left = details.get("from")
        came = "nothing" if left is None else f"version {left['version']}"
        return f"{how}: {came} -> version {details['to']['version']}"

    return told


def _fires(details: Mapping[str, Any]) -> str:
    firing = sorted({str(one["instance"]) for one in details["changes"] if one["to"] == _FIRING})
    return f"trigger {details['trigger']} fires: {', '.join(firing)}" if firing else ""


_TOLD: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    acts.ADOPTED: _adopted,
    acts.PROMOTED: _moved("promoted"),
    acts.ROLLED_BACK: _moved("rolled back"),
    acts.DRILLED: lambda details: f"a drill {'passed' if details.get('passed') is True else 'failed'}",
    acts.WAIVED: lambda of: f"finding {of['finding']} of version {of['version']}, until {of['until']}",
    acts.ALIAS_MOVED: lambda of: f"alias {of['alias']} was moved to {of['got'] or 'nothing'}",
    acts.VERSION_MISSING: lambda of: f"version {of['version']} is missing",
    acts.ARTIFACT_CHANGED: lambda of: f"the files of version {of['version']} were changed",
    watch.CHANGED: _fires,
    READINESS_WAIVED: lambda of: f"readiness item {of['item']}, until {of['until']}",
    SIGNED: lambda of: f"{of['document']}, until {of['until']}",
}


def definition_changes(before: Document | None, now: Document, *, other_query: bool) -> list[Change]:
    """What of a definition is otherwise; see rule 2.

    Args:
        before: as the package had it; None where its text is not to be had.
        now: as it is.
        other_query: whether the population's function is another.
    """
    if before is None:
        return [
            Change(subject="definition", told="its former text is not on record, so its sections are not told")
        ]
    names = [name for name in Document.__dataclass_fields__ if getattr(before, name) != getattr(now, name)]
    if other_query and "population" not in names:
        names.append("population")
    told = "differs from the package's"
    return [
        Change(subject="definition" if name in _NAMES else f"definition.{name}", told=f"`{name}` {told}")
        for name in names
    ] or [Change(subject="definition", told=f"its text {told}, its values do not")]


def site_changes(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[Change]:
    """What of a site is otherwise; see rule 2.

    Args:
        before: its parts as they were put on record; None where they never were.
        now: its parts, see `services.ato.site_parts`.
    """
    if before is None:
        return []
    parts = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return [_site_change(name, before.get(name), now.get(name)) for name in parts]


def _site_change(name: str, before: Any, now: Any) -> Change:
    if name == "tool":
        return Change(subject="fielded", told=f"{before or 'another'} -> {now}")
    told = f"`{name}` is another"
    if name == "roles":
        told = "; ".join(_roles_told(before or {}, now or {})) or told
    return Change(subject=f"site.{name}", told=told)


def _roles_told(before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for identity in sorted({*before, *now}):
        was, has = set(before.get(identity, ())), set(now.get(identity, ()))
        if was != has:
            gained = [f"+{role}" for role in sorted(has - was)]
            lost = [f"-{role}" for role in sorted(was - has)]
            yield f"{identity} {' '.join([*gained, *lost])}"


def put_on_record(changes: Iterable[Change], event: Mapping[str, Any]) -> list[Change]:
    """Changes that an event shows: with its time, its identity and its id."""
    at, by, event_id = event["occurred_at"], str(event["actor"]), str(event["event_id"])
    return [Change(subject=one.subject, told=one.told, at=at, by=by, event=event_id) for one in changes]


def in_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Oldest first; what nobody put on record last."""
    return tuple(sorted(changes, key=lambda one: (one.at is None, one.at.timestamp() if one.at else 0.0)))


def questions_of(changes: Sequence[Change]) -> tuple[Question, ...]:
    """What changes ask, each question once, in the order of `touches.QUESTIONS`."""
    return tuple(
        Question(key=key, text=text, raised_by=raised)
        for key, text in QUESTIONS.items()
        if (raised := tuple(dict.fromkeys(one.subject for one in changes if key in one.touch.asks)))
    )


def touched(changes: Sequence[Change]) -> dict[str, list[str]]:
    """All that changes touch together, sorted: `evidence`, `documents`, `controls`."""
    return {
        name: sorted({item for one in changes for item in getattr(one.touch, name)})
        for name in ("evidence", "documents", "controls")
    }


def parts_sha256(parts: Mapping[str, Any]) -> str:
    """Digest of a site's parts: the same parts are put on record once."""
    return value_sha256(dict(parts))
