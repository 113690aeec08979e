"""The work of an authorization: its items, what each waits for, and how long it takes at least and at most.

1. Ranges of the first five items are the program's experience, as this project was given it. For the assessment
   and the decision nobody gave one: theirs are assumed, and every plan says so, until whoever does the work says
   better (`fielded ato estimate ITEM LOW..HIGH`).
2. The boundary is an item where it is new. A penetration test is one at Moderate and above: by the system's
   level, by the baseline that was chosen, or by an impact level of the DoD Cloud Computing SRG from IL4 on.
3. What waits for what: the boundary says what is documented, watched and tested. The model's own documents wait
   for nothing. An assessor wants all of it, and the authorizing official the assessor's results with the POA&M.
4. Steps are those of the RMF (NIST SP 800-37 rev. 2: the boundary is task P-11 of Prepare, the strategy for
   monitoring S-5 of Select). Phases are those of DoD's CSRMC (2025-09), by the steps that each takes over: Design
   is Prepare, Categorize and Select; Build is Implement; Test is Assess; Onboard is Authorize; Operations is
   Monitor, which begins where the plan ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from fielded.definition.ato import Ato, Baseline

Step = Literal["Prepare", "Categorize", "Select", "Implement", "Assess", "Authorize", "Monitor"]
Phase = Literal["Design", "Build", "Test", "Onboard", "Operations"]

WEEK = 7  # days
_GIVEN = "experience"
_ASSUMED = "assumed"

# Rule 4.
PHASES: Mapping[Step, Phase] = MappingProxyType(
    {
        "Prepare": "Design",
        "Categorize": "Design",
        "Select": "Design",
        "Implement": "Build",
        "Assess": "Test",
        "Authorize": "Onboard",
        "Monitor": "Operations",
    }
)

BOUNDARY = "boundary"
AI_DOCUMENTATION = "ai-documentation"
MONITORING_PLAN = "monitoring-plan"
CONTROLS_DOCUMENTATION = "controls-documentation"
PENETRATION_TEST = "penetration-test"
ASSESSMENT = "assessment"
DECISION = "decision"

_MODERATE_AND_ABOVE: frozenset[Baseline] = frozenset(
    {"nist-moderate", "nist-high", "fedramp-class-c", "fedramp-class-d"}
)
_FROM_IL4 = frozenset({"IL4", "IL5", "IL6"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One item of work.

    Attributes:
        id: as commands name it.
        title: in words.
        step: of the RMF.
        after: ids of what it waits for.
        low: days it takes at least.
        high: days it takes at most.
        source: where the range is from: `experience`, `assumed`, or who estimated it.
    """

    id: str
    title: str
    step: Step
    after: tuple[str, ...]
    low: int
    high: int
    source: str

    @property
    def phase(self) -> Phase:
        """Of the CSRMC."""
        return PHASES[self.step]

    def estimated(self, estimate: tuple[int, int] | None, by: str) -> "Work":
        """With the range of whoever does it, where they gave one."""
        if estimate is None:
            return self
        return replace(self, low=estimate[0], high=estimate[1], source=by)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        own = {name: getattr(self, name) for name in ("id", "title", "step", "phase", "source")}
        return {**own, "after": list(self.after), "low_days": self.low, "high_days": self.high}


# In an order in which nothing waits for what comes later. Three months are 91 days, six 183.
_ALL = (
    Work(
        id=BOUNDARY, title="Boundary definition", step="Prepare", after=(), low=91, high=183, source=_GIVEN,
    ),
    Work(
        id=AI_DOCUMENTATION, title="AI/ML documentation", step="Implement", after=(),
        low=2 * WEEK, high=4 * WEEK, source=_GIVEN,
    ),
    Work(
        id=MONITORING_PLAN, title="Monitoring plan", step="Select", after=(BOUNDARY,),
        low=1 * WEEK, high=2 * WEEK, source=_GIVEN,
    ),
    Work(
        id=CONTROLS_DOCUMENTATION, title="Controls documentation", step="Implement", after=(BOUNDARY,),
        low=4 * WEEK, high=8 * WEEK, source=_GIVEN,
    ),
    Work(
        id=PENETRATION_TEST, title="Penetration test", step="Assess", after=(BOUNDARY,),
        low=4 * WEEK, high=6 * WEEK, source=_GIVEN,
    ),
    Work(
        id=ASSESSMENT, title="Security assessment", step="Assess",
        after=(AI_DOCUMENTATION, MONITORING_PLAN, CONTROLS_DOCUMENTATION, PENETRATION_TEST),
        low=4 * WEEK, high=8 * WEEK, source=_ASSUMED,
    ),
    Work(
        id=DECISION, title="Authorization decision", step="Authorize", after=(ASSESSMENT,),
        low=2 * WEEK, high=6 * WEEK, source=_ASSUMED,
    ),
)  # fmt: skip
IDS = tuple(work.id for work in _ALL)


def asks_for_penetration_test(ato: Ato) -> str:
    """Why a penetration test is asked for; empty where none is. See rule 2."""
    if ato.categorization.highest != "low":
        return f"the system's level is {ato.categorization.highest}"
    if ato.chosen in _MODERATE_AND_ABOVE:
        return f"the baseline is {ato.chosen}"
    return f"the impact level is {ato.impact_level}" if ato.impact_level in _FROM_IL4 else ""


def work_of(ato: Ato) -> tuple[Work, ...]:
    """The items that an authorization asks for, each after those that it waits for."""
    absent = set() if ato.boundary == "new" else {BOUNDARY}
    if not asks_for_penetration_test(ato):
        absent.add(PENETRATION_TEST)
    return tuple(
        replace(work, after=tuple(one for one in work.after if one not in absent))
        for work in _ALL
        if work.id not in absent
    )


def left_out(ato: Ato) -> dict[str, str]:
    """Item that this authorization does without -> why."""
    out = {} if ato.boundary == "new" else {BOUNDARY: "the system joins a boundary that is authorized"}
    if not asks_for_penetration_test(ato):
        out[PENETRATION_TEST] = "asked for at Moderate and above"
    return out


def is_assumed(work: Work) -> bool:
    """Whether nobody gave its range."""
    return work.source == _ASSUMED
