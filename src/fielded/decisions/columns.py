"""The population's columns against what the definition names."""

import pyarrow as pa

from fielded.decisions.conversion import readable_as
from fielded.decisions.rules import ARROW_TYPES
from fielded.definition.deployment import Deployment
from fielded.words.errors import DefinitionError, Finding


def check_columns(deployment: Deployment, schema: pa.Schema) -> None:
    """The population has the subject and every feature, in types that can be read.

    Raises:
        DefinitionError: all that it lacks.
    """
    findings = column_findings(deployment, schema)
    if findings:
        raise DefinitionError(findings)


def column_findings(deployment: Deployment, schema: pa.Schema) -> list[Finding]:
    """What the population lacks."""
    where = deployment.population.query
    findings = []
    if deployment.subject not in schema.names:
        got = f"columns {', '.join(schema.names)}"
        findings.append(Finding(where, deployment.subject, got, "a column for the subject"))
    elif not _names_things(schema.field(deployment.subject).type):
        got = str(schema.field(deployment.subject).type)
        findings.append(Finding(where, deployment.subject, got, "text or a whole number", "Cast it in the query"))
    for name, rule in deployment.features.items():
        if name not in schema.names:
            findings.append(Finding(where, name, "no such column", f"a column for the feature, {rule.type}"))
        elif not readable_as(schema.field(name).type, ARROW_TYPES[rule.type]):
            got = str(schema.field(name).type)
            findings.append(Finding(where, name, got, f"a type that reads as {rule.type}"))
    return findings


def _names_things(found: pa.DataType) -> bool:
    """Types with one text for each value. A float or a timestamp is written in several ways."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    return bool(pa.types.is_integer(found) or readable_as(found, pa.string()))


def gold_subject_type(found: pa.DataType) -> pa.DataType:
    """The gold table's type for a subject: whole numbers stay numbers where Delta has them, all else is text."""
    return pa.int64() if pa.types.is_integer(found) and found != pa.uint64() else pa.string()
