"""The rollback runbook (CP-10, IR-4): when, who, the command, and what the last rehearsal took."""

from datetime import datetime

from fielded.decisions.assurance.documents import Block, Document, Section, Table
from fielded.decisions.assurance.statements import Sources
from fielded.definition.prose import Prose
from fielded.services.documents.monitoring_parts import way_back
from fielded.services.documents.values import DEFINITION, SITE
from fielded.services.documents.writing import Writer, paragraph

NAME = "runbook"
TITLE = "Rollback runbook"

_STEPS = (
    ("fielded release status", "see what is in production, what a rollback goes to, and whether anything is open"),
    ("fielded rollback -m REASON", "put the version before back into production; it needs the role of a releaser"),
    ("fielded release status", "see that the aliases and all workers followed"),
    (
        "fielded score --as-of DAY",
        "publish a day again by the version that is in production now",
    ),
    ("fielded audit verify", "see that the ledger is whole"),
)


def runbook(sources: Sources, prose: Prose | None, as_of: datetime) -> Document:
    """The runbook for what is in production.

    Args:
        sources: evidence by id, `definition`, `site`.
        prose: what people wrote for it; None where nobody did.
        as_of: UTC.
    """
    writer = Writer(sources, prose, as_of)
    return writer.document(NAME, TITLE, (
        writer.limits(),
        Section("1", "When to roll back", writer.written("when") or _unwritten(writer)),
        Section("2", "Who decides", (*_who(writer), *writer.written("who"))),
        Section("3", "Steps", (_commands(), *writer.written("steps"))),
        Section("4", "What it goes back to, and how long it took", (*way_back(writer), *_drill(writer))),
        Section("5", "Afterwards", (*_afterwards(writer), *writer.written("afterwards"))),
    ))  # fmt: skip


def _unwritten(writer: Writer) -> tuple[Block, ...]:
    return (paragraph(writer.say("When to roll back: {text}.", text=f"{NAME}#/when")),)


def _who(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say("{name} answers for the model.", name=f"{DEFINITION}#/people/model_owner/name"),
            writer.say("{name} answers for its security.", name=f"{DEFINITION}#/people/isso/name"),
            writer.say("Somebody has the role that a rollback takes.", "rollback"),
        ),
    )


def _commands() -> Table:
    return Table(caption="Commands, in their order", columns=("Command", "What it is for"), rows=_STEPS)


def _drill(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "In the rehearsal {requests:,} requests were answered by {workers} workers while it ran, and "
                "{failed} failed.",
                requests="rollback#/facts/drill/requests",
                workers="rollback#/facts/drill/workers",
                failed="rollback#/facts/drill/failed",
            ),
            writer.say(
                "The version before replayed {rows:,} recorded rows to the last bit when this was collected.",
                rows="rollback#/facts/replayed_now",
            ),
        ),
    )


def _afterwards(writer: Writer) -> tuple[Block, ...]:
    return (paragraph(writer.say("An incident is reported to: {path}.", path=f"{SITE}#/incident_path")),)
