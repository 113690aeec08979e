"""What the package says of one control, and what is weak: the one model behind OSCAL, FedRAMP's and eMASS's faces.

1. Each control of the chosen baseline, and each that is tailored in, has exactly one origin. One that nobody
   answers for is "unassigned", is counted, and is never left out.
2. Its result is of the evidence that it cites: satisfied only if all of it holds and is current. Inherited and
   organizational controls are "not checked" here: whoever answers for them has the evidence.
3. Independent fields (who assessed, whether it was accepted) stay empty here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from fielded.decisions.assurance.documents import Document
from fielded.decisions.assurance.evidence import Evidence, Outcome
from fielded.decisions.assurance.statements import Said

Origin = Literal["implemented", "shared", "inherited", "organization", "not applicable", "unassigned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How an assessor sees for himself (SP 800-53A).

    Attributes:
        examine: files and records to read.
        interview: roles to ask; never names.
        test: commands to run.
    """

    examine: tuple[str, ...] = ()
    interview: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRecord:
    """One control as the package has it.

    Attributes:
        id: `ac-2`, `ac-6.9`.
        title: of SP 800-53 rev. 5.
        family: `ac`.
        in_baseline: whether the chosen baseline has it; else it was tailored in, or added by an overlay.
        origin: rule 1.
        result: rule 2.
        said: sentences on how it is met; of what the code does and what was seen.
        evidence: ids that it cites.
        component: key of the component that implements it, `fielded`, a platform's name, `organization`.
        provider: who answers for it where that is not the system, with the authorization.
        reason: why it is not applicable, or why it was tailored in.
        code: files that implement it.
        tests: test files that show it.
        procedure: how to see for oneself.
    """

    id: str
    title: str
    family: str
    in_baseline: bool
    origin: Origin
    result: Outcome
    said: tuple[Said, ...] = ()
    evidence: tuple[str, ...] = ()
    component: str = ""
    provider: str = ""
    reason: str = ""
    code: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    procedure: Procedure = field(default_factory=Procedure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """What is not as it should be: an item of the plan of action and milestones (CA-5).

    Attributes:
        id: stable, made of what is weak: the same weakness has the same id in the next package.
        title: short.
        found: what was got and expected.
        controls: ids that it touches.
        evidence: ids that show it.
        step: what to do.
        since: day on which it was first seen, by the ledger.
        due: day by which the definition or the site wants it closed; None where nobody said.
        owner: role of the definition's `people` that answers for it.
    """

    id: str
    title: str
    found: str
    controls: tuple[str, ...]
    evidence: tuple[str, ...]
    step: str
    since: date
    due: date | None
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assurance:
    """All that a package says, before it has a face.

    Attributes:
        as_of: UTC; when the newest of what it rests on was put on record.
        definition: JSON values of the deployment, by `definition_values`.
        site: JSON values of the site's authorization and of what is public of the rest.
        evidence: by id, the last of each, as it counts for this scope.
        controls: of the baseline and beyond, by id in the catalog's order.
        weaknesses: open ones, by id.
        items: the twelve of readiness, JSON values.
        limits: page one: what this package does not show, and what is taken on another's word.
        documents: by their names, in the order in which they are read.
        plain: source -> JSON values, of the sources of sentences that are not evidence.
        recorded: evidence id -> SHA-256 of it as it is on record and in its file: what counts of it here may end
            earlier, and is no other evidence by that.
    """

    as_of: datetime
    definition: Mapping[str, Any]
    site: Mapping[str, Any]
    evidence: Mapping[str, Evidence]
    controls: tuple[ControlRecord, ...]
    weaknesses: tuple[Weakness, ...]
    items: tuple[Mapping[str, Any], ...]
    limits: tuple[Said, ...]
    documents: Mapping[str, Document]
    plain: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)

    def digest_of(self, evidence: Evidence) -> str:
        """SHA-256 of a piece of evidence, as its file in the package has it."""
        return self.recorded.get(evidence.id, evidence.sha256)
