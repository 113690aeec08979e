"""eMASS's face of the package: rows for the workbooks that people upload there.

1. Columns are named as eMASS's templates name them; which of them a template has is the template's business.
2. A narrative has at most 2,000 characters: a longer one ends at a sentence, and says where the rest stands.
3. Compliance, the tester and the date tested are an assessor's to say: they stay empty. What was seen here is in
   the text, as a self-check.
4. A weakness is one row of the plan of action and milestones, under its stable id.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fielded.decisions.assurance.controls import Assurance, ControlRecord, Weakness
from fielded.decisions.ato.baselines import name_of
from fielded.decisions.ato.fedramp import described

NARRATIVE = 2000  # characters that eMASS takes
_REST = " The rest is in the package's control matrix."

_STATUS: Mapping[str, str] = {
    "implemented": "Implemented",
    "shared": "Implemented",
    "inherited": "Inherited",
    "organization": "Planned",
    "not applicable": "Not Applicable",
    "unassigned": "Planned",
}
_DESIGNATION: Mapping[str, str] = {"inherited": "Common", "shared": "Hybrid", "organization": "Common"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows for one sheet.

    Attributes:
        name: of ours; a template may call it otherwise.
        columns: names as eMASS's templates have them.
        key: columns that a template must have, or it is another one.
        rows: texts, one for each column.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(assurance: Assurance) -> tuple[Sheet, ...]:
    """All sheets, in the order in which people fill them."""
    return (
        _controls(assurance),
        _results(assurance),
        _poam(assurance),
        _artifacts(assurance),
        _software(assurance),
    )


def narrative(text: str) -> str:
    """Rule 2."""
    if len(text) <= NARRATIVE:
        return text
    room = text[: NARRATIVE - len(_REST)]
    end = room.rfind(". ")
    return (room[: end + 1] if end > 0 else room) + _REST


def _controls(assurance: Assurance) -> Sheet:
    columns = (
        "Control Acronym", "Control Title", "Implementation Status", "Security Control Designation",
        "N/A Justification", "Implementation Narrative", "Responsible Entities",
    )  # fmt: skip
    rows = tuple(
        (
            name_of(record.id),
            record.title,
            # A control that is ours and did not hold, or could not be seen to, is planned and not implemented.
            "Planned" if _open(record) else _STATUS[record.origin],
            _DESIGNATION.get(record.origin, "System-Specific"),
            record.reason if record.origin == "not applicable" else "",
            narrative(described(record)),
            record.provider or ("fielded" if record.origin == "implemented" else ""),
        )
        for record in assurance.controls
    )
    return Sheet("Controls", columns, ("Control Acronym", "Implementation Status"), rows)


def _open(record: ControlRecord) -> bool:
    return record.origin in ("implemented", "shared") and record.result not in ("satisfied", "attested")


def _results(assurance: Assurance) -> Sheet:
    columns = ("Control Acronym", "Compliance Status", "Date Tested", "Tested By", "Test Results")
    rows = tuple(
        (name_of(record.id), "", "", "", narrative(_seen(record, assurance)))
        for record in assurance.controls
        if record.evidence
    )
    return Sheet("Test Results", columns, ("Control Acronym", "Test Results"), rows)


def _seen(record: ControlRecord, assurance: Assurance) -> str:
    parts = [f"Self-check, not an assessment: {record.result}."]
    for key in record.evidence:
        one = assurance.evidence.get(key)
        if one is None:
            parts.append(f"{key}: not collected.")
            continue
        held = sum(check.outcome == "held" for check in one.checks)
        parts.append(
            f"{one.title}: {one.outcome}, {held} of {len(one.checks)} checks held on {one.at:%Y-%m-%d}; again "
            f"with `{one.command}`; sha256 {assurance.digest_of(one)[:16]}."
        )
    return " ".join(parts)


def _poam(assurance: Assurance) -> Sheet:
    columns = (
        "POA&M Item ID", "Control Vulnerability Description", "Controls / APs", "Office/Org", "Security Checks",
        "Resources Required", "Scheduled Completion Date", "Milestone with Completion Dates",
        "Source Identifying Control Vulnerability", "Status", "Comments", "Recommendations",
    )  # fmt: skip
    rows = tuple(_poam_row(weakness) for weakness in assurance.weaknesses)
    return Sheet("POA&M", columns, ("Control Vulnerability Description", "Scheduled Completion Date"), rows)


def _poam_row(weakness: Weakness) -> tuple[str, ...]:
    due = "" if weakness.due is None else weakness.due.isoformat()
    return (
        weakness.id,
        narrative(f"{weakness.title}. {weakness.found}"),
        ", ".join(name_of(control) for control in weakness.controls),
        weakness.owner.replace("_", " "),
        ", ".join(weakness.evidence),
        "",
        due,
        narrative(f"{weakness.step} ({due})" if due else weakness.step),
        f"fielded, first seen on {weakness.since}",
        "Ongoing",
        "",
        narrative(weakness.step),
    )


def _artifacts(assurance: Assurance) -> Sheet:
    columns = ("Filename", "Name", "Type", "Category", "Description", "Controls")
    rows = tuple(
        (
            f"evidence/{one.id}.json",
            one.title,
            "Other",
            "Evidence",
            narrative(
                f"{one.outcome}, collected on {one.at:%Y-%m-%d} by {one.tool}; sha256 {assurance.digest_of(one)}"
            ),
            ", ".join(name_of(record.id) for record in assurance.controls if one.id in record.evidence),
        )
        for one in sorted(assurance.evidence.values(), key=lambda one: one.id)
    )
    return Sheet("Artifacts", columns, ("Filename", "Description"), rows)


def _software(assurance: Assurance) -> Sheet:
    columns = ("Software Vendor", "Software Name", "Version", "Software Type")
    return Sheet("Software", columns, ("Software Name", "Version"), tuple(_installed(assurance)))


def _installed(assurance: Assurance) -> Iterator[tuple[str, ...]]:
    """What the inventory saw; no row where there is none, for nobody knows what is installed then."""
    inventory = assurance.evidence.get("inventory")
    listed: Sequence[Mapping[str, str]] = [] if inventory is None else inventory.facts.get("distributions", [])
    for one in listed:
        yield one.get("vendor", ""), one["name"], one["version"], "Python distribution"
