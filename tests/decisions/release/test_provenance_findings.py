"""Each thing that must be known of the training data is a finding of its own, with what to do."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.decisions.release.provenance import CONTENT, FIRST, LAST, ROWS, TABLES, Recorded, TrainingData
from fielded.decisions.release.provenance import provenance_findings as findings_of

DATA = TrainingData(
    tables={"silver.orders": 12, "reference.ships": 3},
    rows=1000,
    content_sha256="ab" * 32,
    first=date(2024, 1, 1),
    last=date(2025, 6, 30),
)
WHOLE = Recorded((("silver.orders@12", '{"delta_table_version": 12}'),), DATA.texts())
ITEMS = {"dataset", "tables", "rows", "content_sha256", "period"}


def test_all_that_the_helper_logs_is_all_that_is_asked_for() -> None:
    found = findings_of(WHOLE)
    assert {one.item for one in found} == {f"training_data.{item}" for item in ITEMS}
    assert {one.outcome for one in found} == {"passed"}
    assert WHOLE.last_day == DATA.last


@pytest.mark.parametrize(
    ("key", "item"),
    [(TABLES, "tables"), (ROWS, "rows"), (CONTENT, "content_sha256"), (FIRST, "period"), (LAST, "period")],
)
def test_a_missing_piece_is_not_enough_evidence_and_says_what_to_do(key: str, item: str) -> None:
    texts = {name: text for name, text in DATA.texts().items() if name != key}
    lacking = [one for one in findings_of(Recorded(WHOLE.datasets, texts)) if one.outcome != "passed"]
    assert [(one.item, one.outcome) for one in lacking] == [(f"training_data.{item}", "not enough evidence")]
    assert "log_training_data" in lacking[0].step


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (TABLES, "silver.orders"),
        (TABLES, "silver.orders@latest"),
        (TABLES, "silver.orders@1,"),
        (ROWS, "0"),
        (ROWS, "many"),
        (ROWS, "-5"),
        (CONTENT, "AB" * 32),
        (CONTENT, "ab" * 18),
        (FIRST, "2025-07-01"),
        (LAST, "last summer"),
    ],
)
def test_what_is_there_but_says_nothing_fails(key: str, text: str) -> None:
    found = findings_of(Recorded(WHOLE.datasets, {**DATA.texts(), key: text}))
    assert [one.outcome for one in found].count("failed") == 1


def test_a_version_without_a_run_says_so_in_every_finding() -> None:
    found = findings_of(Recorded(lacking="a version without a run"))
    assert {one.outcome for one in found} == {"not enough evidence"}
    assert {one.got for one in found} == {"a version without a run"}


@given(st.text(max_size=20))
def test_no_text_in_a_run_stops_the_gate(text: str) -> None:
    for key in DATA.texts():
        assert len(findings_of(Recorded((), {**DATA.texts(), key: text}))) == len(ITEMS)


def test_a_number_of_rows_too_long_to_read_is_none() -> None:
    texts = {**DATA.texts(), ROWS: "9" * 5000}
    lacking = [one for one in findings_of(Recorded(WHOLE.datasets, texts)) if one.outcome != "passed"]
    assert [(one.item, one.outcome) for one in lacking] == [("training_data.rows", "failed")]


def test_the_tables_are_known_by_name() -> None:
    assert WHOLE.tables == {"silver.orders", "reference.ships"}
    assert Recorded().tables == frozenset()
    assert Recorded((), {TABLES: "silver.orders@x, reference.ships@3"}).tables == {"reference.ships"}
