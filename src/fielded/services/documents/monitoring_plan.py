"""The continuous monitoring plan (CA-7): what is watched, from which number on who acts, and how fast."""

from datetime import datetime

from fielded.decisions.assurance.documents import Block, Document, Section
from fielded.decisions.assurance.statements import Sources
from fielded.definition.prose import Prose
from fielded.services.documents.monitoring_parts import owner, reviews, triggers, way_back
from fielded.services.documents.values import DEFINITION, RECKONED, SITE
from fielded.services.documents.writing import Column, Writer, paragraph

NAME = "monitoring_plan"
TITLE = "Continuous monitoring plan"

_MONITORING = f"{DEFINITION}#/monitoring"


def monitoring_plan(sources: Sources, prose: Prose | None, as_of: datetime) -> Document:
    """The plan for what is in production.

    Args:
        sources: evidence by id, `definition`, `site`.
        prose: what people wrote for it; None where nobody did.
        as_of: UTC.
    """
    writer = Writer(sources, prose, as_of)
    return writer.document(NAME, TITLE, (
        writer.limits(*writer.written("limits")),
        Section("1", "Who watches", (*owner(writer), *writer.written("who"))),
        Section("2", "What is watched, and from which number on", (*_watched(writer), *writer.written("why"))),
        Section("3", "What asks for retraining", triggers(writer)),
        Section("4", "Labels", _labels(writer)),
        Section("5", "Reviews after promotion", reviews(writer)),
        Section("6", "Cases that people decide", _cases(writer)),
        Section("7", "Response", (*way_back(writer), *_incident(writer), *writer.written("response"))),
        Section("8", "Evidence that is collected again", _evidence(writer)),
    ))  # fmt: skip


def _watched(writer: Writer) -> tuple[Block, ...]:
    return (
        writer.table("Triggers", f"{_MONITORING}/triggers", (
            Column(title="Trigger", at="id"),
            Column(title="Metric", at="metric"),
            Column(title="Breach", at="when"),
            Column(title="Evaluations that must breach", at="breaches"),
            Column(title="Rows, at least", at="min_sample", template="{it:,}"),
            Column(title="Rows of the window", at="window/last", template="{it:,}"),
            Column(title="Chance of a false breach", at="significance/alpha", template="{it:g}", optional=True),
            Column(title="Follows", at="then"),
        ), "The definition names no trigger."),
    )  # fmt: skip


def _labels(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "The label of a score should have come after {maturity:g} days; metrics that need labels count "
                "only where a share of {share} has.",
                maturity=f"{_MONITORING}/labels/maturity",
                share=f"{_MONITORING}/labels/min_coverage",
            ),
        ),
    )


def _cases(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "A case is decided within {due:g} hours and expires after {expire:g}; a share of {second:g} is "
                "judged twice.",
                due=f"{DEFINITION}#/review/due_hours",
                expire=f"{DEFINITION}#/review/expire_hours",
                second=f"{DEFINITION}#/review/second_share",
            ),
            writer.say(
                "{waiting:,} cases wait now, {overdue:,} of them past their due time.",
                waiting="review-path#/facts/waiting",
                overdue="review-path#/facts/overdue",
            ),
        ),
    )


def _incident(writer: Writer) -> tuple[Block, ...]:
    return (paragraph(writer.say("An incident is reported to: {path}.", path=f"{SITE}#/incident_path")),)


def _evidence(writer: Writer) -> tuple[Block, ...]:
    return (
        writer.table("Evidence, with the command that collects it again", f"{RECKONED}#/evidence", (
            Column(title="Evidence", at="id"),
            Column(title="Result", at="outcome"),
            Column(title="Checks that held", at={"held": "held", "all": "checks"}, template="{held} of {all}"),
            Column(title="Collected on", at="collected_on"),
            Column(title="Holds until", at="until"),
            Column(title="Command", at="command"),
        )),
    )  # fmt: skip
