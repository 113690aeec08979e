"""Every document of a deployment, made from the same sources at the same moment."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import get_args

from fielded.decisions.assurance.documents import Document
from fielded.decisions.assurance.statements import Sources
from fielded.definition.deployment import Deployment
from fielded.definition.prose import DocumentName, Prose, read_prose
from fielded.services.documents import (
    data_flow,
    model_card,
    monitoring_plan,
    provenance,
    rai,
    runbook,
)

NAMES = (
    model_card.NAME,
    rai.NAME,
    provenance.NAME,
    monitoring_plan.NAME,
    runbook.NAME,
    data_flow.NAME,
)


def prose_of(deployment: Deployment) -> Mapping[str, Prose]:
    """What people wrote for each document that the definition names a file of, and that people write in.

    Raises:
        DefinitionError: a file is missing, or wrong.
    """
    known = get_args(DocumentName)
    return MappingProxyType({
        name: read_prose(deployment.folder / file, name)
        for name, file in deployment.ato.documents.items()
        if name in known
    })  # fmt: skip


def documents_of(sources: Sources, prose: Mapping[str, Prose], as_of: datetime) -> dict[str, Document]:
    """Every document by its name, in the order of `NAMES`.

    Args:
        sources: evidence by id, `definition`, `site`: see `values.sources_of`.
        prose: see `prose_of`.
        as_of: UTC; when the newest of what they rest on was put on record.
    """
    return {
        model_card.NAME: model_card.model_card(sources, prose.get(model_card.NAME), as_of),
        rai.NAME: rai.rai_assessment(sources, prose.get(rai.NAME), as_of),
        provenance.NAME: provenance.provenance(sources, as_of),
        monitoring_plan.NAME: monitoring_plan.monitoring_plan(sources, prose.get(monitoring_plan.NAME), as_of),
        runbook.NAME: runbook.runbook(sources, prose.get(runbook.NAME), as_of),
        data_flow.NAME: data_flow.data_flow(sources, as_of),
    }
