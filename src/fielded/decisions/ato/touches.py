"""What each kind of change touches of the authorization, and what it asks of people.

1. A subject is what was changed. Each names the evidence to collect again, the documents to read again, the
   controls to look at, and questions that no machine answers.
2. Questions are those of SP 800-37 rev. 2 on significant change, put to the subjects that raise them: whether a
   change is significant is for the authorizing official to say, so none of them is answered here.
3. FedRAMP's words for a change (routine recurring, adaptive, transformative) are asked for, never chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Asked once, whatever changed, as soon as something did.
QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "posture": "Is it likely to change the security or privacy posture, so that it is a significant change?",
        "impact": "Was its impact analysed before it was made (CM-4), and where is that analysis kept?",
        "data": "Does the system now read, keep or send other kinds of information, or from other sources?",
        "categorization": "Does the impact of a loss change, so that the categorization has to be made again?",
        "boundary": "Does the boundary, a connection across it, a port, a protocol or a service change?",
        "cryptography": "Does a cryptographic module, a key or who holds it change?",
        "people": "Does somebody get a role beside one that it must be kept apart from (AC-5)?",
        "users": "Do those who use or are judged by the scores have to be told?",
        "risk": "Is a risk accepted by it, by whom, and until when?",
        "incident": "Was it an incident that has to be reported, and was it?",
        "supply": "Does it bring in software or data of another supplier, and was that looked at (SR-3)?",
        "assessor": "Does an independent assessor have to look at the controls that it touches before it counts?",
        "fedramp": "Where FedRAMP's rules apply: is it routine recurring, adaptive or transformative, and why?",
    }
)

_ALWAYS = ("posture", "impact", "assessor", "fedramp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """What a change of one subject touches.

    Attributes:
        title: what was changed, in words.
        evidence: ids to collect again.
        documents: names of documents to read again.
        controls: ids to look at.
        asks: keys of `QUESTIONS`.
    """

    title: str
    evidence: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


_CARD, _RAI, _PLAN, _RUNBOOK = "model_card", "rai_assessment", "monitoring_plan", "runbook"
_PROVENANCE, _FLOW = "provenance", "data_flow"

# What is in production is another: all that was seen of the model was seen of another.
_OF_THE_MODEL = (
    "evaluation", "threshold", "training-data", "audit-probe", "review-path", "retraining-trigger", "rollback",
    "release-reviews", "model-card", "rai-assessment",
)  # fmt: skip

TOUCHES: Mapping[str, Touch] = MappingProxyType(
    {
        "promotion": Touch(
            title="another version of the model is in production",
            evidence=_OF_THE_MODEL,
            documents=(_CARD, _RAI, _PROVENANCE, _PLAN),
            controls=("ca-7", "cm-3", "cm-4", "cm-5", "ra-3", "sa-10", "sa-11", "si-7", "sr-4"),
            asks=(*_ALWAYS, "data", "users", "supply"),
        ),
        "rollback": Touch(
            title="production went back to the version before",
            evidence=_OF_THE_MODEL,
            documents=(_CARD, _RAI, _PROVENANCE, _RUNBOOK),
            controls=("cm-3", "cp-10", "ir-4", "ir-6", "si-2", "si-7"),
            asks=("posture", "users", "incident", "assessor", "fedramp"),
        ),
        "alarm": Touch(
            title="a trigger of the watch fired",
            evidence=("evaluation", "retraining-trigger", "release-reviews"),
            documents=(_CARD, _RAI, _PLAN),
            controls=("ca-7", "ir-5", "ra-3", "si-4"),
            asks=("posture", "users", "incident", "risk"),
        ),
        "drill": Touch(
            title="a rollback was drilled",
            evidence=("rollback",),
            documents=(_RUNBOOK,),
            controls=("cp-4", "cp-10", "ir-4"),
        ),
        "drill failed": Touch(
            title="a drill of a rollback failed",
            evidence=("rollback",),
            documents=(_RUNBOOK,),
            controls=("ca-5", "cp-4", "cp-10", "ir-4"),
            asks=("posture", "risk"),
        ),
        "waiver": Touch(
            title="something that did not hold was set aside",
            controls=("ca-5", "ca-7", "ra-7"),
            asks=("risk",),
        ),
        "meddling": Touch(
            title="the registry was changed by somebody else",
            evidence=("audit-probe", "rollback", "training-data"),
            documents=(_PROVENANCE,),
            controls=("au-6", "cm-3", "cm-5", "ir-4", "ir-6", "si-7"),
            asks=("posture", "incident", "assessor"),
        ),
        "signature": Touch(
            title="somebody stands for a document anew",
            evidence=("model-card", "rai-assessment", "rollback"),
            controls=("pl-2",),
        ),
        "fielded": Touch(
            title="another version of fielded runs here",
            evidence=("audit-probe", "credentials", "rollback"),
            controls=("cm-2", "cm-3", "cm-4", "cm-8", "ra-5", "sa-10", "sa-11", "si-2", "sr-3", "sr-4"),
            asks=(*_ALWAYS, "cryptography", "supply"),
        ),
        "definition": Touch(
            title="the definition is another",
            evidence=("model-card", "rai-assessment"),
            documents=(_CARD, _RAI),
            controls=("cm-2", "cm-3", "cm-4", "cm-6", "pl-2"),
            asks=_ALWAYS,
        ),
        "definition.purpose": Touch(
            title="what the scores are for is another",
            documents=(_CARD, _RAI, _FLOW),
            controls=("pl-2", "ra-2", "ra-3"),
            asks=("posture", "categorization", "users"),
        ),
        "definition.features": Touch(
            title="what the model reads is another",
            evidence=("evaluation", "audit-probe", "training-data"),
            documents=(_CARD, _RAI, _PROVENANCE, _FLOW),
            controls=("cm-12", "ra-3", "si-10"),
            asks=("data", "categorization"),
        ),
        "definition.population": Touch(
            title="whom the model scores, or from which tables, is another",
            evidence=("evaluation", "audit-probe", "retraining-trigger"),
            documents=(_CARD, _RAI, _FLOW),
            controls=("cm-12", "ra-3", "si-10", "sr-4"),
            asks=("data", "categorization", "boundary", "users"),
        ),
        "definition.decision": Touch(
            title="the threshold, its rationale or the band is another",
            evidence=("threshold", "evaluation", "review-path"),
            documents=(_CARD, _RAI),
            controls=("ra-3",),
            asks=("users", "risk"),
        ),
        "definition.review": Touch(
            title="which scores a person decides, and how, is another",
            evidence=("review-path",),
            documents=(_CARD, _RAI),
            controls=("ac-5", "ra-3"),
            asks=("users", "risk"),
        ),
        "definition.release": Touch(
            title="what a version must pass before production is another",
            evidence=("evaluation", "threshold", "rollback"),
            documents=(_CARD, _RAI, _RUNBOOK),
            controls=("ac-5", "cm-3", "cm-5", "sa-11"),
            asks=("risk",),
        ),
        "definition.monitoring": Touch(
            title="what is watched, and from which number on somebody acts, is another",
            evidence=("retraining-trigger", "release-reviews", "monitoring-owner"),
            documents=(_CARD, _PLAN),
            controls=("ca-7", "si-4"),
            asks=("risk",),
        ),
        "definition.people": Touch(
            title="somebody else answers for it",
            evidence=("monitoring-owner", "release-reviews"),
            documents=(_CARD, _RAI, _PLAN, _RUNBOOK),
            controls=("ac-2", "ac-5", "ca-6", "ps-5"),
            asks=("people",),
        ),
        "definition.ato": Touch(
            title="what authorization is asked for is another",
            documents=(_RAI,),
            controls=("ca-6", "pl-2", "pl-10", "pl-11", "ra-2"),
            asks=("categorization", "boundary"),
        ),
        "definition.slices": Touch(
            title="the groups that are told apart are others",
            evidence=("evaluation", "retraining-trigger"),
            documents=(_CARD, _RAI),
            controls=("ra-3",),
            asks=("users",),
        ),
        "definition.batch": Touch(
            title="when a day is scored, or where its scores lie, is another",
            evidence=("audit-probe",),
            documents=(_FLOW,),
            controls=("cm-6", "cm-12"),
            asks=("data", "boundary"),
        ),
        "definition.model": Touch(
            title="the registered model, or its aliases, are others",
            evidence=_OF_THE_MODEL,
            documents=(_CARD, _RAI, _PROVENANCE, _PLAN, _RUNBOOK),
            controls=("cm-3", "sa-10", "si-7", "sr-4"),
            asks=("data", "users", "supply"),
        ),
        "site": Touch(
            title="the site is another",
            evidence=("credentials", "audit-probe"),
            documents=(_FLOW,),
            controls=("cm-2", "cm-3", "cm-4", "cm-6", "pl-2"),
            asks=_ALWAYS,
        ),
        "site.roles": Touch(
            title="who has which role is another",
            evidence=("review-path", "rollback"),
            controls=("ac-2", "ac-3", "ac-5", "ac-6"),
            asks=("people",),
        ),
        "site.identity": Touch(
            title="how callers are known is another",
            evidence=("audit-probe", "credentials"),
            documents=(_FLOW,),
            controls=("ac-2", "ac-3", "ia-2", "ia-5", "ia-8"),
            asks=("posture", "boundary", "cryptography"),
        ),
        "site.authorization": Touch(
            title="what the system stands on, or who answers for which control, is another",
            documents=(_FLOW,),
            controls=("ca-3", "ca-6", "pl-2", "sa-9"),
            asks=("boundary", "risk"),
        ),
        "site.api": Touch(
            title="how the API is served, its limits or its TLS, is another",
            evidence=("audit-probe",),
            documents=(_FLOW,),
            controls=("cm-7", "sc-5", "sc-8"),
            asks=("boundary", "cryptography"),
        ),
        "site.storage": Touch(
            title="where tables, journals or the registry lie is another",
            evidence=("audit-probe", "credentials", "rollback"),
            documents=(_FLOW,),
            controls=("au-4", "au-9", "cp-9", "cp-10", "sc-28"),
            asks=("data", "boundary", "cryptography"),
        ),
        "site.keys": Touch(
            title="the key that seals the ledger, or the keys that are believed, are others",
            evidence=("audit-probe",),
            controls=("au-9", "au-10", "sc-12", "sc-13"),
            asks=("cryptography",),
        ),
        "site.environment": Touch(
            title="the environment is another: development forgives what production does not",
            evidence=("credentials", "monitoring-owner"),
            controls=("cm-2", "cm-6", "ia-5"),
            asks=("posture", "boundary"),
        ),
        "site.watching": Touch(
            title="whom an alarm reaches, or what the watch reads, is another",
            evidence=("retraining-trigger",),
            documents=(_PLAN,),
            controls=("au-5", "ir-6", "si-4"),
            asks=("boundary",),
        ),
    }
)


def touch_of(subject: str) -> Touch:
    """What a subject touches; a part without an entry of its own touches what its whole does."""
    return TOUCHES.get(subject) or TOUCHES[subject.partition(".")[0]]
