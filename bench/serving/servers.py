"""One class a server: how it is started, what is asked of it, where the score is in what it says.

All get the same pipeline, two workers, one native thread each. "plain" is a server as it comes; "batched" has its
own adaptive batching on, up to 64 rows, with a wait of 2 ms where it has such a setting.
"""

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

HERE = Path(__file__).resolve().parent
DEPLOYMENT = HERE.parent.parent / "examples" / "maintenance_overrun"
OWN = Path(sys.executable).parent
MAX_BATCH, WAIT_SECONDS = 64, 0.002

Row = Mapping[str, Any]  # subject, features, score (expected)

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs.

    Attributes:
        work: folder that `prepare.py` filled.
        folder: the server's own, empty.
        environments: folder with the peers' environments.
        ports: at 127.0.0.1; the first is the API's.
        scratch: a folder with a short path, for sockets.
    """

    work: Path
    folder: Path
    scratch: Path
    environments: Path
    ports: tuple[int, int, int]


class Server(ABC):
    """A server that is measured.

    Attributes:
        name: key in the results.
        title: in the table.
        path: of the request.
        headers: beside the content type.
        scores: whether it has the model.
        variant: of another server than fielded and MLflow.
    """

    name: str
    title: str
    path: str = "/score"
    headers: Mapping[str, str] = {}
    scores: bool = True
    variant: str = ""

    def missing(self, place: Place) -> str | None:
        """Why it cannot be started here; None where it can."""
        program = Path(self.command(place)[0])
        return None if program.exists() else "not installed: make bench-serving installs it"

    def prepare(self, place: Place) -> None:  # noqa: B027 - most read nothing
        """Write what it reads from its folder."""

    @abstractmethod
    def command(self, place: Place) -> list[str]:
        """What starts it."""

    def environment(self, place: Place) -> dict[str, str]:  # noqa: ARG002
        """Variables it is started with."""
        return {}

    def body(self, row: Row) -> Any:
        """The request for one row."""
        return row["features"]

    def score(self, answer: Any) -> float:
        """The probability in an answer."""
        return answer["score"]


class MLflow(Server):
    name = "mlflow"
    title = "`mlflow models serve`"
    path = "/invocations"

    def command(self, place: Place) -> list[str]:
        model = ["-m", str(place.work / "model"), "--env-manager", "local"]
        return [
            str(OWN / "mlflow"),
            "models",
            "serve",
            *model,
            "-h",
            "127.0.0.1",
            "-p",
            str(place.ports[0]),
            "-w",
            "2",
        ]

    def environment(self, place: Place) -> dict[str, str]:  # noqa: ARG002
        # It starts `uvicorn` by that name alone.
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{OWN}{os.pathsep}{os.environ['PATH']}"}

    def body(self, row: Row) -> Any:
        return {"dataframe_split": {"columns": list(row["features"]), "data": [list(row["features"].values())]}}

    def score(self, answer: Any) -> float:
        return answer["predictions"][0][1]


class Peer(Server):
    """A server that comes in variants.

    Args:
        variant: one of `variants`.
    """

    kind: ClassVar[str]
    called: ClassVar[str]
    venv: ClassVar[str] = "serving"
    variants: ClassVar[Mapping[str, str]] = {"plain": "as it comes", "batched": "its batching on"}

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.name = f"{self.kind}-{variant}"
        self.title = f"{self.called}, {self.variants[variant]}"

    def program(self, place: Place, name: str) -> str:
        return str(place.environments / self.venv / "bin" / name)


class MLServer(Peer):
    kind, called, venv = "mlserver", "MLServer", "serving-mlserver"
    path = "/v2/models/overrun/infer"
    _kinds: ClassVar = {float: "FP64", int: "INT64", str: "BYTES"}

    def prepare(self, place: Place) -> None:
        http, grpc, metrics = place.ports
        settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
                    "parallel_workers": 2, "debug": False}  # fmt: skip
        model: dict[str, Any] = {
            "name": "overrun",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(place.work / "model.joblib"), "extra": {"predict_fn": "predict_proba"}},
        }
        if self.variant == "batched":
            model |= {"max_batch_size": MAX_BATCH, "max_batch_time": WAIT_SECONDS}
        (place.folder / "settings.json").write_text(json.dumps(settings))
        (place.folder / "model-settings.json").write_text(json.dumps(model))

    def command(self, place: Place) -> list[str]:
        return [self.program(place, "mlserver"), "start", str(place.folder)]

    def body(self, row: Row) -> Any:
        return {
            "parameters": {"content_type": "pd"},
            "inputs": [
                {
                    "name": name, "shape": [1], "datatype": self._kinds[type(value)], "data": [value],
                    **({"parameters": {"content_type": "str"}} if isinstance(value, str) else {}),
                }
                for name, value in row["features"].items()
            ],
        }  # fmt: skip

    def score(self, answer: Any) -> float:
        return answer["outputs"][0]["data"][1]


class LitServe(Peer):
    kind, called = "litserve", "LitServe"
    path = "/predict"

    def command(self, place: Place) -> list[str]:
        script, model = str(HERE / "peers" / "litserve_peer.py"), str(place.work / "model.joblib")
        return [self.program(place, "python"), script, str(place.ports[0]), model, self.variant]


class BentoML(Peer):
    kind, called = "bentoml", "BentoML"

    def command(self, place: Place) -> list[str]:
        service = f"bentoml_peer:{self.variant.capitalize()}"
        address = ["--host", "127.0.0.1", "--port", str(place.ports[0])]
        return [self.program(place, "bentoml"), "serve", service, "--working-dir", str(HERE / "peers"), *address]

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "PEER_MODEL": str(place.work / "model.joblib"),
            "BENTOML_HOME": str(place.folder / "home"),
            "BENTOML_DO_NOT_TRACK": "True",
        }

    def body(self, row: Row) -> Any:
        return {"rows": [row["features"]]} if self.variant == "batched" else {"row": row["features"]}

    def score(self, answer: Any) -> float:
        return answer[0] if self.variant == "batched" else answer


class RayServe(Peer):
    kind, called = "ray", "Ray Serve"
    path = "/"
    variants: ClassVar = {**Peer.variants, "throughput": "its batching and high-throughput mode (HAProxy) on"}

    def command(self, place: Place) -> list[str]:
        script, model = str(HERE / "peers" / "ray_peer.py"), str(place.work / "model.joblib")
        deployment = "plain" if self.variant == "plain" else "batched"
        return [self.program(place, "python"), script, str(place.ports[0]), model, deployment]

    def environment(self, place: Place) -> dict[str, str]:
        mode = {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # a little faster than its four on two cores
        }
        return {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(place.scratch),
            **(mode if self.variant == "throughput" else {}),
        }


class EmptyRoute(Server):
    name = "empty"
    title = "an empty FastAPI route, no model"
    scores = False

    def command(self, place: Place) -> list[str]:
        where = ["--app-dir", str(HERE / "peers"), "--host", "127.0.0.1", "--port", str(place.ports[0])]
        return [str(OWN / "uvicorn"), "empty_route:app", *where, "--workers", "2", "--no-access-log"]

    def body(self, row: Row) -> Any:
        return {"subject": row["subject"], "features": row["features"]}


class Fielded(Server):
    """The API of this package, durable audit and all.

    Args:
        journal: False for the variant whose journal keeps nothing, which shows what the audit adds.
    """

    token = "bench-token-of-no-worth-0123456789abcdef"  # noqa: S105 - of a server that lives for seconds
    headers: ClassVar = {"Authorization": f"Bearer {token}"}

    def __init__(self, *, journal: bool = True) -> None:
        self.journal = journal
        self.name = "fielded" if journal else "fielded-no-journal"
        self.title = "fielded" if journal else "fielded, its journal and hash chain cut out"

    def prepare(self, place: Place) -> None:
        site = f"""\
root: {place.work}/.fielded/tables
tracking_uri: sqlite:///{place.work}/.fielded/mlflow.db
artifact_root: {place.work}/.fielded/artifacts
cache: {place.work}/.fielded/cache
identity: {{development_token: env:BENCH_TOKEN}}
api: {{host: 127.0.0.1, port: {place.ports[0]}, workers: 2}}
"""
        (place.folder / "site.yaml").write_text(site)

    def command(self, place: Place) -> list[str]:  # noqa: ARG002
        return [str(OWN / "fielded"), "serve", "-d", str(DEPLOYMENT)]

    def environment(self, place: Place) -> dict[str, str]:  # noqa: ARG002
        cut = {} if self.journal else {"PYTHONPATH": str(HERE / "no_journal")}
        return {"BENCH_TOKEN": self.token, "MLFLOW_DISABLE_TELEMETRY": "true", **cut}

    def body(self, row: Row) -> Any:
        return {"subject": row["subject"], "features": row["features"]}
