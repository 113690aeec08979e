"""What documents say of the data that a model learned from; the model card and the provenance record alike."""

from fielded.decisions.assurance.documents import Block
from fielded.services.documents.values import DEFINITION
from fielded.services.documents.writing import Column, Writer, paragraph

SOURCE = "training-data"


def training_data(writer: Writer) -> tuple[Block, ...]:
    """Tables with versions, rows, content and period, by the registry's own record."""
    return (
        paragraph(
            writer.say(
                "Version {version} learned from {rows:,} rows, whose content has the SHA-256 {sha256}.",
                version=f"{SOURCE}#/scope/model_version",
                rows=f"{SOURCE}#/facts/rows",
                sha256=f"{SOURCE}#/facts/content_sha256",
            ),
            writer.say(
                "The rows are from {first} to {last}: no outcome of a subject scored until then counts for it.",
                first=f"{SOURCE}#/facts/period/first",
                last=f"{SOURCE}#/facts/period/last",
            ),
        ),
        writer.table("Tables that it learned from", f"{SOURCE}#/facts/tables", (
            Column(title="Table", at="table"),
            Column(title="Delta version", at="version"),
            Column(title="Rows of that version now", at="rows", template="{it:,}", optional=True),
        )),
    )  # fmt: skip


def features(writer: Writer) -> Block:
    """The features that rows of training and of production have alike."""
    return writer.table("Features", f"{DEFINITION}#/features", (
        Column(title="Feature", at="name"),
        Column(title="Type", at="type"),
        Column(title="Unit", at="unit", optional=True),
    ))  # fmt: skip
