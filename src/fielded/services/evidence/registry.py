"""Every collector of evidence, by the id of what it makes: all that `fielded` can collect."""

from collections.abc import Mapping
from types import MappingProxyType

from fielded.decisions.assurance.collector import Collector
from fielded.decisions.readiness.items import ITEMS
from fielded.services.evidence import (
    audit_probe,
    credentials,
    evaluation,
    kickoff,
    model_card,
    monitoring_owner,
    rai_assessment,
    release_reviews,
    retraining_trigger,
    review_path,
    rollback,
    threshold,
    training_data,
)
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.every import CONTROL_COLLECTORS
from fielded.words.errors import WrongUse

_ALL: tuple[Collector[Bench], ...] = (
    kickoff.COLLECTOR,
    model_card.COLLECTOR,
    rai_assessment.COLLECTOR,
    training_data.COLLECTOR,
    credentials.COLLECTOR,
    audit_probe.COLLECTOR,
    threshold.COLLECTOR,
    review_path.COLLECTOR,
    monitoring_owner.COLLECTOR,
    retraining_trigger.COLLECTOR,
    rollback.COLLECTOR,
    release_reviews.COLLECTOR,
    evaluation.COLLECTOR,
    *CONTROL_COLLECTORS,
)

COLLECTORS: Mapping[str, Collector[Bench]] = MappingProxyType({one.id: one for one in _ALL})


def collector_of(evidence_id: str) -> Collector[Bench]:
    """What collects an evidence.

    Raises:
        WrongUse: nothing does; says what is collected.
    """
    found = COLLECTORS.get(evidence_id)
    if found is None:
        raise WrongUse(f"evidence: got {evidence_id}, expected one of: {', '.join(COLLECTORS)}")
    return found


def command_of(evidence_id: str) -> str:
    """What a person runs to collect an evidence again."""
    number = next((item.number for item in ITEMS if item.key == evidence_id), None)
    return f"fielded ato collect --evidence {evidence_id}" if number is None else f"fielded ready --item {number}"
