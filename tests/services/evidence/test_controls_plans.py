"""Controls of what is written, listed, scanned and watched: as they are, and each way to break them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conftest import DAY, DEFINITION, World
from fielded.decisions.assurance.collector import Collector
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato.baselines import families
from fielded.decisions.monitoring.watch import RAN
from fielded.definition.authorization import Authorization, Platform
from fielded.services.ato.matrix import matrix_of
from fielded.services.evidence.collect import Bench, collect, put_on_record
from fielded.services.evidence.controls import at_rest, cryptography, inventory, plans, vulnerabilities, watching
from fielded.services.score_day import score_day

SARIF: dict[str, list[dict[str, object]]] = {
    "runs": [
        {
            "tool": {"driver": {"name": "Scanner"}},
            "invocations": [{"endTimeUtc": "2026-03-01T00:00:00Z"}],
            "results": [],
        }
    ]
}


@pytest.fixture
def scored(world: World) -> World:
    score_day(*world.scorers(), DAY)
    return world


def looked(world: World, collector: Collector[Bench]) -> Evidence:
    return collect(Bench(world.open()), collector, f"fielded ato collect --evidence {collector.id}")


def wrong(evidence: Evidence) -> dict[str, str]:
    return {check.name: check.outcome for check in evidence.checks if check.outcome != "held"}


def authorized(world: World, **changes: object) -> None:
    world.site = replace(world.site, authorization=replace(world.site.authorization, **changes))


def recorded(world: World, collectors: Sequence[Collector[Bench]] = (cryptography.KEYS, at_rest.DISKS)) -> None:
    put_on_record(world.open(), [looked(world, one) for one in collectors])


def test_packages_are_those_that_are_installed(scored: World, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = looked(scored, inventory.COLLECTOR)
    assert wrong(evidence) == {"the model in production is listed with its digest": "failed"}, (
        "nothing was released"
    )
    facts = evidence.facts
    listed = {one["name"]: one["version"] for one in facts["distributions"]}
    assert facts["count"] == len(listed)
    assert {"mlflow", "pyarrow", "fielded"} <= set(listed)
    assert {"name": "gold.overrun_scores", "use": "written"} in facts["tables"]
    monkeypatch.setattr(inventory, "installed", lambda: dict.fromkeys(listed, "0.0.1"))
    name = "each package that fielded needs is there, in a version that it allows"
    assert wrong(looked(scored, inventory.COLLECTOR))[name] == "failed"


def test_a_bill_is_compared_with_what_is_installed(scored: World, tmp_path: Path) -> None:
    assert looked(scored, inventory.BILL).outcome == "not checked"
    here = inventory.installed()
    path = tmp_path / "bill.json"
    authorized(scored, sbom=path)

    def bill(listed: dict[str, str]) -> Evidence:
        components = [{"type": "library", "name": name, "version": version} for name, version in listed.items()]
        path.write_text(json.dumps({"bomFormat": "CycloneDX", "components": components}))
        return looked(scored, inventory.BILL)

    assert wrong(bill(here)) == {}
    assert bill({**here, "gone": "1"}).facts["not_installed"] == ["gone"]
    for listed in ({**here, "numpy": "0.1"}, {key: one for key, one in here.items() if key != "numpy"}):
        evidence = bill(listed)
        assert wrong(evidence) == {"what is installed is what the bill of materials says": "failed"}
        assert evidence.facts["differing"] == 1
    path.write_text("{}")
    assert looked(scored, inventory.BILL).outcome == "not satisfied"


def test_a_scanners_report_is_counted(scored: World, tmp_path: Path) -> None:
    assert looked(scored, vulnerabilities.COLLECTOR).outcome == "not checked"
    path = tmp_path / "scan.sarif"
    authorized(scored, vulnerabilities=path)

    def report(**changes: object) -> Evidence:
        path.write_text(json.dumps({"runs": [{**SARIF["runs"][0], **changes}]}))
        return looked(scored, vulnerabilities.COLLECTOR)

    assert wrong(report()) == {}
    serious = report(results=[{"ruleId": "A", "level": "error"}])
    assert wrong(serious) == {"nothing critical or high is open": "failed"}
    assert (serious.facts["findings"], serious.facts["serious"]) == (1, 1)
    assert wrong(report(results=[{"ruleId": "A", "level": "note"}])) == {}
    assert wrong(report(invocations=[{"endTimeUtc": "2025-03-01T00:00:00Z"}])) == {
        "its report is not too old": "failed"
    }
    assert wrong(report(invocations=[])) == {"it says itself when it was made": "failed"}
    path.write_text("{}")
    assert looked(scored, vulnerabilities.COLLECTOR).outcome == "not satisfied"


def test_a_watch_that_runs_is_seen(scored: World) -> None:
    ran = "the watch ran lately, over what is here now"
    assert wrong(looked(scored, watching.RECORDS)) == {ran: "failed"}
    workplace = scored.open()
    details = {"definition_sha256": workplace.deployment.sha256, "sha256": "", "number": 1}
    workplace.record(RAN, watching.watched(workplace), details)
    recorded(scored, (cryptography.KEYS,))
    assert wrong(looked(scored, watching.RECORDS)) == {}
    evidence = looked(scored, watching.WATCH)
    assert (wrong(evidence), evidence.facts["current"], evidence.facts["runs"]) == ({}, 1, 1)
    later = replace(scored.open(), clock=lambda: workplace.clock() + timedelta(days=40))
    over = collect(Bench(later), watching.WATCH, "fielded ato collect")
    assert wrong(over) == {ran: "failed", "evidence on record is current": "failed"}
    scored.define(DEFINITION.replace("threshold: 0.65", "threshold: 0.66"))
    other = wrong(looked(scored, watching.WATCH))
    assert other == {ran: "failed", "evidence on record is current": "failed"}


def test_a_plan_has_an_answer_for_every_control(scored: World) -> None:
    recorded(scored)
    nobody = looked(scored, plans.PLAN)
    assert nobody.facts["controls"] == 287
    assert nobody.facts["unassigned"] > 200
    assert set(wrong(nobody)) == {
        "somebody answers for every control", "somebody answers for the rest of every shared control",
        "the system has its name",
    }  # fmt: skip
    platform = Platform(
        name="Cloud", authorization="PA-0000", level="IL4", expires=DAY + timedelta(days=400),
        inherited=tuple(f"{family}-*" for family in families()),
    )  # fmt: skip
    scored.site = replace(scored.site, authorization=Authorization(system="Overruns", platforms=(platform,)))
    whole = looked(scored, plans.PLAN)
    assert (wrong(whole), whole.facts["unassigned"]) == ({}, 0)


def test_a_weakness_is_opened_for_what_does_not_hold(scored: World) -> None:
    assert looked(scored, plans.WEAKNESSES).outcome == "not satisfied", "nothing is on record"
    recorded(scored)
    evidence = looked(scored, plans.WEAKNESSES)
    assert wrong(evidence) == {}
    assert evidence.facts["not_held"] == 1, "nobody says whether the disks are encrypted"
    assert evidence.facts["weaknesses"] >= 1


def test_the_matrix_has_every_control_and_the_same_bytes(scored: World, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    recorded(scored)
    assurance = plans.assemble(scored.open()).assurance
    made = matrix_of(assurance, {"ac-2": "=HYPERLINK(1)\x07"})
    assert made == matrix_of(assurance, {"ac-2": "=HYPERLINK(1)\x07"})
    path = tmp_path / "controls.xlsx"
    path.write_bytes(made)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["Summary", "Controls", "Evidence", "Weaknesses", "Not asked for"]
    sheet = book["Controls"]
    heads = [cell.value for cell in sheet[1]]
    rows = {row[0].value: dict(zip(heads, row, strict=True)) for row in sheet.iter_rows(min_row=2)}
    assert len(rows) == 287
    assert rows["AC-2"]["Text"].data_type == "s", "a text is never a formula"
    assert rows["AC-2"]["Text"].value == "=HYPERLINK(1) "
    assert rows["SC-12"]["Result"].value == "not checked", "nobody answers for the rest of it"
    assert {row["Assessor"].value for row in rows.values()} == {None}, "an assessor fills that in"
    last = [cell.value for cell in list(book["Summary"].iter_rows())[-1]]
    assert (last[0], last[-1], sum(last[1:7]), sum(last[7:11])) == ("All", 287, 287, 287)
    assert "AU-10" in [row[0].value for row in book["Not asked for"].iter_rows(min_row=2)]
    assert book["Evidence"].max_row == 1 + sum(len(one.checks) for one in assurance.evidence.values())
    assert str(tmp_path) not in "".join(str(cell.value) for row in sheet.iter_rows() for cell in row)
