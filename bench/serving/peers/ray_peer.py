"""Ray Serve: python ray_peer.py PORT MODEL plain|batched."""

import signal
import sys

import joblib
import pandas as pd
import ray
from fastapi import FastAPI
from ray import serve
from starlette.requests import Request

app = FastAPI()


@serve.deployment(num_replicas=2)
@serve.ingress(app)
class Plain:
    def __init__(self, model: str) -> None:
        self.model = joblib.load(model)

    @app.post("/")
    def score(self, row: dict) -> dict:
        return {"score": float(self.model.predict_proba(pd.DataFrame([row]))[0, 1])}


@serve.deployment(num_replicas=2, max_ongoing_requests=128)
class Batched:
    def __init__(self, model: str) -> None:
        self.model = joblib.load(model)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.002)
    async def score(self, rows: list[dict]) -> list[float]:
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()

    async def __call__(self, request: Request) -> dict:
        return {"score": await self.score(await request.json())}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, _node_ip_address="127.0.0.1")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run((Batched if sys.argv[3] == "batched" else Plain).bind(sys.argv[2]))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
