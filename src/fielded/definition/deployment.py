"""The frozen values of a deployment: what is deployed, wherever it runs.

Each class here is both the edge (pydantic refuses unknown fields and wrong types) and the frozen value
that everything inside holds.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from fielded.definition.ato import Ato
from fielded.definition.monitoring import Monitoring
from fielded.definition.names import Name, TableName
from fielded.definition.release import Release
from fielded.definition.review import Review

FeatureType = Literal["float", "int", "category", "bool"]

# Texts stay as written: `consistency` compares what is written, and a category may begin with a space.
_CONFIG = ConfigDict(extra="forbid")

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  # a cron text is parsed against some moment

_EXACT = 2**53  # below it every whole number is a float of its own

# MLflow reserves these alias names: an alias `v3` could not be told from a version number.
_RESERVED_ALIAS = re.compile(r"^(latest|v\d+)$", re.IGNORECASE)

# A group answers to nobody; AC-2 and the AI RMF's GOVERN 2.1 ask for a named individual.
_GROUP_WORDS = frozenset(
    [
        "team",
        "group",
        "office",
        "list",
        "desk",
        "branch",
        "division",
        "department",
        "dept",
        "squad",
        "cell",
        "board",
        "committee",
        "staff",
        "ops",
        "mlops",
        "devops",
        "support",
        "admin",
        "admins",
        "helpdesk",
        "noreply",
        "no-reply",
        "owners",
        "everyone",
        "all",
        "tbd",
        "todo",
    ]
)


def _alias(text: str) -> str:
    if _RESERVED_ALIAS.match(text):
        raise ValueError("an alias name that MLflow does not reserve (`latest` and `v<number>` are)")
    return text


def _cron(text: str) -> str:
    try:
        CronSim(text, _ANY_MOMENT)
    except CronSimError as error:
        raise ValueError(f"five cron fields such as `0 2 * * *` ({error})") from None
    return text


def _group_words(text: str) -> set[str]:
    return {text.lower(), *re.split(r"[^a-z]+", text.lower())} & _GROUP_WORDS


def person_name(text: str) -> str:
    """A person's name as it is.

    Raises:
        ValueError: it is a group's, or no full name.
    """
    if len(text.split()) < 2 or _group_words(text):  # noqa: PLR2004 - a given and a family name
        raise ValueError("a person's given and family name, not a team, list or office")
    return text


def _person_email(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", text) or _group_words(text.split("@", maxsplit=1)[0]):
        raise ValueError("that person's own address (name@agency.mil), not a shared mailbox")
    return text


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$"), AfterValidator(_alias)]
Number = Annotated[float, Field(strict=True)]  # a text or a yes is no number
Probability = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class ModelRef:
    """A registered model by name and alias. Never a version number: that stands in every row instead."""

    name: Annotated[str, StringConstraints(pattern=r"^[^/:\s]([^/:]*[^/:\s])?$")]
    alias: Alias
    previous_alias: Alias
    positive_class: str | int | StrictBool | None = None
    unsafe_pickle: StrictBool = False


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Feature:
    """The rule one feature's values keep.

    Attributes:
        type: `float` (64 bit), `int` (64 bit), `category` (text) or `bool`.
        unit: what a number counts, for people.
        min: smallest allowed value, inclusive, in `unit`.
        max: largest allowed value, inclusive, in `unit`.
        nullable: whether a missing value is scored; the model then sees NaN.
        values: the categories the model has seen.
        unseen: what to do with a category outside `values`: score it or put the row in quarantine.
    """

    type: FeatureType
    unit: str | None = None
    min: Number | None = None
    max: Number | None = None
    nullable: StrictBool = False
    values: tuple[str, ...] = ()
    unseen: Literal["score", "quarantine"] = "score"

    @model_validator(mode="after")
    def _rule_is_possible(self) -> "Feature":
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if bounds and self.type not in ("float", "int"):
            raise ValueError(f"no `min` or `max` on a {self.type}")
        if not all(math.isfinite(bound) for bound in bounds):
            raise ValueError("finite `min` and `max`")
        if self.type == "int" and not all(bound.is_integer() for bound in bounds):
            raise ValueError("whole numbers as `min` and `max` of an int")
        if self.type == "int" and not all(abs(bound) < _EXACT for bound in bounds):
            raise ValueError("`min` and `max` of an int between -2**53 and 2**53, or they would be rounded")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` no larger than `max`")
        if self.values and self.type != "category":
            raise ValueError("`values` only on a category")
        if len(set(self.values)) < len(self.values):
            raise ValueError("each of `values` once")
        if self.unseen == "quarantine" and not self.values:
            raise ValueError("`values` beside `unseen: quarantine`, or no category could be seen")
        if self.type == "bool" and self.nullable:
            raise ValueError("a bool that is never null; a third state is a category")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Decision:
    """What a probability leads to.

    Attributes:
        score: column name of the probability in the gold table.
        flag: column name of the flag in the gold table.
        threshold: a score at or above it is flagged.
        rationale: why this threshold, for the assessor.
        review_band: [low, high], both inclusive: a score in it goes to a person.
    """

    score: Name
    flag: Name
    threshold: Probability
    rationale: Prose
    review_band: tuple[Probability, Probability]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Population:
    """Which subjects are scored: one Ibis function over named tables."""

    query: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+\.py:[A-Za-z_][A-Za-z0-9_]*$")]
    tables: Annotated[Mapping[Name, TableName], Field(min_length=1), AfterValidator(_frozen)]

    @property
    def file(self) -> str:
        return self.query.partition(":")[0]

    @property
    def function(self) -> str:
        return self.query.partition(":")[2]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Batch:
    """How a day is scored.

    Attributes:
        schedule: five cron fields, UTC.
        output: the gold table.
        quarantine_limit: largest share of a day's rows that may break a rule; more stops the run.
    """

    schedule: Annotated[str, AfterValidator(_cron)]
    output: TableName
    quarantine_limit: Probability = 0.05


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Person:
    """A named individual, not a team."""

    name: Annotated[str, AfterValidator(person_name)]
    email: Annotated[str, AfterValidator(_person_email)]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class People:
    """Who answers for what."""

    model_owner: Person
    monitoring_owner: Person
    rai_approver: Person
    authorizing_official: Person
    isso: Person


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Document:
    """deployment.yaml as it is written."""

    name: Name
    purpose: Prose
    subject: Name
    model: ModelRef
    features: Annotated[Mapping[Name, Feature], Field(min_length=1), AfterValidator(_frozen)]
    decision: Decision
    population: Population
    batch: Batch
    people: People
    slices: tuple[Name, ...] = ()
    release: Release = Field(default_factory=Release)
    review: Review = Field(default_factory=Review)
    monitoring: Monitoring = Field(default_factory=Monitoring)
    ato: Ato = Field(default_factory=Ato)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment(Document):
    """A deployment as loaded: the document, the folder it came from and its digest.

    Attributes:
        folder: where deployment.yaml and population.py lie.
        sha256: digest of those two files (`words.digests.listing_sha256`).
        texts: their texts as they were hashed, by file name.
    """

    folder: Path
    sha256: str
    texts: Mapping[str, str]
