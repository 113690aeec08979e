"""The provenance record: which bytes are in production, and what they learned from (SR-4, MAP 4.1)."""

from datetime import datetime

from fielded.decisions.assurance.documents import Document, Section
from fielded.decisions.assurance.statements import Sources
from fielded.services.documents.training_parts import SOURCE, features, training_data
from fielded.services.documents.values import DEFINITION
from fielded.services.documents.writing import Column, Writer, paragraph

NAME = "provenance"
TITLE = "Provenance record"


def provenance(sources: Sources, as_of: datetime) -> Document:
    """The record of what is in production.

    Args:
        sources: evidence by id, `definition`, `site`.
        as_of: UTC.
    """
    writer = Writer(sources, None, as_of)
    model = paragraph(
        writer.say(
            "In production is version {version} of {model}; its files have the SHA-256 {sha256}.",
            version=f"{SOURCE}#/scope/model_version",
            model=f"{DEFINITION}#/model/name",
            sha256=f"{SOURCE}#/scope/artifact_sha256",
        ),
        writer.say("The definition has the SHA-256 {sha256}.", sha256=f"{DEFINITION}#/sha256"),
        writer.say(
            "The version before it is {version}, with files of the SHA-256 {sha256}.",
            version="rollback#/facts/previous/version",
            sha256="rollback#/facts/previous/sha256",
        ),
    )
    inputs = writer.table("Input data sets of the training run, by the registry", f"{SOURCE}#/facts/datasets", (
        Column(title="Data set", at="name"),
        Column(title="Source", at="source"),
    ))  # fmt: skip
    lineage = paragraph(
        writer.say("Lineage is taken from {lineage}.", lineage=f"{SOURCE}#/facts/lineage"),
    )
    asked = writer.table("What was asked of this record", f"{SOURCE}#/checks", (
        Column(title="Asked", at="name"),
        Column(title="Result", at="outcome"),
        Column(title="Got", at="got"),
        Column(title="Expected", at="expected"),
    ))  # fmt: skip
    return writer.document(NAME, TITLE, (
        writer.limits(),
        Section("1", "The model", (model,)),
        Section("2", "What it learned from", training_data(writer)),
        Section("3", "How that is known", (inputs, lineage, asked)),
        Section("4", "What it is given", (features(writer),)),
    ))  # fmt: skip
