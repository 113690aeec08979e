"""`fielded audit verify` on rows of batch runs or of the API: python verify_ledger.py batch|api ROWS.

Batch rows are those of `make_ledger.py`. API rows come about as in the service: scored in groups of 64, chained,
flushed to a journal, then drained; only the model is left out. Both are sealed, then verified in this process:
its start (importing MLflow) is not part of the time.
"""

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from common import apart, measure, peak_mib, say, workplace
from fielded.decisions.routing import Routing
from fielded.decisions.rules import feature_schema
from fielded.decisions.scoring import Scorer
from fielded.services.drain import drain
from fielded.services.score_live import LiveRequest, LiveRow, LiveScoring, Settled
from fielded.services.seal import seal
from fielded.services.verify import verify

GROUP, AT_ONCE = 64, 8


def make_api_rows(place: Any, rows: int) -> None:
    """`rows` answered requests, drained to the ledger."""
    deployment, rng = place.deployment, np.random.default_rng(5)
    scorer = Scorer(
        model_name="bench", model_version="1", artifact_sha256="0" * 64, definition_sha256=deployment.sha256,
        routing=Routing(threshold=0.65, band=(0.55, 0.75)), predict=lambda batch: rng.random(batch.num_rows),
    )  # fmt: skip
    kinds = {
        name: feature.values if feature.type == "category" else None
        for name, feature in deployment.features.items()
    }
    whole = {field.name for field in feature_schema(deployment.features) if str(field.type) == "int64"}

    def value(name: str) -> Any:
        if kinds[name]:
            return kinds[name][rng.integers(len(kinds[name]))]
        return int(rng.integers(1, 13)) if name in whole else float(rng.random())

    variety = [tuple(value(name) for name in deployment.features) for _ in range(4096)]
    room = threading.Semaphore(AT_ONCE * GROUP)
    failed: list[Exception] = []

    def settle(settled: Settled) -> None:
        failed.extend(answer for _, answer in settled if isinstance(answer, Exception))
        room.release(len(settled))

    place.ledger.prepare(deployment)
    live = LiveScoring(
        scorer=scorer, features=deployment.features, journal=place.journals.claim(place.ledger.identity()),
        clock=lambda: datetime.now(UTC), random_bytes=os.urandom, max_group_rows=GROUP, settle=settle,
    )  # fmt: skip
    live.start()
    for number in range(rows):
        room.acquire()
        row = LiveRow(f"WO-{number:010d}", variety[number % len(variety)])
        live.submit(LiveRequest(rows=[row], requested_by="os:bench", client_address="127.0.0.1", ticket=None))
    live.stop()
    if failed:
        raise SystemExit(f"live rows: got {failed[0]}, expected answers")
    moved = drain(place)
    if moved.rows != rows:
        raise SystemExit(f"drain: got {moved.rows} rows, expected {rows}: {moved.failures}")


def main() -> None:
    kind, rows = sys.argv[1], int(sys.argv[2])
    place = workplace(rows)
    made: dict[str, Any] = {}
    if kind == "batch":
        apart("make_ledger.py", str(rows), cwd=Path.cwd())
    else:
        made = measure(lambda: make_api_rows(place, rows))
    sealed = measure(lambda: seal(place))
    done = measure(lambda: verify(place))
    report = done.pop("result")
    found = report.tables["predictions"]["rows"]
    if report.findings or found != rows:
        raise SystemExit(f"verify: got {found} rows and {report.findings[:3]}, expected {rows} and no finding")
    say({**done, "rows": rows, "made": made.get("wall"), "sealed": sealed["wall"], "peak_mib": peak_mib()})


if __name__ == "__main__":
    main()
