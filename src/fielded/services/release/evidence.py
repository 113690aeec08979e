"""The evidence gate: what must be on record of a candidate before anybody looks at how well it scores.

1. the digest that was proposed is of the files that the registry has now (SI-7);
2. the model's signature fits the definition;
3. its input example scores the same through every path: fast path, MLflow's pyfunc, batch rows and live rows;
4. each document that the gate names is signed and current, by somebody other than the proposer: who wants a
   version in production does not vouch for it (AC-5);
5. what it was trained on is known (`decisions.release.provenance`).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from fielded.decisions.release.acts import Candidate, Pinned
from fielded.decisions.release.findings import Finding, Outcome
from fielded.decisions.release.provenance import Recorded, provenance_findings
from fielded.decisions.rows import Asked, LiveRows
from fielded.decisions.scoring import Scorer
from fielded.definition.release import EvidenceGate
from fielded.services.release.sign import document_findings
from fielded.words.errors import FieldedError, Refused
from fielded.world.fitting import fit_findings
from fielded.world.models import one_native_thread
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_GATE = "evidence"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # of rows that are compared and kept nowhere


def evidence_findings(
    workplace: Workplace, gate: EvidenceGate, candidate: Candidate, scorer: Scorer, recorded: Recorded
) -> list[Finding]:
    """All that the gate asks for, whatever of it is missing.

    Args:
        workplace: the deployment at its site.
        gate: chosen by the definition.
        candidate: as proposed.
        scorer: of the proposed bytes, loaded: its fast path and pyfunc agreed to the last bit.
        recorded: what the registry has of its training data.
    """
    findings = [
        *_files(workplace, candidate.pinned),
        same_through_every_path(scorer),
        *document_findings(workplace, gate.documents, candidate.proposed_by),
    ]
    return [*findings, *provenance_findings(recorded)] if gate.provenance else findings


def _files(workplace: Workplace, pinned: Pinned) -> Iterator[Finding]:
    """Rules 1 and 2."""
    model = RegisteredVersion(workplace.deployment.model.name, pinned.version)
    expected = f"{pinned.sha256}, as proposed"
    try:
        folder, found = workplace.artifacts.take(model)
        misfits = fit_findings(folder, workplace.deployment)
    except FieldedError as error:
        step = "Find out what became of the files, and compare again"
        yield Finding(
            gate=_GATE,
            item="artifact",
            outcome="not enough evidence",
            got=str(error),
            expected=expected,
            step=step,
        )
        return
    step = "Find out who changed the files; propose the version again only if the change is meant"
    yield _of("artifact", found == pinned.sha256, found, expected, step)
    lacking = "; ".join(str(finding) for finding in misfits)
    fits = "the definition's features by name, order and type, and probabilities"
    step = "Log the model so that it fits (`fielded check`), and propose that version"
    yield _of("signature", not misfits, lacking or fits, fits, step)


def same_through_every_path(scorer: Scorer) -> Finding:
    """Rule 3. That fast path and pyfunc agree was seen when the model was loaded; here are the rows made of it."""
    example = scorer.background
    expected = "the same to the last bit as batch rows, live rows, fast path and pyfunc"
    step = "Log the model with an input example that has no lack, and propose that version"
    if example is None or not example.num_rows:
        return Finding(
            gate=_GATE, item="input_example", outcome="not enough evidence", got="no input example",
            expected=expected, step=step,
        )  # fmt: skip
    try:
        with one_native_thread():
            batch = scorer.score(example).column("score").to_numpy()
            live = _live(scorer, example)
            alone = np.concatenate([_live(scorer, example.slice(row, 1)) for row in range(example.num_rows)])
    except Refused as refusal:
        return _of("input_example", False, str(refusal), expected, step)
    same = batch.tobytes() == live.tobytes()
    worst, apart = float(np.abs(batch - live).max()), float(np.abs(batch - alone).max())
    exact = "replays to the last bit" if apart == 0 else f"scored alone it differs by up to {apart:.3g}"
    got = f"{example.num_rows} rows, {'the same in every path' if same else f'up to {worst:.3g} apart'}; {exact}"
    numbers = {"rows": float(example.num_rows), "apart": worst, "alone": apart}
    return replace(_of("input_example", same, got, expected, step), numbers=numbers)


def _live(scorer: Scorer, rows: pa.RecordBatch) -> np.ndarray:
    """Scores as the API makes them; the rows are kept nowhere."""
    count = rows.num_rows
    asked = Asked(subjects=[""] * count, features=rows, requested_by=[""] * count, client_addresses=[None] * count)
    made = LiveRows(scorer, "").of(asked, _EPOCH, 1, bytes)
    return np.asarray(made.column("score").to_numpy())


def _of(item: str, good: bool, got: str, expected: str, step: str) -> Finding:
    outcome: Outcome = "passed" if good else "failed"
    return Finding(gate=_GATE, item=item, outcome=outcome, got=got, expected=expected, step="" if good else step)
