"""LitServe: python litserve_peer.py PORT MODEL plain|batched."""

import sys

import joblib
import litserve
import pandas as pd


class Plain(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = joblib.load(sys.argv[2])

    def decode_request(self, request: dict) -> dict:
        return request

    def predict(self, row: dict) -> float:
        return float(self.model.predict_proba(pd.DataFrame([row]))[0, 1])

    def encode_response(self, output: float) -> dict:
        return {"score": output}


class Batched(Plain):
    def batch(self, inputs: list[dict]) -> pd.DataFrame:
        return pd.DataFrame(inputs)

    def predict(self, frame: pd.DataFrame) -> list[float]:
        return self.model.predict_proba(frame)[:, 1].tolist()

    def unbatch(self, output: list[float]) -> list[float]:
        return output


if __name__ == "__main__":
    batched = sys.argv[3] == "batched"
    api = Batched(max_batch_size=64, batch_timeout=0.002) if batched else Plain()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, fast_queue=batched)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
