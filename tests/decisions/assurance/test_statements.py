"""Sentences: no number of their own, and nothing said without a source."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.assurance.statements import (
    Absent,
    Attested,
    Reference,
    Sources,
    Statement,
    look_up,
    said_by,
)

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = Statement(
    template="{rows:,} rows of {tables}.", references={"rows": "e#/facts/rows", "tables": "e#/facts/t"}
)


def source(rows: object = 1234, *, holds: bool = True, days: int = 1, checked: bool = True) -> Sources:
    check = Check.of("asked", holds, got="", expected="")
    one = Evidence(
        id="e", title="", checks=(check,) if checked else (), facts={"rows": rows, "t": ["a", "b"]}, command="",
        tool="", by="", at=NOW, scope={}, valid_until=NOW + timedelta(days=days),
    )  # fmt: skip
    return Sources.of([one], NOW + timedelta(days=1), {"definition": {"decision": {"threshold": 0.65}}})


def test_a_sentence_is_made_of_its_sources() -> None:
    said = source().say(ROWS)
    assert (said.text, said.state, said.cites) == ("1,234 rows of a, b.", "evidenced", ("e",))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**12))
def test_its_number_follows_the_source(rows: int) -> None:
    assert source(rows).say(ROWS).text.startswith(f"{rows:,} rows")


@pytest.mark.parametrize(
    "template", ["12 rows of {a}", "{a} in 2026", "twice, 0.5 of {a}", "SP 800-53 asks for 7 of {a}"]
)
def test_a_number_of_its_own_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="got a number"):
        Statement(template=template, references={"a": "e#/facts/rows"})


@pytest.mark.parametrize(
    "name", ["AC-2", "AC-6(9)", "NIST SP 800-53A", "RFC 9162", "FIPS 186-5", "IL4", "TLS 1.3"]
)
def test_names_with_digits_are_no_numbers(name: str) -> None:
    Statement(template=f"By {name} of {{a}}", references={"a": "e#/facts/rows"})


@pytest.mark.parametrize("references", [{}, {"b": "e#/a"}, {"a": "e#/a", "b": "e#/b"}])
def test_every_blank_has_a_reference_and_every_reference_a_blank(references: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="statement: got"):
        Statement(template="{a} rows", references=references)


def test_a_sentence_that_cites_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cites nothing"):
        Statement(template="All is well.")


@pytest.mark.parametrize(
    ("sources", "lacking"),
    [
        (Sources(documents={}), "was not collected"),
        (source(days=0), "its time was over on 2026-03-02"),
        (source(checked=False), "could not be checked"),
        (source(rows=None), "is empty"),
        (source(rows=[1]), "another kind"),
    ],
)
def test_what_is_not_evidenced_says_so_and_shows_no_value(sources: Sources, lacking: str) -> None:
    said = sources.say(ROWS)
    assert said.state == "not evidenced"
    assert said.text == "not evidenced: ... rows of ...."
    assert lacking in said.lacking


def test_a_sentence_may_quote_a_number_of_evidence_that_did_not_hold_but_not_rest_on_it() -> None:
    failed = source(holds=False)
    assert failed.say(ROWS).state == "evidenced"
    assert failed.say(Statement(template="The log is whole.", rests_on=("e",))).lacking == "e did not hold"
    assert source().say(Statement(template="The log is whole.", rests_on=("e",))).state == "evidenced"


def test_a_person_s_sentence_is_theirs() -> None:
    said = said_by(Attested(text="Used by 12 planners.", author="Alex Example", date="2026-03-01"))
    assert (said.state, said.text) == ("attested", "Used by 12 planners.")
    assert said.as_dict()["author"] == "Alex Example"


def test_pointers_are_those_of_the_rfc() -> None:
    document = {"a/b": {"m~n": [{"x": 1}]}}
    assert look_up(document, "/a~1b/m~0n/0/x") == 1
    assert look_up(document, "") is document
    for pointer in ("/a", "/a~1b/m~0n/1", "/a~1b/m~0n/x", "/a~1b/m~0n/0/x/y"):
        with pytest.raises(Absent):
            look_up(document, pointer)


@pytest.mark.parametrize("text", ["e", "#/a", "e#a"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected SOURCE"):
        Reference.parse(text)
