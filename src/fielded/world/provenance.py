"""What a version was trained on: logged to MLflow by who trains, read back from the registry by who compares.

A training script calls `log_training_data` once, in the run that logs the model:

    content = content_of([pa.Table.from_pandas(frame, preserve_index=False)])
    log_training_data(client, run.info.run_id, content, tables={"silver.orders": 12}, period=(first, last))
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from fielded.decisions.chain import LEFT_OUT, row_digests
from fielded.decisions.release.provenance import PREFIX, Recorded, TrainingData
from fielded.definition.site import Site
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.delta_reading import dataset_of, stream
from fielded.world.registry import RegisteredVersion  # also switches MLflow's telemetry off
from fielded.world.row_digests import RowsDigest

from mlflow.entities import Dataset, DatasetInput, InputTag, Param  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip

_CONTEXT = "mlflow.data.context"  # MLflow's own tag of an input: what the data was used for
_DIGEST_LENGTH = 36  # characters; MLflow takes no more
_ABSENT = tuple(ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE))


@dataclass(frozen=True, slots=True)
class Content:
    """Rows by what they hold.

    Attributes:
        rows: how many.
        sha256: `decisions.chain.unordered_digest` of them, hexadecimal: every value counts, not the order.
    """

    rows: int
    sha256: str


def content_of(rows: Iterable[pa.RecordBatch | pa.Table]) -> Content:
    """The content of rows that come bit by bit; 32 bytes a row are held.

    Raises:
        WrongUse: a column has a type or a name that the digest does not cover.
    """
    digest, count = RowsDigest(), 0
    for part in rows:
        left_out = sorted(LEFT_OUT & set(part.schema.names))
        if left_out:
            raise WrongUse(f"column {left_out[0]}: got a name that the digest leaves out, expected another")
        try:
            digest.add(row_digests(part))
        except ValueError as error:
            raise WrongUse(f"training data: {error}") from None
        count += part.num_rows
    return Content(count, digest.hexdigest())


def content_of_version(table: DeltaTable) -> Content:
    """The content of a Delta table at the version that it was opened at."""
    return content_of(stream(dataset_of(table)))


def earlier(table: DeltaTable, version: int) -> DeltaTable | None:
    """A Delta table at a version; None where that version is not there any more, or never was."""
    try:
        return DeltaTable(table.table_uri, version=version)
    except (DeltaError, OSError):  # its log was cleaned, or is a copy's own
        return None


def rows_at(table: DeltaTable) -> int | None:
    """Rows of a Delta table at the version that it was opened at; None where its files are not there any more."""
    try:
        return int(dataset_of(table).count_rows())
    except (DeltaError, OSError, pa.ArrowException):  # vacuumed
        return None


def content_at(table: DeltaTable) -> Content | None:
    """What `content_of_version` says; None where it cannot be said: a file is gone, or a type is not covered."""
    try:
        return content_of_version(table)
    except (WrongUse, DeltaError, OSError, pa.ArrowException):
        return None


def log_training_data(
    client: MlflowClient, run_id: str, content: Content, *, tables: Mapping[str, int], period: tuple[date, date]
) -> TrainingData:
    """Put on record what the model of a run is trained on: an input data set a table, and `fielded.training.*`.

    Parameters, not tags: MLflow lets nobody change a parameter once it is written.

    Args:
        client: of the tracking store.
        run_id: the run that logs the model.
        content: of the rows that it learns from, with their labels.
        tables: source table -> Delta version that was read.
        period: first day that the rows are from, and the last on which one of their subjects may still be scored.
            Outcomes of rows scored until then are not counted for this version: it may have learned them.

    Raises:
        WrongUse: there are no rows or no tables, or the period ends before it begins.
    """
    first, last = period
    if not content.rows or not tables or first > last:
        got = f"{content.rows} rows of {len(tables)} tables from {first} to {last}"
        raise WrongUse(
            f"training data: got {got}, expected some rows, a table, and a period that ends after it begins"
        )
    data = TrainingData(
        tables=dict(tables), rows=content.rows, content_sha256=content.sha256, first=first, last=last
    )
    context = [InputTag(_CONTEXT, "training")]
    inputs = []
    for name, version in tables.items():
        source = json.dumps({"delta_table_name": name, "delta_table_version": version})
        dataset = Dataset(f"{name}@{version}", content.sha256[:_DIGEST_LENGTH], "delta_table", source)
        inputs.append(DatasetInput(dataset, context))
    client.log_inputs(run_id, inputs)
    client.log_batch(run_id, params=[Param(key, text) for key, text in data.texts().items()])
    return data


def recorded_training_data(site: Site, model: RegisteredVersion) -> Recorded:
    """What the registry has of a version's training data, unread.

    Raises:
        Unreachable: the registry does not answer.
    """
    client = MlflowClient(tracking_uri=site.tracking_uri, registry_uri=site.tracking_uri)
    try:
        run_id = client.get_model_version(model.name, model.version).run_id
        if not run_id:
            return Recorded(lacking="a version without a run")
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return Recorded(lacking="a version whose run is not in the registry")
        raise Unreachable(
            f"registry: does not answer ({error.error_code}), expected the run of {model}. Check tracking_uri"
        ) from error
    datasets = tuple(
        (str(item.dataset.name or ""), str(item.dataset.source or "")) for item in run.inputs.dataset_inputs
    )
    # Parameters only: a tag of that name could be set by anybody, and to something else by the next comparison.
    texts = {key: text for key, text in run.data.params.items() if key.startswith(PREFIX)}
    return Recorded(datasets, texts)
