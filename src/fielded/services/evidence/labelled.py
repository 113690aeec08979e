"""Rows whose outcome is known, as the version in production scores them: evaluation and threshold rest on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from fielded.decisions.measuring.intervals import Estimate
from fielded.decisions.measuring.labelled import Labelled
from fielded.definition.release import PerformanceGate
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.release.holdout import LabelledRows, labelled_rows
from fielded.services.release.recent_rows import recent_rows
from fielded.services.release.scored_rows import scores_of
from fielded.world.provenance import content_of, recorded_training_data
from fielded.world.workplace import Workplace

RECENT = 20_000  # rows of the ledger in which groups without a label are looked for
CONFIDENCE = 0.95
_NO_GATE = PerformanceGate(limits={"auc": ">= 0.5"})


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The version in production and what it makes of labelled rows.

    Attributes:
        version: concrete version.
        sha256: digest of its files.
        read: the rows and what was left out.
        labelled: the same with scores and flags, and the groups that only unlabelled rows have.
        rows_sha256: digest of the rows with their labels, whatever their order.
    """

    version: str
    sha256: str
    read: LabelledRows
    labelled: Labelled
    rows_sha256: str


def evaluated(workplace: Workplace) -> Evaluated:
    """Score the labelled rows with what is in production.

    Raises:
        FieldedError: the version cannot be used, or a table cannot be read.
    """
    model, sha256 = resolve(workplace)
    recorded = recorded_training_data(workplace.site, model)
    read = labelled_rows(workplace, recorded.last_day, recorded.tables)
    made = scores_of(Scorers(workplace).get(model, sha256), read.features)
    recent = recent_rows(workplace, RECENT)
    labelled = Labelled(read.features, read.labels, made.scores, made.flags, recent)
    return Evaluated(model.version, sha256, read, labelled, _digest(read))


def _digest(read: LabelledRows) -> str:
    # By names that no feature can have: a few names of the ledger's own are left out of a digest.
    names = [*(f"feature_{name}" for name in read.features.column_names), "label"]
    return content_of([read.features.append_column("label", pa.array(read.labels)).rename_columns(names)]).sha256


def gate_of(workplace: Workplace) -> PerformanceGate:
    """The performance gate; where none was chosen, one that says how many rows are enough."""
    return workplace.deployment.release.gates.performance or _NO_GATE


def numbers_of(estimate: Estimate) -> Mapping[str, float | int | None]:
    """An estimate as JSON values."""
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "rows": estimate.rows}
