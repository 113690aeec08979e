"""The `ato:` section: what authorization is asked for, by when, and which documents people stand for.

The schedule, the package and readiness are computed from it and from what is on record; nothing in it says that
anything was done.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

_CONFIG = ConfigDict(extra="forbid")

Level = Literal["low", "moderate", "high"]
Baseline = Literal[
    "nist-low", "nist-moderate", "nist-high", "fedramp-class-b", "fedramp-class-c", "fedramp-class-d"
]
CONTROL_ID = r"^[a-z]{2}-\d{1,2}(\.\d{1,2})?$"

ControlId = Annotated[str, StringConstraints(pattern=CONTROL_ID)]
_Parameter = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}-\d{2}(\.\d{2})?_odp(\.\d{2})?$")]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]
_File = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

# Highest of the three levels of FIPS 199 -> baseline of SP 800-53B.
_BASELINES: Mapping[Level, Baseline] = {"low": "nist-low", "moderate": "nist-moderate", "high": "nist-high"}
_ORDER: Mapping[Level, int] = {"low": 0, "moderate": 1, "high": 2}


def _reasons(reasons: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(reasons))


Reasons = Annotated[Mapping[ControlId, _Text], AfterValidator(_reasons)]
_Files = Annotated[Mapping[_Name, _File], AfterValidator(_reasons)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Categorization:
    """Impact of a loss (FIPS 199), each by itself.

    Attributes:
        confidentiality: of what is disclosed.
        integrity: of what is changed.
        availability: of what is not there.
    """

    confidentiality: Level = "moderate"
    integrity: Level = "moderate"
    availability: Level = "low"

    @property
    def highest(self) -> Level:
        """The system's level: the high-water mark (FIPS 200)."""
        return max((self.confidentiality, self.integrity, self.availability), key=_ORDER.__getitem__)


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Ato:
    """The authorization that is asked for.

    Attributes:
        need_date: day on which the program needs the authorization; None where nobody said.
        boundary: `new` where an authorization boundary has to be defined first, `existing` where the system joins
            one that is authorized.
        categorization: FIPS 199.
        baseline: which baseline of controls; None takes the one that SP 800-53B has for the highest level.
        impact_level: the Cloud Computing SRG's level that the system runs at, such as `IL4`.
        cui: categories of controlled unclassified information that it handles.
        high_impact: whether it is high-impact AI in the sense of OMB M-25-21.
        tailored_in: control -> why it is added to the baseline. SR-4 is in none.
        not_applicable: control -> why it does not apply here.
        parameters: organization-defined parameter of SP 800-53 (`ac-02_odp.05`) -> its value here.
        documents: name of a document -> file beside deployment.yaml with what people write in it.
        mend_days: a weakness is to be mended so long after it was first seen; None leaves the day to people.
        report_max_age_days: evidence that a package cites is no older.
    """

    need_date: date | None = None
    boundary: Literal["new", "existing"] = "existing"
    categorization: Categorization = Field(default_factory=Categorization)
    baseline: Baseline | None = None
    impact_level: Literal["IL2", "IL4", "IL5", "IL6"] | None = None
    cui: tuple[_Text, ...] = ()
    high_impact: bool = False
    tailored_in: Reasons = Field(default_factory=lambda: _reasons({}))
    not_applicable: Reasons = Field(default_factory=lambda: _reasons({}))
    parameters: Annotated[Mapping[_Parameter, _Text], AfterValidator(_reasons)] = Field(
        default_factory=lambda: _reasons({})
    )
    documents: _Files = Field(default_factory=lambda: _reasons({}))
    mend_days: Annotated[int, Field(strict=True, ge=1, le=3660)] | None = None
    report_max_age_days: Annotated[int, Field(strict=True, ge=1, le=3660)] = 90

    @model_validator(mode="after")
    def _one_answer_a_control(self) -> "Ato":
        both = sorted(set(self.tailored_in) & set(self.not_applicable))
        if both:
            raise ValueError(f"each control in one of `tailored_in` and `not_applicable`, which {both[0]} is not")
        return self

    @property
    def chosen(self) -> Baseline:
        """The baseline that counts."""
        return self.baseline or _BASELINES[self.categorization.highest]


def control_of(parameter: str) -> str:
    """The control that a parameter belongs to: `ac-06.09_odp` is of `ac-6.9`."""
    family, _, rest = parameter.partition("_")[0].partition("-")
    return f"{family}-{'.'.join(str(int(number)) for number in rest.split('.'))}"
