"""The population has what the definition names, or every lack is said at once."""

from pathlib import Path

import pyarrow as pa
import pytest

from conftest import DEFINITION, POPULATION
from fielded.decisions.columns import check_columns, column_findings, gold_subject_type
from fielded.definition import Deployment, load_deployment
from fielded.words.errors import DefinitionError

TYPES = {
    "order_id": pa.string(),
    "hours": pa.float64(),
    "age": pa.decimal128(9, 2),
    "earlier": pa.int32(),
    "month": pa.string(),
    "kind": pa.dictionary(pa.int32(), pa.string()),
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder: Path = tmp_path_factory.mktemp("overrun")
    (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "overrun"))
    (folder / "population.py").write_text(POPULATION)
    return load_deployment(folder)


def test_a_population_with_all_it_needs_passes_in_any_order_with_more_beside(deployment: Deployment) -> None:
    check_columns(deployment, pa.schema([("more", pa.date32()), *reversed(TYPES.items())]))


@pytest.mark.parametrize("name", TYPES)
def test_a_lacking_column_is_named(deployment: Deployment, name: str) -> None:
    found = column_findings(deployment, pa.schema([item for item in TYPES.items() if item[0] != name]))
    assert [(item.where, item.field) for item in found] == [("population.py:pending", name)]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hours", pa.date32()),
        ("hours", pa.bool_()),
        ("earlier", pa.timestamp("us")),
        ("kind", pa.float64()),
        ("kind", pa.list_(pa.string())),
        ("kind", pa.dictionary(pa.int8(), pa.float64())),
    ],
)
def test_a_column_that_cannot_be_read_is_named_with_its_type(
    deployment: Deployment, name: str, found: pa.DataType
) -> None:
    findings = column_findings(deployment, pa.schema([*{**TYPES, name: found}.items()]))
    assert [(item.field, item.got) for item in findings] == [(name, str(found))]
    assert deployment.features[name].type in findings[0].expected


def test_every_lack_is_said_at_once(deployment: Deployment) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_columns(deployment, pa.schema([("hours", pa.date32())]))
    assert [item.field for item in caught.value.findings] == [
        "order_id",
        "hours",
        "age",
        "earlier",
        "month",
        "kind",
    ]


@pytest.mark.parametrize(
    ("found", "gold"),
    [
        *((found, pa.int64()) for found in (pa.int8(), pa.uint32(), pa.int64())),
        *((found, pa.string()) for found in (pa.string(), pa.large_string(), pa.date32(), pa.float64())),
    ],
)
def test_whole_numbers_stay_numbers_in_the_gold_table(found: pa.DataType, gold: pa.DataType) -> None:
    assert gold_subject_type(found) == gold
