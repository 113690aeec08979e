"""The data-flow diagram (PL-2, CA-3, SA-17): what travels where, drawn and in words.

Where the parts are is fixed: the code has these and no others. What they are called comes from the definition and
the site. Each arrow has a letter, and the table below it says what travels and what protects it, so that nobody
needs the drawing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from fielded.decisions.assurance.documents import Block, Document, Figure, Section, Table
from fielded.decisions.assurance.statements import Said, Sources
from fielded.services.documents.values import DEFINITION, SITE
from fielded.services.documents.writing import Column, Writer, paragraph
from fielded.services.pages.plots import plain

NAME = "data_flow"

_WIDTH, _HEIGHT = 1120, 690
_COLUMNS, _ROWS = (30, 310, 590, 870), (66, 222, 378, 548)
_WIDE, _HIGH = 220, 96
_LONGEST = 33  # characters of a line in a box
_BOUNDARY = "290,34 1104,34 1104,510 830,510 830,672 290,672"
_INK, _GREY, _BATCH, _LIVE, _PEOPLE = "#1b1b1b", "#565c65", "#005ea2", "#008480", "#8c471c"
_FILL, _OUTSIDE = "#ffffff", "#f0f0f0"
_FONT = "Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class _Box:
    """A part of the system.

    Attributes:
        key: its name here.
        title: what it is.
        place: column and row.
        inside: whether it is inside the authorization boundary.
    """

    key: str
    title: str
    place: tuple[int, int]
    inside: bool = True


@dataclass(frozen=True, slots=True)
class _Flow:
    """An arrow.

    Attributes:
        letter: names it in the table.
        start: title of the box it comes from.
        end: title of the box it goes to.
        kind: which line is drawn.
        points: corners of the line.
        mark: where its letter stands.
        what: what travels.
        protection: what protects it; a template over the references below it, or plain text.
        references: of `protection`.
    """

    letter: str
    start: str
    end: str
    kind: str
    points: tuple[tuple[int, int], ...]
    mark: tuple[int, int]
    what: str
    protection: str
    references: Mapping[str, str] | None = None


_BOXES = (
    _Box("tables", "Source tables", (0, 0), False),
    _Box("population", "Population and rules", (1, 0)),
    _Box("scorer", "Scorer", (2, 0)),
    _Box("registry", "Model registry", (3, 0)),
    _Box("callers", "Callers", (0, 1), False),
    _Box("api", "API: guard and identity", (1, 1)),
    _Box("journal", "Journal", (2, 1)),
    _Box("keys", "Key and checkpoints", (3, 1)),
    _Box("reviewers", "Reviewers", (0, 2), False),
    _Box("queue", "Review queue", (1, 2)),
    _Box("ledger", "Ledger", (2, 2)),
    _Box("gold", "Score table", (3, 2)),
    _Box("outcomes", "Outcomes", (0, 3), False),
    _Box("monitor", "Monitor", (2, 3)),
    _Box("owner", "Monitoring owner", (3, 3), False),
)

_FLOWS = (
    _Flow("A", "Source tables", "Population and rules", "batch", ((250, 114), (310, 114)), (280, 114),
          "rows of the day's subjects, with their features",
          "read at a table version that is recorded in every run"),
    _Flow("B", "Population and rules", "Scorer", "batch", ((530, 114), (590, 114)), (560, 114),
          "rows that keep every rule of the features; the others go to quarantine with the rule that they break",
          "a run stops when more than a share of {limit} is quarantined",
          {"limit": f"{DEFINITION}#/batch/quarantine_limit"}),
    _Flow("C", "Model registry", "Scorer", "batch", ((870, 114), (810, 114)), (840, 114),
          "files of the version that the ledger has in production",
          "loaded only if their SHA-256 is one that people approved"),
    _Flow("D", "Callers", "API: guard and identity", "live", ((250, 270), (310, 270)), (280, 270),
          "features of subjects; scores and decisions go back",
          "TLS ended by the service itself: {tls}; credentials: {identity}; size and rate limits",
          {"tls": f"{SITE}#/tls", "identity": f"{SITE}#/identity"}),
    _Flow("E", "API: guard and identity", "Scorer", "live", ((420, 222), (420, 192), (640, 192), (640, 162)),
          (500, 192), "features that keep every rule", "the caller's identity comes from the credentials alone"),
    _Flow("F", "Scorer", "Journal", "live", ((700, 162), (700, 222)), (700, 196),
          "score, features, decision and caller of each answer, before it is given",
          "written durably to {journal}; where that fails nobody gets a score", {"journal": f"{SITE}#/journal"}),
    _Flow("G", "Journal", "Ledger", "live", ((700, 318), (700, 378)), (700, 344),
          "journal rows, in order", "each row carries the digest of the one before it"),
    _Flow("H", "Scorer", "Ledger", "batch", ((790, 162), (790, 190), (842, 190), (842, 400), (810, 400)),
          (842, 340),
          "score, features and decision of each row of a day", "a day is written whole or not at all"),
    _Flow("I", "Key and checkpoints", "Ledger", "keys", ((980, 318), (980, 352), (760, 352), (760, 378)),
          (920, 352),
          "signatures of the ledger's state",
          "key of kind {key}; copies of checkpoints lie outside the tables: {anchored}",
          {"key": f"{SITE}#/signing_key", "anchored": f"{SITE}#/anchored"}),
    _Flow("J", "Ledger", "Score table", "batch", ((810, 440), (870, 440)), (840, 440),
          "scores and flags of the day that counts", "replaced a day at a time, from the ledger alone"),
    _Flow("K", "Ledger", "Review queue", "people", ((590, 426), (530, 426)), (560, 426),
          "cases in the band from {low} to {high}, and others that the definition sends there; decisions go back",
          "a decision is an event under the reviewer's identity", None),
    _Flow("L", "Reviewers", "Review queue", "people", ((250, 426), (310, 426)), (280, 426),
          "decisions, with reasons", "only identities with the role of a reviewer"),
    _Flow("M", "Outcomes", "Ledger", "batch", ((140, 548), (140, 524), (640, 524), (640, 474)), (440, 524),
          "what became of subjects", "loaded as rows of their own; no score is changed"),
    _Flow("N", "Ledger", "Monitor", "batch", ((700, 474), (700, 548)), (700, 510),
          "counts and scores of whole days", "read only"),
    _Flow("O", "Monitor", "Monitoring owner", "people", ((810, 596), (870, 596)), (840, 596),
          "alarms and requests to retrain", "no features or subjects are in a notice"),
)  # fmt: skip

_LINES = {"batch": (_BATCH, ""), "live": (_LIVE, ""), "people": (_PEOPLE, "7 4"), "keys": (_GREY, "2 4")}
_LEGEND = (
    ("batch", "rows and events"),
    ("live", "a live request"),
    ("people", "by or to people"),
    ("keys", "signatures"),
)


def data_flow(sources: Sources, as_of: datetime) -> Document:
    """The diagram with its table, as a document.

    Args:
        sources: with `definition` and `site`.
        as_of: UTC.
    """
    writer = Writer(sources, None, as_of)
    drawing = Figure(
        title="What travels where",
        words="Parts of the system, the boundary around them and the flows between them; the table has each.",
        svg=drawn(writer.sources),
    )
    return writer.document(NAME, "Data-flow diagram", (
        writer.limits(),
        Section("1", "Diagram", (drawing, *_parts(writer))),
        Section("2", "Flows", (_flows(writer),)),
        Section("3", "Data at rest and across the boundary", _at_rest(writer)),
    ))  # fmt: skip


def _flows(writer: Writer) -> Table:
    rows = tuple(
        (flow.letter, flow.start, flow.end, _what(writer, flow), _protection(writer, flow)) for flow in _FLOWS
    )
    return Table(caption="Flows by letter", columns=("Flow", "From", "To", "What", "Protected by"), rows=rows)


def _what(writer: Writer, flow: _Flow) -> Said | str:
    if "{low}" not in flow.what:
        return flow.what
    band = {"low": f"{DEFINITION}#/decision/review_band/0", "high": f"{DEFINITION}#/decision/review_band/1"}
    return writer.say(flow.what, **band)


def _protection(writer: Writer, flow: _Flow) -> Said | str:
    return writer.say(flow.protection, **flow.references) if flow.references else flow.protection


def _parts(writer: Writer) -> tuple[Block, ...]:
    source = (Column(title="Name in the query", at="name"), Column(title="Table", at="table"))
    return (
        paragraph(
            writer.say("The system is {system}.", system=f"{SITE}#/system"),
            writer.say(
                "Scores are of model {model}, about each {subject}; they are published in {table}.",
                model=f"{DEFINITION}#/model/name",
                subject=f"{DEFINITION}#/subject",
                table=f"{DEFINITION}#/batch/output",
            ),
        ),
        writer.table("Source tables", f"{DEFINITION}#/source_tables", source),
    )


def _at_rest(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "Tables lie in storage of kind {storage}, live answers are journaled in {journal}, and models "
                "come from a registry of kind {registry}.",
                storage=f"{SITE}#/storage", journal=f"{SITE}#/journal", registry=f"{SITE}#/registry",
            ),
            writer.say("Registered ports: {ports}.", ports=f"{SITE}#/ports"),
            writer.say("Users cross the boundary by {path}.", path=f"{SITE}#/boundary_access"),
            _categories(writer),
        ),
    )  # fmt: skip


def _categories(writer: Writer) -> Said:
    if not writer.value(f"{DEFINITION}#/ato/cui"):
        return writer.say("The definition names no category of controlled unclassified information.", DEFINITION)
    return writer.say(
        "It handles these categories of controlled unclassified information: {cui}.", cui=f"{DEFINITION}#/ato/cui"
    )


def drawn(sources: Sources) -> str:
    """The drawing as SVG: attributes only, no style, script or link."""
    values = {name: sources.documents.get(name, {}) for name in (DEFINITION, SITE)}
    return "".join(_drawing(_details(values[DEFINITION], values[SITE]), str(values[SITE].get("system") or "")))


def _drawing(details: Mapping[str, tuple[str, ...]], system: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONT}" '
        f'font-size="13" fill="{_INK}">'
    )
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    yield (
        f'<polygon points="{_BOUNDARY}" fill="#f7fafc" stroke="{_INK}" stroke-width="1.5" '
        'stroke-dasharray="10 5"/>'
    )
    yield _text(302, 54, _short(f"Authorization boundary{f' of {system}' if system else ''}", 90), weight="700")
    for kind, (colour, _) in _LINES.items():
        yield (
            f'<defs><marker id="flow-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{colour}"/>'
            "</marker></defs>"
        )
    for flow in _FLOWS:
        yield _line(flow)
    for box in _BOXES:
        yield from _box(box, details.get(box.key, ()))
    for flow in _FLOWS:
        yield _mark(flow)
    yield from _legend()
    yield "</svg>"


def _box(box: _Box, lines: tuple[str, ...]) -> Iterator[str]:
    x, y = _COLUMNS[box.place[0]], _ROWS[box.place[1]]
    fill = _FILL if box.inside else _OUTSIDE
    yield (
        f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="4" fill="{fill}" stroke="{_INK}" '
        'stroke-width="1.2"/>'
    )
    yield _text(x + 12, y + 24, box.title, weight="700", size=15)
    for number, line in enumerate(lines[:3]):
        yield _text(x + 12, y + 44 + 17 * number, _short(line), colour=_GREY)


def _line(flow: _Flow) -> str:
    colour, dashes = _LINES[flow.kind]
    points = " ".join(f"{x},{y}" for x, y in flow.points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    both = f' marker-start="url(#flow-{flow.kind})"' if flow.letter in "DKL" else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}{both} '
        f'marker-end="url(#flow-{flow.kind})"/>'
    )


def _mark(flow: _Flow) -> str:
    colour, _ = _LINES[flow.kind]
    x, y = flow.mark
    return (
        f'<circle cx="{x}" cy="{y}" r="10" fill="#ffffff" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{x}" y="{y + 4.5}" text-anchor="middle" font-weight="700" font-size="12" fill="{colour}">'
        f"{flow.letter}</text>"
    )


def _legend() -> Iterator[str]:
    for number, (kind, words) in enumerate(_LEGEND):
        y = 566 + 20 * number
        colour, dashes = _LINES[kind]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield f'<line x1="318" y1="{y}" x2="358" y2="{y}" stroke="{colour}" stroke-width="1.8"{dashed}/>'
        yield _text(368, y + 4, words, colour=_GREY)
    yield f'<rect x="318" y="638" width="40" height="14" fill="{_OUTSIDE}" stroke="{_INK}"/>'
    yield _text(368, 649, "outside the boundary", colour=_GREY)


def _text(x: int, y: int, words: str, *, weight: str = "400", size: int = 13, colour: str = _INK) -> str:
    shown = escape(plain(words))
    return f'<text x="{x}" y="{y}" font-weight="{weight}" font-size="{size}" fill="{colour}">{shown}</text>'


def _short(text: str, longest: int = _LONGEST) -> str:
    """As much as a box is wide; the table has it whole."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _details(definition: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Lines of each box, from the definition and the site."""
    tables = [one["table"].rpartition(".")[2] for one in definition.get("source_tables", ())]
    identity = ", ".join(site.get("identity") or ()) or "no identity provider"
    model = definition.get("model", {})
    return {
        "tables": tuple(tables),
        "population": (f"one query: {definition.get('population', {}).get('query', '')}", "rules of every feature",
                       "quarantine"),
        "scorer": (str(model.get("name", "")), "approved bytes only", "band and threshold"),
        "registry": (f"MLflow, {site.get('registry', '')}", f"alias {model.get('alias', '')}",
                     f"alias {model.get('previous_alias', '')}"),
        "callers": ("other systems and people", f"identity: {identity}"),
        "api": (f"ports: {', '.join(site.get('ports') or ()) or 'none registered'}",
                "roles, size and rate limits", "errors without payload"),
        "journal": (str(site.get("journal", "")), "durable before the answer"),
        "keys": (f"key: {site.get('signing_key', '')}",
                 f"copies elsewhere: {'yes' if site.get('anchored') else 'no'}"),
        "reviewers": ("people with the role", "decide, with reasons"),
        "queue": ("cases with a due time", "first judgement unseen"),
        "ledger": ("predictions, events, outcomes", f"Delta tables, {site.get('storage', '')}",
                   "append-only, sealed"),
        "gold": (str(definition.get("batch", {}).get("output", "")).rpartition(".")[2], "for analysts"),
        "outcomes": ("what became of subjects",),
        "monitor": ("drift, quality, outcomes", "triggers with numbers"),
        "owner": ("a named person", "answers each alarm"),
    }  # fmt: skip
