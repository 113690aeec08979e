import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import ROW, VALUES, Served, example_deployment, serve, site_of

INFER = "/v2/models/shared/infer"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    with serve(example_deployment(folder), site_of(folder, max_batch_rows=20)) as made:
        yield made


def tensor(
    name: str, datatype: str, data: list[Any], shape: list[int] | None = None, **more: Any
) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data, **more}


def request(rows: int = 1, **changes: dict[str, Any] | None) -> dict[str, Any]:
    tensors = {
        "subject": tensor("subject", "BYTES", [f"WO-{place}" for place in range(rows)]),
        "hours": tensor("hours", "FP64", [12.5 * (place + 1) for place in range(rows)]),
        "age": tensor("age", "FP32", [None] * rows),
        "earlier": tensor("earlier", "INT64", [3] * rows),
        "month": tensor("month", "INT32", [7] * rows),
        "kind": tensor("kind", "BYTES", ["hull"] * rows),
        **changes,
    }
    return {"inputs": [item for item in tensors.values() if item is not None]}


def wrong(served: Served, body: Any) -> dict[str, str]:
    response = served.client.post(INFER, json=body)
    content = response.json()
    assert response.status_code == 422, content
    assert content["error"] == content["detail"]
    return {error["field"]: error["expected"] for error in content["errors"]}


def test_rows_are_scored_as_the_other_routes_score_them(served: Served) -> None:
    response = served.client.post(INFER, json={**request(3), "id": "mine-7", "parameters": {"x": [1]}})
    answer = response.json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("shared", "2", "mine-7")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert list(outputs) == ["score", "flag", "decision", "request_id"]
    assert all(output["shape"] == [3] for output in outputs.values())
    assert outputs["score"]["data"] == [hours / (hours + 100) for hours in (12.5, 25.0, 37.5)]
    assert [outputs[name]["datatype"] for name in outputs] == ["FP64", "BOOL", "BYTES", "BYTES"]
    rows = served.stand.requests[-1].rows
    assert [row.subject for row in rows] == ["WO-0", "WO-1", "WO-2"]
    assert rows[0].features == VALUES
    assert [type(value) for value in rows[0].features] == [type(value) for value in VALUES]


def test_one_row_has_its_own_id_and_no_id_is_made_up_for_the_caller(served: Served) -> None:
    response = served.client.post(INFER, json=request())
    assert "id" not in response.json()
    assert response.json()["outputs"][3]["data"] == [response.headers["x-request-id"]]


def test_columns_of_one_are_taken_nested_or_flat(served: Served) -> None:
    for data in ([1.5, 2.5], [[1.5], [2.5]]):
        body = request(2, hours=tensor("hours", "FP64", data, [2, 1]))
        assert served.client.post(INFER, json=body).status_code == 200
        assert [row.features[0] for row in served.stand.requests[-1].rows] == [1.5, 2.5]


