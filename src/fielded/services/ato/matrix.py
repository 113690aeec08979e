"""The control matrix as a workbook that people sort and filter: a row for each control, with who answers for it,
the result, what is said, and how to see for oneself.

1. All of it is from the package's one model; nothing is reckoned here but counts, with their denominators.
2. A text of somebody's is never a formula: one that begins like one is set as text.
3. The same package has the same bytes.
4. The fields of an independent assessor are there, and empty.
"""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, get_args

from fielded.decisions.assurance.controls import Assurance, ControlRecord, Origin
from fielded.decisions.assurance.evidence import Outcome
from fielded.decisions.ato.baselines import controls, families, name_of
from fielded.decisions.ato.implementations import IMPLEMENTATIONS
from fielded.words.archives import stored_zip
from fielded.words.errors import WrongUse

_WRITABLE = 0o600
_LONGEST = 32_000  # characters of a cell; Excel keeps 32,767
_WIDTHS = {"Sentences": 70, "Evidence": 40, "Examine": 50, "Test": 50, "Code": 40, "Tests": 40, "Title": 40,
           "Found": 60, "Text": 60, "Provider": 40, "Reason": 50}  # fmt: skip
_WIDTH = 16
_CONTROLS = (
    "Control", "Title", "Family", "In baseline", "Origin", "Result", "Component", "Provider", "Reason",
    "Sentences", "Evidence", "Code", "Tests", "Examine", "Interview", "Test", "Methods of SP 800-53A", "Assessor",
    "Assessed on", "Assessor's result",
)  # fmt: skip
_EVIDENCE = ("Evidence", "Title", "Outcome", "Check", "Check's outcome", "Refuses something", "Found", "Expected",
             "Step", "Collected on", "Valid until", "Collected by command", "SHA-256")  # fmt: skip
_WEAKNESSES = ("Weakness", "Title", "Controls", "Found", "Step", "Since", "Due", "Owner")
_BEYOND = ("Control", "Title", "Evidence")

Row = Sequence[Any]


def matrix_of(assurance: Assurance, texts: Mapping[str, str] | None = None) -> bytes:
    """The workbook.

    Args:
        assurance: the package's model.
        texts: control -> its text, from the catalog that the site names; no column of it where there is none.

    Raises:
        WrongUse: openpyxl is not installed.
    """
    try:
        import openpyxl  # noqa: PLC0415 - an extra
    except ImportError:
        raise WrongUse(
            'controls.xlsx: got no openpyxl, expected it. Install the extra: pip install "fielded[ato]"'
        ) from None
    book = openpyxl.Workbook()
    book.remove(book.active)
    columns = (*_CONTROLS, "Text") if texts else _CONTROLS
    _sheet(book, "Summary", ("Family", *get_args(Origin), *get_args(Outcome), "All"), _summary(assurance.controls))
    _sheet(book, "Controls", columns, (_control(one, texts) for one in assurance.controls))
    _sheet(book, "Evidence", _EVIDENCE, _evidence(assurance))
    _sheet(book, "Weaknesses", _WEAKNESSES, _weaknesses(assurance))
    _sheet(book, "Not asked for", _BEYOND, _beyond(assurance))
    made = assurance.as_of.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    book.properties.creator = book.properties.lastModifiedBy = "fielded"
    book.properties.created = book.properties.modified = made
    held = io.BytesIO()
    book.save(held)
    return _same_bytes(held.getvalue(), f"{made:%Y-%m-%dT%H:%M:%SZ}")


