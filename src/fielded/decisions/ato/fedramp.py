"""FedRAMP's face of the package: the two JSON documents that the Consolidated Rules of 2026 ask a provider for.

1. What no machine can know (identifiers, addresses, contacts, requirements of process) comes from the site;
   without it the overview is not written at all, for its schema has no place for "not known".
2. A control is "Implemented" only where its evidence is satisfied or attested; "Partially Implemented" where some
   of it could not be checked; "Not Implemented" where it failed or nobody answers for it. An inherited one, one
   of the organization, and one that is not applicable have a description and no status: that is not ours to give.
3. Validation is what the provider saw; assessment is an independent assessor's, and stays empty here.
4. Nothing is said of an indicator whose controls the package has not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fielded.decisions.assurance.controls import Assurance, ControlRecord
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.ato.baselines import name_of
from fielded.decisions.ato.key_indicators import INDICATORS
from fielded.definition.ato import control_of

OVERVIEW, DECISIONS = "certification-package-overview", "security-decision-record"  # names of the files
_UNANSWERED = frozenset({"inherited", "organization", "not applicable"})


def certification_package_overview(assurance: Assurance) -> dict[str, Any] | None:
    """The Certification Package Overview (FRC-CSO-PKG); None where the site says nothing of FedRAMP (rule 1)."""
    fedramp = assurance.site.get("fedramp")
    if fedramp is None:
        return None
    return {
        "serviceIdentification": {
            "fedRampPackageId": fedramp["package_id"],
            "providerName": fedramp["provider"],
            "serviceName": fedramp["service"],
            "serviceAcronym": fedramp["acronym"],
            "serviceDescription": assurance.definition["purpose"],
            "certificationType": fedramp["certification"],
            "website": fedramp["website"],
            "logo": fedramp["logo"],
        },
        "serviceProperties": {
            "serviceType": list(fedramp["service_types"]),
            "deploymentModel": fedramp["deployment_model"],
            "businessCategory": ["Artificial Intelligence (AI)"],
        },
        "contactInformation": [_contact(contact) for contact in fedramp["contacts"]],
    }


def security_decision_record(assurance: Assurance) -> dict[str, Any] | None:
    """The Security Decision Record (SDR-CSO-FRR); None where the site says nothing of FedRAMP."""
    fedramp = assurance.site.get("fedramp")
    if fedramp is None:
        return None
    records = {record.id: record for record in assurance.controls}
    parameters = assurance.definition["ato"].get("parameters") or {}
    return {
        "certificationPackageOverviewUri": fedramp["overview_uri"],
        "portsAndProtocols": [_port(text) for text in assurance.site.get("ports", ())],
        "securityControls": [_control(record, parameters) for record in assurance.controls],
        "fedRampRequirements": [
            {"frrID": identifier, "frrImplementation": [f"Attested by the provider: {text}"]}
            for identifier, text in sorted(fedramp["requirements"].items())
        ],
        "keySecurityIndicators": list(_indicators(records, assurance)),
    }


def _contact(contact: Mapping[str, str]) -> dict[str, str]:
    told = {"contactType": contact["kind"], "contactName": contact["name"], "contactEmail": contact["email"]}
    return {**told, "contactPhone": contact["phone"]} if contact.get("phone") else told


def _port(text: str) -> dict[str, str]:
    protocol, _, number = text.rpartition("/")
    return {"transportProtocol": protocol.upper(), "portNumber": number} if protocol else {"portNumber": text}


def status_of(record: ControlRecord) -> str | None:
    """Rule 2."""
    if record.origin in _UNANSWERED:
        return None
    if record.origin == "unassigned" or record.result == "not satisfied":
        return "Not Implemented"
    return "Partially Implemented" if record.result == "not checked" else "Implemented"


def _control(record: ControlRecord, parameters: Mapping[str, str]) -> dict[str, Any]:
    status = status_of(record)
    told: dict[str, Any] = {
        "controlId": name_of(record.id),
        "controlImplementationDescription": described(record),
    }
    chosen = {key: value for key, value in parameters.items() if control_of(key) == record.id}
    if chosen:
        told["parameterValues"] = [
            {"parameterId": key, "parameterValue": value} for key, value in sorted(chosen.items())
        ]
    return told if status is None else {**told, "controlImplementationStatus": status}


def described(record: ControlRecord) -> str:
    """What is said of a control, in one text."""
    parts = [one.text for one in record.said]
    if record.provider:
        parts.append(f"Answered for by {record.provider}.")
    if record.reason:
        parts.append(f"{record.origin.capitalize()}: {record.reason}.".replace("..", "."))
    return " ".join(parts) or "Nobody answers for this control yet."


def _indicators(records: Mapping[str, ControlRecord], assurance: Assurance) -> Iterator[dict[str, Any]]:
    evidence = assurance.evidence
    for identifier, (name, controls) in INDICATORS.items():
        own = [records[control] for control in controls if control in records]
        seen = [record for record in own if record.evidence]
        if not seen:
            continue  # rule 4
        cited = [evidence[one] for one in dict.fromkeys(key for record in seen for key in record.evidence)
                 if one in evidence]  # fmt: skip
        statuses = {status_of(record) for record in own if record.origin not in _UNANSWERED}
        status = statuses.pop() if len(statuses) == 1 else "Partially Implemented"
        yield {
            "ksiId": identifier,
            "ksiImplementationStatus": status,
            "ksiImplementation": [f"{name}. {name_of(record.id)}: {described(record)}" for record in seen],
            "ksiValidation": [f"{one.title}: {one.outcome}." for one in cited],
            "ksiAssessment": [],  # rule 3
            "ksiTests": list(dict.fromkeys(one.command for one in cited)),
            "ksiEvidence": [_cited(one, assurance.digest_of(one)) for one in cited],
        }


def _cited(evidence: Evidence, sha256: str) -> dict[str, str]:
    return {
        "evidenceType": "Audit Record",
        "evidenceDescription": f"{evidence.title}: {evidence.outcome}, sha256 {sha256}",
        "evidenceLocation": f"file:evidence/{evidence.id}.json",
        "lastUpdated": evidence.at.date().isoformat(),
    }
