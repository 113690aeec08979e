"""BentoML: `bentoml serve bentoml_peer:Plain` or `:Batched`; PEER_MODEL names the model."""

import os

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=2)
class Plain:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api
    def score(self, row: dict) -> float:
        return float(self.model.predict_proba(pd.DataFrame([row]))[0, 1])


@bentoml.service(workers=2)
class Batched:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    # With a limit of a few milliseconds it refuses most requests of a load like this one.
    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def score(self, rows: list[dict]) -> list[float]:
        return self.model.predict_proba(pd.DataFrame(rows))[:, 1].tolist()
