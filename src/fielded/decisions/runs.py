"""A batch run: what names it, whether its rows add up, and what is said of it afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from fielded.definition.deployment import Deployment
from fielded.words.digests import canonical_json
from fielded.words.errors import RunRefused
from fielded.words.identifiers import uuid8

State = Literal["published", "already done", "superseded", "dry run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What one run did.

    Attributes:
        run_id: named by the run's inputs; the same work has the same id.
        day: the day scored.
        state: `published`; `already done` (an earlier run of the same work had finished); `superseded` (a
            later run of the same day stands in the gold table); `dry run`.
        population: rows counted by the engine.
        scored: rows in the ledger.
        flagged: of those, decided as flagged.
        clear: of those, decided as clear.
        review: of those, for a person.
        quarantined: rows that broke a rule.
        model_name: registered name.
        model_version: concrete version.
        inputs: table -> Delta version read.
        seconds: from start to the end of publishing.
    """

    run_id: str
    day: date
    state: State
    population: int
    scored: int
    flagged: int
    clear: int
    review: int
    quarantined: int
    model_name: str
    model_version: str
    inputs: Mapping[str, int]
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.population / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the ledger."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "day": self.day.isoformat(), "inputs": dict(self.inputs)}


def run_id(
    deployment: Deployment, day: date, model: Mapping[str, str], inputs: Mapping[str, str], again: str
) -> str:
    """The id of the work: same definition, model bytes, input versions and day, same id.

    Args:
        deployment: for its name and digest.
        day: the day scored.
        model: name, version and artifact digest.
        inputs: table -> identity and Delta version.
        again: empty, or a token that makes this other work although all inputs are the same.
    """
    return uuid8(
        canonical_json(
            {
                "deployment": deployment.name,
                "definition": deployment.sha256,
                "day": day.isoformat(),
                "model": dict(model),
                "inputs": dict(inputs),
                "again": again,
            }
        )
    )


def check_account(population: int, scored: int, quarantined: int) -> None:
    """Every row of the population was scored or quarantined.

    Args:
        population: rows counted by the engine in a query of its own.
        scored: rows counted in the footers of the ledger's files.
        quarantined: rows counted in the footers of the quarantine's files.

    Raises:
        RunRefused: a row is missing or came twice.
    """
    if population != scored + quarantined:
        raise RunRefused(
            f"account: got {scored} scored + {quarantined} quarantined = {scored + quarantined}, expected the "
            f"population of {population}. Nothing was published. If the population query draws rows by chance "
            "or by order (limit, sample), make it a function of its tables and as_of"
        )


def check_quarantine(population: int, quarantined: int, limit: float) -> None:
    """The share of refused rows is within the definition's limit.

    Raises:
        RunRefused: it is not.
    """
    share = quarantined / population if population else 0.0
    if share > limit:  # not limit * population: 0.29 * 100 is less than 29
        raise RunRefused(
            f"batch.quarantine_limit: got {quarantined} of {population} rows quarantined ({share:.2%}), expected "
            f"at most {limit:.2%}. Nothing was published. The quarantine table has each row's reasons"
        )
