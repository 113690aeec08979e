"""Rows for eMASS, and a template that people fill."""

from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assured import assurance
from fielded.decisions.ato.emass import NARRATIVE, Sheet, narrative, sheets
from fielded.words.errors import WrongUse
from fielded.world.emass_workbook import fill


def sheet(name: str) -> Sheet:
    return next(one for one in sheets(assurance()) if one.name == name)


def rows(name: str) -> list[dict[str, str]]:
    found = sheet(name)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_each_control_has_a_row_and_a_failed_one_is_planned() -> None:
    found = {row["Control Acronym"]: row for row in rows("Controls")}
    assert {key: row["Implementation Status"] for key, row in found.items()} == {
        "AC-5": "Implemented", "IA-2": "Planned", "PE-1": "Inherited", "PL-2": "Planned", "SC-8": "Planned",
        "AC-18": "Not Applicable", "SR-4": "Implemented",
    }  # fmt: skip
    assert found["AC-18"]["N/A Justification"] == "There is no wireless access to it"
    assert found["PE-1"]["Responsible Entities"] == "Hosting (PA-0001, IL4)"


def test_what_an_assessor_says_stays_empty() -> None:
    for row in rows("Test Results"):
        assert (row["Compliance Status"], row["Date Tested"], row["Tested By"]) == ("", "", "")
        assert row["Test Results"].startswith("Self-check, not an assessment: ")
    assert {row["Control Acronym"] for row in rows("Test Results")} == {"AC-5", "IA-2", "SC-8", "SR-4"}


def test_a_weakness_is_a_row_under_its_id() -> None:
    (row,) = rows("POA&M")
    assert (row["POA&M Item ID"], row["Controls / APs"], row["Scheduled Completion Date"]) == (
        "w-1",
        "IA-2",
        "2026-04-01",
    )
    assert (row["Status"], row["Office/Org"]) == ("Ongoing", "isso")


def test_software_is_what_the_inventory_saw() -> None:
    assert [(row["Software Name"], row["Version"]) for row in rows("Software")] == [
        ("numpy", "2.3.1"),
        ("pyarrow", "21"),
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("abc ,", min_size=1, max_size=200), min_size=1, max_size=40))
def test_a_narrative_fits_and_a_short_one_is_whole(sentences: list[str]) -> None:
    text = ". ".join(sentences)
    told = narrative(text)
    assert len(told) <= NARRATIVE
    assert told == text if len(text) <= NARRATIVE else told.endswith("control matrix.")


def test_no_row_is_wider_than_its_columns_or_longer_than_a_narrative() -> None:
    for one in sheets(assurance(said="Refused. " * 400)):
        for row in one.rows:
            assert len(row) == len(one.columns)
            assert all(len(cell) <= NARRATIVE for cell in row)


def template(path: Path, headers: list[str], row: int = 7, before: int = 2) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    page.title = "Test Result Import"
    page["A1"] = "Do not change this row"
    for place, text in enumerate(headers, start=before):
        page.cell(row, place).value = text
    book.save(path)
    return path


def test_rows_go_below_the_headers_wherever_the_template_has_them(tmp_path: Path) -> None:
    headers = ["Test results ", "CCI", "CONTROL\nAcronym", "Date Tested"]
    own = template(tmp_path / "own.xlsx", headers)
    before = own.read_bytes()
    placed = fill(own, sheets(assurance()), tmp_path / "filled.xlsx")
    assert placed == {"Test Results": "Test Result Import"}
    page = openpyxl.load_workbook(tmp_path / "filled.xlsx").active
    assert page["A1"].value == "Do not change this row"
    assert [page.cell(row, 4).value for row in (7, 8, 9, 10, 11)] == [
        "CONTROL\nAcronym",
        "AC-5",
        "IA-2",
        "SC-8",
        "SR-4",
    ]
    assert page.cell(8, 2).value.startswith("Self-check")
    assert page.cell(8, 3).value is None
    assert own.read_bytes() == before, "the template stays as it is"


def test_rows_that_somebody_filled_in_stay(tmp_path: Path) -> None:
    own = template(tmp_path / "own.xlsx", ["Control Acronym", "Test Results"], row=1, before=1)
    book = openpyxl.load_workbook(own)
    book.active.append(["AC-1", "by hand"])
    book.save(own)
    fill(own, sheets(assurance()), tmp_path / "filled.xlsx")
    page = openpyxl.load_workbook(tmp_path / "filled.xlsx").active
    assert [page.cell(row, 1).value for row in (2, 3)] == ["AC-1", "AC-5"]


def test_a_text_is_no_formula(tmp_path: Path) -> None:
    own = template(tmp_path / "own.xlsx", ["Filename", "Description"], row=1, before=1)
    fill(
        own,
        [Sheet("Artifacts", ("Filename", "Description"), ("Filename",), (("=1+1", "text"),))],
        tmp_path / "filled.xlsx",
    )
    cell = openpyxl.load_workbook(tmp_path / "filled.xlsx").active["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_another_template_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    own = template(tmp_path / "own.xlsx", ["Name", "Colour"])
    with pytest.raises(
        WrongUse, match=r"without the columns of any of Controls \(Control Acronym, Implementation Status\)"
    ):
        fill(own, sheets(assurance()), tmp_path / "filled.xlsx")
    (tmp_path / "no.xlsx").write_bytes(b"PK not a workbook")
    with pytest.raises(WrongUse, match="cannot be read"):
        fill(tmp_path / "no.xlsx", sheets(assurance()), tmp_path / "filled.xlsx")
    with pytest.raises(WrongUse, match="got no file"):
        fill(tmp_path / "absent.xlsx", sheets(assurance()), tmp_path / "filled.xlsx")
    assert not (tmp_path / "filled.xlsx").exists()