def test_only_the_outputs_asked_for_are_given(served: Served) -> None:
    body = {
        **request(),
        "outputs": [{"name": "decision", "parameters": {"binary_data": False}}, {"name": "score"}],
    }
    answer = served.client.post(INFER, json=body).json()
    assert [output["name"] for output in answer["outputs"]] == ["decision", "score"]
    assert list(wrong(served, {**request(), "outputs": [{"name": "probability"}]})) == ["outputs[0].name"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hours": None}, "inputs.hours"),
        ({"subject": None}, "inputs.subject"),
        ({"other": tensor("other", "FP64", [1.0])}, "inputs[6].name"),
        ({"other": tensor("hours", "FP64", [1.0])}, "inputs[6].name"),
        ({"hours": tensor("hours", "BYTES", ["1"])}, "inputs[1].datatype"),
        ({"kind": tensor("kind", "INT64", [1])}, "inputs[5].datatype"),
        ({"hours": tensor("hours", "FP99", [1.0])}, "inputs[1].datatype"),
        ({"hours": tensor("hours", "FP64", ["1.5"])}, "inputs[1].data[0]"),
        ({"hours": tensor("hours", "FP64", [True])}, "inputs[1].data[0]"),
        ({"hours": tensor("hours", "FP64", [-1.0])}, "inputs[1].data[0]"),
        ({"hours": tensor("hours", "FP64", [None])}, "inputs[1].data[0]"),
        ({"hours": tensor("hours", "INT64", [2**53 + 1])}, "inputs[1].data[0]"),
        ({"earlier": tensor("earlier", "FP64", [3.5])}, "inputs[3].data[0]"),
        ({"kind": tensor("kind", "BYTES", ["boat"])}, "inputs[5].data[0]"),
        ({"subject": tensor("subject", "BYTES", [""])}, "inputs[0].data[0]"),
        ({"hours": tensor("hours", "FP64", [1.0, 2.0])}, "inputs[1].shape"),
        ({"hours": tensor("hours", "FP64", [1.0], [1, 2])}, "inputs[1].shape"),
        ({"hours": tensor("hours", "FP64", [1.0], [1, 1, 1])}, "inputs[1].shape"),
        ({"hours": tensor("hours", "FP64", [], [1])}, "inputs[1].data"),
        ({"hours": tensor("hours", "FP64", [[1.0, 2.0]], [1, 1])}, "inputs[1].data"),
        ({"hours": {"name": "hours", "shape": [1], "datatype": "FP64"}}, "inputs[1].data"),
        ({"hours": tensor("hours", "FP64", [1.0], binary=7)}, "inputs[1].binary"),
        ({"subject": tensor("subject", "BYTES", [], [0])}, "inputs[0].shape"),
        ({"subject": tensor("subject", "BYTES", ["a"] * 21)}, "inputs[0].shape"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(served: Served, changes: dict[str, Any], field: str) -> None:
    before = len(served.stand.requests)
    assert field in wrong(served, request(**changes))
    assert len(served.stand.requests) == before


def test_whole_numbers_may_come_as_floats(served: Served) -> None:
    body = request(earlier=tensor("earlier", "FP64", [3.0]))
    assert served.client.post(INFER, json=body).status_code == 200


@pytest.mark.parametrize(
    "body", [7, [], {}, {"inputs": []}, {"inputs": 1}, {"inputs": [1]}, {**request(), "x": 1}]
)
def test_what_is_no_request_of_the_protocol_is_told(served: Served, body: Any) -> None:
    assert wrong(served, body)


def test_metadata_name_the_tensors(served: Served) -> None:
    answer = served.client.get("/v2/models/shared").json()
    assert (answer["name"], answer["versions"]) == ("shared", ["2"])
    assert [item["name"] for item in answer["inputs"]] == ["subject", *ROW["features"]]
    assert {item["name"]: item["datatype"] for item in answer["inputs"]}["earlier"] == "INT64"
    assert served.client.get("/v2").json()["name"] == "fielded"
    assert served.client.get("/v2/health/live").json() == {"live": True}
    assert served.client.get("/v2/models/shared/ready").json() == {"name": "shared", "ready": True}


def test_only_the_version_that_scores_is_there(served: Served) -> None:
    assert served.client.post("/v2/models/shared/versions/2/infer", json=request()).status_code == 200
    assert served.client.get("/v2/models/shared/versions/2/ready").status_code == 200
    for path in ("shared/versions/1", "another", "another/versions/2", "shared/versions/1/ready", "another/ready"):
        response = served.client.get(f"/v2/models/{path}")
        assert response.status_code == 404
        assert response.json()["error"]
    assert served.client.post("/v2/models/shared/versions/1/infer", json=request()).status_code == 404
    assert served.client.post("/v2/models/another/infer", json=request()).status_code == 404


def test_binary_tensors_are_not_taken(served: Served) -> None:
    headers = {"content-type": "application/json", "inference-header-content-length": "10"}
    response = served.client.post(INFER, content=json.dumps(request()), headers=headers)
    assert response.status_code == 415
