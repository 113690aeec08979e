"""What documents say of the watch: who answers, what asks for retraining, when people look, and the way back.

Model card, RAI assessment, monitoring plan and runbook say the same, from the same evidence.
"""

from fielded.decisions.assurance.documents import Block
from fielded.services.documents.values import DEFINITION
from fielded.services.documents.writing import Column, Writer, paragraph

TRIGGERS = "retraining-trigger"
_REVIEWS = "release-reviews"


def owner(writer: Writer) -> tuple[Block, ...]:
    """The person, and that he knows."""
    return (
        paragraph(
            writer.say(
                "{name} ({email}) watches the model and answers its alarms.",
                name=f"{DEFINITION}#/people/monitoring_owner/name",
                email=f"{DEFINITION}#/people/monitoring_owner/email",
            ),
            writer.say("{name} has acknowledged this.", "monitoring-owner",
                       name=f"{DEFINITION}#/people/monitoring_owner/name"),
        ),
    )  # fmt: skip


def triggers(writer: Writer) -> tuple[Block, ...]:
    """Metrics with numbers that ask for retraining, and how often chance alone would fire them."""
    return (
        writer.table("What asks for retraining", f"{TRIGGERS}#/facts/triggers", (
            Column(title="Trigger", at="id"),
            Column(title="Metric", at="metric"),
            Column(title="Breach", at="when"),
            Column(title="Rows, at least", at="min_sample", template="{it:,}"),
            Column(title="Fires after", at="breaches"),
            Column(title="False alarms a year, simulated",
                   at={"alarms": "simulated/alarms_a_year", "years": "simulated/years"},
                   template="{alarms:.2g} in {years:,} years", optional=True),
            Column(title="Follows", at="then"),
        )),
        paragraph(
            writer.say(
                "The monitor last looked up to {day:.10}, at version {version}.",
                day=f"{TRIGGERS}#/facts/looked_as_of",
                version=f"{TRIGGERS}#/facts/model_version",
            ),
            writer.say(
                "A request to retrain may stay open for {days} days.", days=f"{TRIGGERS}#/facts/request_due_days"
            ),
        ),
    )  # fmt: skip


def reviews(writer: Writer) -> tuple[Block, ...]:
    """When people look at it whether anything fired or not."""
    return (
        paragraph(
            writer.say(
                "It is reviewed {days} days after each promotion; a review may stay open for {due} days.",
                days=f"{_REVIEWS}#/facts/days",
                due=f"{_REVIEWS}#/facts/due_days",
            ),
        ),
        writer.table("Reviews on record", f"{_REVIEWS}#/facts/reviews", (
            Column(title="Review", at="id"),
            Column(title="Opens", at="opens"),
            Column(title="Due", at="due"),
            Column(title="Owner", at="owner"),
            Column(title="State", at="state"),
        )),
    )  # fmt: skip


def way_back(writer: Writer) -> tuple[Block, ...]:
    """The version before, and how long a rollback took when it was rehearsed."""
    return (
        paragraph(
            writer.say(
                "The way back goes to version {version}, whose files have the SHA-256 {sha256}.",
                version="rollback#/facts/previous/version",
                sha256="rollback#/facts/previous/sha256",
            ),
            writer.say(
                "It was rehearsed on {day:.10}: all workers followed after {seconds:.1f} seconds, of {limit:g} "
                "allowed.",
                day="rollback#/facts/drill/at",
                seconds="rollback#/facts/drill/seconds/all_followed",
                limit="rollback#/facts/drill/limit_seconds",
            ),
        ),
    )
