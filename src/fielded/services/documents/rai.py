"""The RAI assessment: DoD's five principles against the four functions of the NIST AI RMF 1.0.

Each of the twenty parts has what was computed from evidence and what people wrote. The assessment is of one
version, its training data and the definition; `services.evidence.rai_assessment` says when it is over.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from fielded.decisions.assurance.documents import Block, Document, Section
from fielded.decisions.assurance.statements import Said, Sources
from fielded.definition.prose import FUNCTIONS, PRINCIPLES, Prose
from fielded.services.documents.monitoring_parts import owner, reviews, triggers, way_back
from fielded.services.documents.training_parts import training_data
from fielded.services.documents.values import DEFINITION
from fielded.services.documents.writing import Column, Writer, paragraph

NAME = "rai_assessment"
TITLE = "Responsible AI assessment"

_GATES = f"{DEFINITION}#/release/gates"
_PROBE = "audit-probe#/facts"

Part = Callable[[Writer], tuple[Block, ...]]


def rai_assessment(sources: Sources, prose: Prose | None, as_of: datetime) -> Document:
    """The assessment of what is in production.

    Args:
        sources: evidence by id, `definition`, `site`.
        prose: what people wrote for it; None where nobody did.
        as_of: UTC.
    """
    writer = Writer(sources, prose, as_of)
    sections = [writer.limits(), Section("A", "Who assesses, and what", _about(writer))]
    for number, principle in enumerate(PRINCIPLES, start=1):
        sections.append(Section(str(number), principle.capitalize(), ()))
        for place, function in enumerate(FUNCTIONS, start=1):
            part = f"{principle}_{function}"
            title = f"{principle.capitalize()}: {function}"
            sections.append(Section(f"{number}.{place}", title, (*_COMPUTED[part](writer), *writer.written(part))))
    return writer.document(NAME, TITLE, sections)


def _about(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say("{approver} approves this assessment.", approver=f"{DEFINITION}#/people/rai_approver/name"),
            writer.say(
                "It is {state}: {by} stands for it until {until}.",
                state="rai-assessment#/facts/state",
                by="rai-assessment#/facts/by",
                until="rai-assessment#/facts/until",
            ),
            writer.say(
                "It is about version {version} of {model}, its training data and the definition with SHA-256 "
                "{sha256}.",
                version="evaluation#/scope/model_version",
                model=f"{DEFINITION}#/model/name",
                sha256=f"{DEFINITION}#/sha256",
            ),
        ),
    )


def _responsible_govern(writer: Writer) -> tuple[Block, ...]:
    roles = {"model_owner": "the model", "monitoring_owner": "its monitoring", "isso": "its security"}
    said = [
        writer.say(f"{{name}} answers for {what}.", name=f"{DEFINITION}#/people/{role}/name")
        for role, what in roles.items()
    ]
    asked = writer.say(
        "A version goes into production when {approvals} people approve, none of whom proposed it.",
        approvals=f"{DEFINITION}#/release/approvals",
    )
    return (paragraph(*said, asked),)


def _responsible_map(writer: Writer) -> tuple[Block, ...]:
    impact = writer.say("High-impact AI in the sense of OMB M-25-21: {it}.", it=f"{DEFINITION}#/ato/high_impact")
    return (paragraph(writer.say("{purpose}", purpose=f"{DEFINITION}#/purpose"), impact),)


def _responsible_measure(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "{reviewers} identities may decide cases; people have decided {decided:,} so far.",
                reviewers="review-path#/facts/reviewers",
                decided="review-path#/facts/decided_ever",
            ),
            writer.say(
                "{waiting:,} cases wait, {overdue:,} of them past their due time of {hours:g} hours.",
                waiting="review-path#/facts/waiting",
                overdue="review-path#/facts/overdue",
                hours="review-path#/facts/due_hours",
            ),
        ),
    )


def _responsible_manage(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "A score from {low} to {high} is decided by a person; a probe with such a score was found in the "
                "queue.",
                "review-path",
                low=f"{DEFINITION}#/decision/review_band/0",
                high=f"{DEFINITION}#/decision/review_band/1",
            ),
        ),
    )


def _equitable_govern(writer: Writer) -> tuple[Block, ...]:
    if not writer.value(f"{_GATES}/fairness"):
        return (paragraph(writer.say("The definition chooses no gate on fairness.", DEFINITION)),)
    return (
        paragraph(
            writer.say(
                "A candidate whose lowest rate of flags is less than {parity} of its highest is stopped, and one "
                "whose rates of true or of false positives lie further apart than {odds}, until somebody other "
                "than its proposer waives it with a reason and an end.",
                parity=f"{_GATES}/fairness/demographic_parity",
                odds=f"{_GATES}/fairness/equalized_odds",
            ),
        ),
    )


def _equitable_map(writer: Writer) -> tuple[Block, ...]:
    if not writer.value(f"{DEFINITION}#/slices"):
        return (paragraph(writer.say("The definition names no groups to compare.", DEFINITION)),)
    return (paragraph(writer.say("Groups are compared by {slices}.", slices=f"{DEFINITION}#/slices")),)


def _equitable_measure(writer: Writer) -> tuple[Block, ...]:
    return (
        writer.table("Ratios between groups and features that stand for one", "evaluation#/facts/fairness", (
            Column(title="Measured", at="item"),
            Column(title="Value", at="value", template="{it:.3f}", optional=True),
            Column(title="Limit", at="limit", template="{it:g}", optional=True),
            Column(title="Outcome", at="outcome"),
        )),
    )  # fmt: skip


def _equitable_manage(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "A share of {share} of the scores that nobody would look at is drawn by chance and shown to a "
                "reviewer.",
                share=f"{DEFINITION}#/review/audit_share",
            ),
        ),
    )


def _traceable_govern(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "Each row names the definition by its SHA-256, now {sha256}.", sha256=f"{DEFINITION}#/sha256"
            ),
        ),
    )


def _traceable_measure(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "Subject {batch}, scored by batch, and subject {api}, scored by the API, were both found in the "
                "ledger and replayed to the last bit.",
                "audit-probe",
                batch=f"{_PROBE}/batch/subject",
                api=f"{_PROBE}/api/subject",
            ),
            writer.say(
                "The seals over {rows:,} rows were verified, with {findings} findings.",
                rows=f"{_PROBE}/rows",
                findings=f"{_PROBE}/findings",
            ),
        ),
    )


def _traceable_manage(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say("On a copy of the ledger an edited row and a deleted one were found.", "audit-probe"),
            writer.say("Without a journal the API gave no score.", "audit-probe"),
        ),
    )


def _reliable_govern(writer: Writer) -> tuple[Block, ...]:
    chosen = [
        name for name in ("performance", "shift", "calibration", "budget") if writer.value(f"{_GATES}/{name}")
    ]
    if not chosen:
        return (
            paragraph(writer.say("The definition chooses no gate on how well a candidate scores.", DEFINITION)),
        )
    said = [
        writer.say(
            "A comparison with production counts for {days} days.",
            days=f"{DEFINITION}#/release/comparison_max_age_days",
        )
    ]
    said += [
        writer.say(f"A candidate passes the gate {name}, or somebody answers for a waiver.", DEFINITION)
        for name in chosen
    ]
    return (paragraph(*said),)


def _reliable_map(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "It was measured on {rows:,} rows whose outcome is known, with {events:,} events.",
                rows="evaluation#/facts/rows/all",
                events="evaluation#/facts/overall/events",
            ),
        ),
    )


def _reliable_measure(writer: Writer) -> tuple[Block, ...]:
    def measured(what: str, metric: str) -> Said:
        places = {end: f"evaluation#/facts/overall/{metric}/{end}" for end in ("value", "low", "high")}
        return writer.say(f"{what}: {{value:.3f}} ({{low:.3f}} to {{high:.3f}}).", **places)

    return (
        paragraph(
            measured("Area under the ROC curve", "auc"),
            measured("Brier score", "brier"),
            measured("Mean score less the share of events", "calibration"),
        ),
    )


def _governable_govern(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say("A runbook says how to go back, and somebody stands for it.", "rollback"),
            writer.say(
                "A rehearsal of it counts for {days} days.", days=f"{DEFINITION}#/release/drill_max_age_days"
            ),
        ),
    )


def _governable_map(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "A row that breaks a rule is not scored, and a run in which more than a share of {limit} does "
                "stops.",
                limit=f"{DEFINITION}#/batch/quarantine_limit",
            ),
            writer.say(
                "A number outside the range of the training data leads to: {outside}.",
                outside=f"{DEFINITION}#/review/outside_training",
            ),
        ),
    )


_COMPUTED: Mapping[str, Part] = {
    "responsible_govern": _responsible_govern,
    "responsible_map": _responsible_map,
    "responsible_measure": _responsible_measure,
    "responsible_manage": _responsible_manage,
    "equitable_govern": _equitable_govern,
    "equitable_map": _equitable_map,
    "equitable_measure": _equitable_measure,
    "equitable_manage": _equitable_manage,
    "traceable_govern": _traceable_govern,
    "traceable_map": training_data,
    "traceable_measure": _traceable_measure,
    "traceable_manage": _traceable_manage,
    "reliable_govern": _reliable_govern,
    "reliable_map": _reliable_map,
    "reliable_measure": _reliable_measure,
    "reliable_manage": lambda writer: (*owner(writer), *reviews(writer)),
    "governable_govern": _governable_govern,
    "governable_map": _governable_map,
    "governable_measure": way_back,
    "governable_manage": triggers,
}
