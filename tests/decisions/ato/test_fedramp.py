"""FedRAMP's two documents: what is said follows the records, and nothing is said that nobody saw."""

import json
from dataclasses import replace

import pytest

from assured import assurance
from fielded.decisions.ato.fedramp import certification_package_overview, security_decision_record
from fielded.decisions.ato.key_indicators import INDICATORS


def test_without_a_word_of_the_site_neither_is_written() -> None:
    assert certification_package_overview(assurance(fedramp=False)) is None
    assert security_decision_record(assurance(fedramp=False)) is None


def test_the_overview_has_what_its_schema_asks_for() -> None:
    found = certification_package_overview(assurance())
    assert found is not None
    assert set(found["serviceIdentification"]) == {
        "providerName", "serviceName", "serviceAcronym", "serviceDescription", "certificationType",
        "fedRampPackageId", "website", "logo",
    }  # fmt: skip
    assert found["serviceIdentification"]["serviceDescription"].startswith("Flag open work orders")
    assert {contact["contactType"] for contact in found["contactInformation"]} >= {"Security", "Sales"}
    assert "contactPhone" not in found["contactInformation"][1], "no phone, no empty phone"
    assert "assessor" not in found, "who assesses says so himself"


def test_a_control_s_status_follows_its_evidence_and_what_others_answer_for_has_none() -> None:
    record = security_decision_record(assurance())
    assert record is not None
    controls = {one["controlId"]: one for one in record["securityControls"]}
    status = {key: one.get("controlImplementationStatus") for key, one in controls.items()}
    assert status == {
        "AC-5": "Implemented", "IA-2": "Not Implemented", "PE-1": None, "PL-2": "Not Implemented",
        "SC-8": "Partially Implemented", "AC-18": None, "SR-4": "Implemented",
    }  # fmt: skip
    assert "Hosting (PA-0001, IL4)" in controls["PE-1"]["controlImplementationDescription"]
    assert "no wireless access" in controls["AC-18"]["controlImplementationDescription"]
    assert controls["PL-2"]["controlImplementationDescription"] == "Nobody answers for this control yet."
    assert record["portsAndProtocols"] == [{"transportProtocol": "TCP", "portNumber": "8443"}]
    assert record["fedRampRequirements"][0]["frrImplementation"][0].startswith("Attested by the provider: ")


def test_an_indicator_cites_evidence_and_leaves_the_assessment_to_an_assessor() -> None:
    record = security_decision_record(assurance())
    assert record is not None
    found = {one["ksiId"]: one for one in record["keySecurityIndicators"]}
    assert found, "separation of duties is looked at by some"
    for key, one in found.items():
        assert key in INDICATORS
        assert one["ksiAssessment"] == []
        assert one["ksiEvidence"]
        assert set(one) >= {"ksiId", "ksiImplementation", "ksiValidation", "ksiTests", "ksiEvidence"}
    assert found["KSI-IAM-APM"]["ksiImplementationStatus"] == "Not Implemented"
    assert any("not satisfied" in text for text in found["KSI-IAM-APM"]["ksiValidation"])
    assert "KSI-PIY-RVD" not in found, "nothing of ours looks at it"


def test_what_no_evidence_stands_behind_moves_no_status() -> None:
    made = assurance()
    failed = replace(made, controls=tuple(replace(one, result="not checked") for one in made.controls))  # type: ignore[arg-type]
    record = security_decision_record(failed)
    assert record is not None
    assert not [
        one for one in record["securityControls"] if one.get("controlImplementationStatus") == "Implemented"
    ]


def test_a_parameter_stands_at_its_control() -> None:
    made = assurance()
    ato = {**made.definition["ato"], "parameters": {"ac-05_odp": "deployers and approvers"}}
    record = security_decision_record(replace(made, definition={**made.definition, "ato": ato}))
    assert record is not None
    held = {one["controlId"]: one.get("parameterValues") for one in record["securityControls"]}
    assert held["AC-5"] == [{"parameterId": "ac-05_odp", "parameterValue": "deployers and approvers"}]
    assert held["IA-2"] is None


def test_indicators_name_controls_as_the_catalog_does() -> None:
    assert len(INDICATORS) == 46
    for name, controls in INDICATORS.values():
        assert name
        for control in controls:
            family, _, number = control.partition("-")
            assert len(family) == 2
            assert number.replace(".", "").isdigit()


@pytest.mark.parametrize("document", [certification_package_overview, security_decision_record])
def test_the_same_package_has_the_same_bytes(document: object) -> None:
    texts = {json.dumps(document(assurance())) for _ in range(2)}  # type: ignore[operator]
    assert len(texts) == 1
