"""Who answers for each control, and what that makes of its result."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fielded.decisions.assurance.controls import ControlRecord
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.decisions.ato.baselines import baseline
from fielded.decisions.ato.implementations import IMPLEMENTATIONS
from fielded.decisions.ato.origins import Gap, asked_for, control_records, covers, gaps
from fielded.decisions.ato.overlays import Addition
from fielded.definition.ato import Ato
from fielded.definition.authorization import Authorization, Platform

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = NOW.date()


def evidence(key: str, outcome: str = "held", until: timedelta = timedelta(days=30), by: str = "") -> Evidence:
    check = Check(name="asked", outcome=outcome, got="it", expected="it")  # type: ignore[arg-type]
    return Evidence(
        id=key, title=key, checks=(check,), command="fielded ato collect", tool="fielded", by="os:ada", at=NOW,
        scope={"deployment": "overrun"}, valid_until=NOW + until, attested_by=by,
    )  # fmt: skip


def platform(name: str = "Cloud", expires: date = TODAY + timedelta(days=30), **claims: object) -> Platform:
    return Platform(name=name, authorization="PA-0000", level="IL4", expires=expires, **claims)  # type: ignore[arg-type]


def records(
    ato: Ato | None = None,
    authorization: Authorization | None = None,
    known: Mapping[str, Evidence] | None = None,
    additions: tuple[Addition, ...] = (),
) -> dict[str, ControlRecord]:
    site = authorization or Authorization()
    given_ato, found = ato or Ato(), dict(known or {})
    platforms = [
        {"name": one.name, "authorization": one.authorization, "level": one.level,
         "expires": one.expires.isoformat(), "shared": dict(one.shared)}
        for one in site.platforms
    ]  # fmt: skip
    plain = {
        "site": {"platforms": platforms, "organization": dict(site.organization)},
        "definition": {"ato": {"not_applicable": dict(given_ato.not_applicable)}},
    }
    sources = Sources.of(found.values(), NOW, plain)
    made = control_records(given_ato, site, additions, found, sources, TODAY)
    return {one.id: one for one in made}


def gaps_of(ato: Ato, authorization: Authorization) -> dict[str, Gap]:
    found = tuple(records(ato, authorization).values())
    return {one.id: one for one in gaps(ato, authorization, (), found, TODAY)}


def test_no_control_of_the_baseline_is_left_out() -> None:
    found = records()
    assert list(found) == list(baseline("nist-moderate"))
    counted = Counter(one.origin for one in found.values())
    assert sum(counted.values()) == 287
    assert counted["unassigned"] == 287 - sum(key in IMPLEMENTATIONS for key in found)
    assert all(one.result == "not checked" for one in found.values()), "without evidence nothing is satisfied"


def test_tailored_in_and_added_controls_say_why() -> None:
    added = Addition(title="An overlay", version="0.3", controls={"xa-1": "Of an agency"}, parameters={})
    found = records(Ato(tailored_in={"sr-4": "What it learned from counts"}), additions=(added,))
    assert (found["sr-4"].in_baseline, found["sr-4"].reason[:27]) == (False, "What it learned from counts")
    assert (found["xa-1"].title, found["xa-1"].reason) == ("Of an agency", "Added by An overlay 0.3")
    assert list(asked_for(Ato(), (added,)))[-1] == "xa-1"


def test_what_does_not_apply_says_why() -> None:
    record = records(Ato(not_applicable={"ac-18": "There is no wireless network"}))["ac-18"]
    assert (record.origin, record.result) == ("not applicable", "not checked")
    assert record.said[0].text == "It does not apply here: There is no wireless network"


@pytest.mark.parametrize(
    ("of", "result"),
    [
        (evidence("input-validation"), "satisfied"),
        (evidence("input-validation", by="Casey Example"), "attested"),
        (evidence("input-validation", "failed"), "not satisfied"),
        (evidence("input-validation", "not checked"), "not checked"),
        (evidence("input-validation", until=-timedelta(days=1)), "not checked"),
        (evidence("something-else"), "not checked"),
    ],
)
def test_a_result_is_of_the_evidence(of: Evidence, result: str) -> None:
    record = records(known={of.id: of})["si-10"]
    assert (record.origin, record.result) == ("implemented", result)
    assert (record.component, record.evidence) == ("fielded", ("input-validation",))
    assert record.code
    assert record.tests
    assert "fielded ato collect --evidence input-validation" in record.procedure.test
    assert (record.said[0].state == "evidenced") == (result in ("satisfied", "attested"))


def test_all_evidence_has_to_hold() -> None:
    known = {key: evidence(key) for key in IMPLEMENTATIONS["ac-3"].evidence}
    assert records(known=known)["ac-3"].result == "satisfied"
    for key in known:
        assert records(known={**known, key: evidence(key, "failed")})["ac-3"].result == "not satisfied"
        assert records(known={k: v for k, v in known.items() if k != key})["ac-3"].result == "not checked"


def test_a_part_that_is_left_to_nobody_is_in_the_way() -> None:
    known = {"keys": evidence("keys")}
    alone = records(known=known)["sc-12"]
    assert (alone.origin, alone.result, alone.provider) == ("shared", "not checked", "")
    assert "Left to others: Keys of TLS" in alone.reason
    site = Authorization(platforms=(platform(shared={"sc-12": "Keys of the ledger"}),))
    named = records(authorization=site, known=known)["sc-12"]
    assert (named.origin, named.result) == ("shared", "satisfied")
    assert named.provider == f"Cloud (PA-0000, IL4, until {TODAY + timedelta(days=30)})"
    assert named.said[-1].text.endswith("To the system is left: Keys of the ledger")


def test_what_is_inherited_is_not_checked_here() -> None:
    site = Authorization(
        platforms=(platform(inherited=("pe-*", "ma-2")),), organization={"at-*": "Training office"}
    )
    found = records(authorization=site)
    assert {found[key].origin for key in found if key.startswith("pe-")} == {"inherited"}
    assert (found["ma-2"].origin, found["ma-2"].result, found["ma-2"].component) == (
        "inherited",
        "not checked",
        "Cloud",
    )
    assert found["ma-2"].said[0].state == "evidenced"
    assert "under its authorization PA-0000 at IL4" in found["ma-2"].said[0].text
    assert (found["at-2"].origin, found["at-2"].provider) == ("organization", "Training office")
    assert found["at-2"].said[0].text == "In the organization, Training office answers for it."
    assert found["ma-3"].origin == "unassigned"


def test_an_authorization_that_is_over_carries_nothing() -> None:
    site = Authorization(platforms=(platform(expires=TODAY - timedelta(days=1), inherited=("pe-*",)),))
    record = records(authorization=site)["pe-2"]
    assert (record.origin, record.result) == ("inherited", "not satisfied")
    assert "which ended on" in record.said[0].text
    gap = gaps_of(Ato(), site)["authorization-over:Cloud"]
    assert "pe-2" in gap.controls
    assert not any(key.startswith("ac-") for key in gap.controls)
    on_its_last_day = Authorization(platforms=(platform(expires=TODAY, inherited=("pe-*",)),))
    assert records(authorization=on_its_last_day)["pe-2"].result == "not checked"


def test_over_is_worse_than_evidence_that_holds() -> None:
    site = Authorization(platforms=(platform(expires=TODAY - timedelta(days=1), shared={"sc-12": "Ours"}),))
    assert records(authorization=site, known={"keys": evidence("keys")})["sc-12"].result == "not satisfied"


def test_a_name_goes_before_a_family() -> None:
    site = Authorization(
        platforms=(platform(inherited=("pe-*",)),), organization={"pe-3": "Guards of the building"}
    )
    found = records(authorization=site)
    assert (found["pe-2"].origin, found["pe-3"].origin) == ("inherited", "organization")
    assert "claimed-twice:pe-3" not in gaps_of(Ato(), site)


def test_two_that_answer_alone_are_a_gap() -> None:
    site = Authorization(platforms=(platform("One", inherited=("pe-*",)), platform("Two", inherited=("pe-*",))))
    found = gaps_of(Ato(), site)
    assert found["claimed-twice:pe-3"].got == "One, Two"


def test_nobody_and_nobody_knows_are_gaps() -> None:
    ato = Ato(not_applicable={"zz-1": "It is misspelt"})
    found = gaps_of(ato, Authorization(organization={"ac-2.10": "It is withdrawn"}))
    assert {"unknown-control:zz-1", "unknown-control:ac-2.10", "unassigned", "rest-unassigned"} == set(found)
    assert found["unassigned"].got.endswith("of 287 controls")
    assert "sc-28" in found["rest-unassigned"].controls


@given(st.text("abcdefgh-.*0123456789", max_size=8))
@settings(deadline=None, max_examples=40)
def test_a_control_is_covered_by_its_name_and_its_family_alone(written: str) -> None:
    assert covers("ac-2", "ac-2")
    assert covers("ac-*", "ac-2.1")
    assert not covers("ac-2", "ac-2.1")
    assert covers(written, "ac-2") == (written in ("ac-2", "ac-*"))
