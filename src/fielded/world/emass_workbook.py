"""Fill a user's own eMASS workbook: rows go below the headers that the template has, and nothing else is touched.

Headers are found by their text, wherever the template puts them: offices move columns, add notes above, and rename
sheets. A sheet of ours goes into the first sheet that has all its key columns.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fielded.decisions.ato.emass import Sheet
from fielded.words.errors import Unreachable, WrongUse

_SEARCHED = 60  # rows of a sheet in which a header may stand


def fill(template: Path, sheets: Iterable[Sheet], into: Path) -> dict[str, str]:
    """Write the template with rows.

    Args:
        template: the user's workbook (.xlsx); it stays as it is.
        sheets: rows to fill in.
        into: the filled workbook.

    Returns:
        Our sheet -> the template's sheet that its rows went to; those that have no place in this template are not
        in it, for eMASS has a template for each.

    Raises:
        WrongUse: the extra is not installed, the file is no workbook, or none of our sheets has a place in it.
        Unreachable: it cannot be written.
    """
    openpyxl = _openpyxl()
    try:
        book = openpyxl.load_workbook(template)
    except FileNotFoundError:
        raise WrongUse(f"authorization.emass_template: got no file {template.name}, expected a workbook") from None
    except Exception as error:  # noqa: BLE001 - a zip, XML or style that openpyxl cannot read raises whatever its parser raises
        raise WrongUse(
            f"authorization.emass_template: got a {template.name} that cannot be read ({type(error).__name__}), "
            "expected a workbook (.xlsx) as eMASS gives it out"
        ) from None
    placed: dict[str, str] = {}
    missing: list[str] = []
    for sheet in sheets:
        found = next(_places(book, sheet), None)
        if found is None:
            missing.append(f"{sheet.name} ({', '.join(sheet.key)})")
            continue
        page, row, columns = found
        _write(page, row + 1, columns, sheet)
        placed[sheet.name] = page.title
    if not placed:
        raise WrongUse(
            f"authorization.emass_template: got {template.name} without the columns of any of {'; '.join(missing)}"
            ". Name a template that eMASS gave out, with its header row"
        )
    try:
        book.save(into)
    except OSError as error:
        raise Unreachable(f"{into.name}: cannot be written ({error.strerror or type(error).__name__})") from error
    return placed


def _openpyxl() -> Any:
    try:
        import openpyxl  # noqa: PLC0415 - an extra
    except ImportError:
        raise WrongUse("workbooks: got no openpyxl, expected it. Install fielded[ato]") from None
    return openpyxl


def _places(book: Any, sheet: Sheet) -> Iterator[tuple[Any, int, Mapping[str, int]]]:
    """Pages with all key columns of a sheet in one row: page, that row, and the place of each of our columns."""
    wanted = {_plain(name): name for name in sheet.columns}
    for page in book.worksheets:
        for number, cells in enumerate(page.iter_rows(max_row=_SEARCHED, values_only=True), start=1):
            heads = {_plain(str(text)): place for place, text in enumerate(cells, start=1) if text is not None}
            if all(_plain(name) in heads for name in sheet.key):
                yield page, number, {wanted[text]: place for text, place in heads.items() if text in wanted}
                break


def _plain(text: str) -> str:
    """A header without what offices change: case, spaces, line ends, marks."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _write(page: Any, first: int, columns: Mapping[str, int], sheet: Sheet) -> None:
    row = first
    while any(page.cell(row, place).value is not None for place in columns.values()):
        row += 1  # what somebody filled in before stays
    for values in sheet.rows:
        for name, value in zip(sheet.columns, values, strict=True):
            if name in columns and value:
                cell = page.cell(row, columns[name])
                cell.value = value
                cell.data_type = "s"  # a text that begins with = is no formula
        row += 1