def _sheet(book: Any, title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    from openpyxl.styles import Alignment, Font  # noqa: PLC0415 - an extra
    from openpyxl.utils import get_column_letter  # noqa: PLC0415 - an extra

    sheet = book.create_sheet(title)
    sheet.append(list(columns))
    for row in rows:
        sheet.append([None] * len(columns))
        for cell, value in zip(sheet[sheet.max_row], row, strict=True):
            _set(cell, value)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    for place, name in enumerate(columns, 1):
        sheet.cell(1, place).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(name, _WIDTH)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions


def _set(cell: Any, value: Any) -> None:
    """Rule 2."""
    if isinstance(value, bool):
        cell.value = "yes" if value else "no"
    elif isinstance(value, str):
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE  # noqa: PLC0415 - an extra

        cell.value = ILLEGAL_CHARACTERS_RE.sub(" ", value)[:_LONGEST]
        cell.data_type = "s"
    else:
        cell.value = value


def _summary(records: Sequence[ControlRecord]) -> Iterable[Row]:
    """How many controls of each family have each origin and each result, of how many."""
    known = families()
    for family in dict.fromkeys(record.family for record in records):
        of_family = [record for record in records if record.family == family]
        yield _counts(f"{family.upper()} {known.get(family, '')}".strip(), of_family)
    yield _counts("All", records)


def _counts(name: str, records: Sequence[ControlRecord]) -> Row:
    origins = [sum(record.origin == origin for record in records) for origin in get_args(Origin)]
    results = [sum(record.result == result for record in records) for result in get_args(Outcome)]
    return (name, *origins, *results, len(records))


def _control(record: ControlRecord, texts: Mapping[str, str] | None) -> Row:
    known = controls().get(record.id)
    said = "\n".join(f"[{one.state}] {one.text}" for one in record.said)
    row = (
        name_of(record.id), record.title, record.family.upper(), record.in_baseline, record.origin, record.result,
        record.component, record.provider, record.reason, said,
        *_lines(record.evidence, record.code, record.tests),
        *_lines(record.procedure.examine, record.procedure.interview, record.procedure.test),
        ", ".join(known.methods) if known else "", "", "", "",
    )  # fmt: skip
    return (*row, texts.get(record.id, "")) if texts else row


def _lines(*lists: Sequence[str]) -> list[str]:
    return ["\n".join(one) for one in lists]


def _evidence(assurance: Assurance) -> Iterable[Row]:
    """A row for each check, so that what did not hold is to be found by a filter."""
    for key, one in assurance.evidence.items():
        until = "" if one.valid_until is None else f"{one.valid_until:%Y-%m-%d}"
        for check in one.checks:
            yield (
                key, one.title, one.outcome, check.name, check.outcome, check.negative, check.got, check.expected,
                check.step, f"{one.at:%Y-%m-%d}", until, one.command, assurance.digest_of(one),
            )  # fmt: skip


def _weaknesses(assurance: Assurance) -> Iterable[Row]:
    for one in assurance.weaknesses:
        yield (
            one.id, one.title, ", ".join(name_of(key) for key in one.controls), one.found, one.step,
            one.since.isoformat(), "" if one.due is None else one.due.isoformat(), one.owner,
        )  # fmt: skip


def _beyond(assurance: Assurance) -> Iterable[Row]:
    """Controls that fielded has a part in and nobody asks for here."""
    asked = {record.id for record in assurance.controls}
    for key, one in IMPLEMENTATIONS.items():
        if key not in asked:
            yield (name_of(key), controls()[key].title, "\n".join(one.evidence))


def _same_bytes(made: bytes, moment: str) -> bytes:
    """Rule 3: the archive again with its files in one order, at one time; openpyxl writes when it was saved."""
    with zipfile.ZipFile(io.BytesIO(made)) as before:
        files = {name: before.read(name) for name in sorted(before.namelist())}
    files["docProps/core.xml"] = _at(files["docProps/core.xml"], moment)
    return stored_zip(files.items(), _WRITABLE)


def _at(core: bytes, moment: str) -> bytes:
    """Both times of a workbook's properties."""
    text = core.decode("utf-8")
    for tag in ("dcterms:created", "dcterms:modified"):
        start = text.find(">", text.find(f"<{tag}")) + 1
        end = text.find(f"</{tag}>")
        if 0 < start < end:
            text = text[:start] + moment + text[end:]
    return text.encode("utf-8")
