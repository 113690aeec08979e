"""Compare a proposed version with what is in production, ask every gate, and put the answer on record.

    proposal -> the same rows, scored by both -> gates -> verdict -> report -> `release_compared`

1. Whoever proposed the version answers for loading it: nothing that was not proposed is loaded.
2. Both score the newest rows of the ledger (without labels) and the labelled rows, through the scorer that scores
   in production.
3. Every gate that the definition chose says all it has to say; a gate that could not look says so.
4. The report is written before the event that names its digest.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from fielded.decisions.measuring.labelled import Labelled, Unlabelled
from fielded.decisions.release.acts import COMPARED, Candidate, Pinned
from fielded.decisions.release.answered import answered_by_labels
from fielded.decisions.release.calibration import calibration_findings
from fielded.decisions.release.differences import brier_by_slice
from fielded.decisions.release.fairness import fairness_findings
from fielded.decisions.release.findings import Finding, Verdict
from fielded.decisions.release.performance import performance_findings
from fielded.decisions.release.provenance import Recorded
from fielded.decisions.release.report import About, Measurements, report_of
from fielded.decisions.release.shift import Scores, shift_findings
from fielded.decisions.release.waivers import kept
from fielded.decisions.scoring import Scorer
from fielded.definition.release import Gates, ShiftGate
from fielded.services.authority import require_release
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.budget import Seconds, budget_findings, measured_memory
from fielded.services.release.evidence import evidence_findings
from fielded.services.release.holdout import LabelledRows, labelled_rows
from fielded.services.release.recent_rows import recent_rows
from fielded.services.release.record import append, state_of
from fielded.services.release.report import write_report
from fielded.services.release.scored_rows import scores_of
from fielded.services.seal import seal
from fielded.words.errors import Refused, WrongUse
from fielded.world.provenance import recorded_training_data
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A comparison that was made.

    Attributes:
        candidate: what was compared.
        against: what was in production; None where nothing was.
        verdict: all findings, worst first.
        folder: where the report lies.
        report_sha256: of `comparison.json` in it.
    """

    candidate: Pinned
    against: Pinned | None
    verdict: Verdict
    folder: Path
    report_sha256: str


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows that are compared on, and what both versions make of them.

    Attributes:
        recent: features of the newest ledger rows.
        labelled: rows with labels.
        new: scorer of the candidate.
        old: scorer of production; None where nothing is in production.
    """

    recent: pa.Table
    labelled: LabelledRows
    new: Scorer
    old: Scorer | None

    @cached_property
    def recent_new(self) -> Scores:
        return scores_of(self.new, self.recent)

    @cached_property
    def recent_old(self) -> Scores | None:
        return None if self.old is None else scores_of(self.old, self.recent)

    @cached_property
    def labelled_new(self) -> Labelled:
        return self._labelled(self.new)

    @cached_property
    def labelled_old(self) -> Labelled | None:
        return None if self.old is None else self._labelled(self.old)

    def _labelled(self, scorer: Scorer) -> Labelled:
        made = scores_of(scorer, self.labelled.features)
        return Labelled(self.labelled.features, self.labelled.labels, made.scores, made.flags, self.recent)


def compare(
    workplace: Workplace, scorers: Scorers, version: str, folder: Path, *, seconds: Seconds = time.perf_counter
) -> Made:
    """Compare a proposed version with production.

    Args:
        workplace: the deployment at its site; its `user` has the comparison made.
        scorers: where models come from.
        version: that was proposed.
        folder: for the report; made where it is not there.
        seconds: a monotonic clock.

    Raises:
        Refused: the asking person may not release, nobody proposed the version, or it cannot be loaded.
        ArtifactChanged: its files, or those of production, are not the ones on record.
        Unreachable: a table or the registry.
    """
    require_release(workplace)
    state = state_of(workplace)
    candidate = state.candidates.get(version)
    if candidate is None:
        step = f"Run `fielded release propose {version} -m WHY`"
        raise Refused(f"version {version}: got no proposal, expected one before anything is loaded. {step}")
    model = RegisteredVersion(workplace.deployment.model.name, version)
    recorded = recorded_training_data(workplace.site, model)
    rows = _rows(workplace, scorers, candidate, state.production, recorded)
    shift = _shift(workplace, rows)
    findings = _ask(workplace, candidate, rows, recorded, shift, seconds)
    now = workplace.clock()
    verdict = Verdict.of(findings, kept(state.history, candidate, state.production, findings, now))
    measured = Measurements(
        candidate=rows.labelled_new,
        production=rows.labelled_old,
        shift=shift,
        performance=workplace.deployment.release.gates.performance,
    )
    about = _about(workplace, candidate, state.production, rows, now)
    report_sha256 = write_report(folder, report_of(about, verdict, measured))
    append(workplace, state, COMPARED, _details(about, verdict, report_sha256))
    seal(workplace)
    return Made(
        candidate=candidate.pinned, against=state.production, verdict=verdict, folder=folder,
        report_sha256=report_sha256,
    )  # fmt: skip


def _about(
    workplace: Workplace, candidate: Candidate, production: Pinned | None, rows: _Rows, now: datetime
) -> About:
    deployment = workplace.deployment
    return About(
        deployment=deployment.name,
        model=deployment.model.name,
        candidate=candidate.pinned,
        production=production,
        proposed_by=candidate.proposed_by,
        compared_by=workplace.user,
        compared_at=now,
        definition_sha256=deployment.sha256,
        slices=deployment.slices,
        threshold=deployment.decision.threshold,
        gates=chosen(deployment.release.gates),
        rows={
            "recent": rows.recent.num_rows,
            "holdout": rows.labelled.holdout,
            "outcomes": rows.labelled.outcomes,
        },
        notes=rows.labelled.notes,
    )


def _details(about: About, verdict: Verdict, report_sha256: str) -> dict[str, Any]:
    """What the event says, see `decisions.release.acts`."""
    return {
        **about.candidate.as_dict(),
        "against": None if about.production is None else about.production.as_dict(),
        "report_sha256": report_sha256,
        "definition_sha256": about.definition_sha256,
        "holds": verdict.holds,
        "findings": [
            {
                "name": one.name,
                "outcome": one.outcome,
                "got": one.got,
                "expected": one.expected,
                "severity": one.severity if math.isfinite(one.severity) else None,
                "set_aside": one.set_aside,
            }
            for one in verdict.findings
        ],
    }


def only_candidate(workplace: Workplace) -> str:
    """The version that is proposed, where there is one.

    Raises:
        WrongUse: none is, or several are.
    """
    candidates = list(state_of(workplace).candidates)
    if len(candidates) != 1:
        got = ", ".join(candidates) or "none"
        raise WrongUse(f"VERSION: got no version, and proposed are {got}. Name one that is proposed")
    return candidates[0]


def chosen(gates: Gates) -> tuple[str, ...]:
    """Names of the gates that a definition chose, in their order."""
    return tuple(name for name in gates.__dataclass_fields__ if getattr(gates, name) is not None)


def _rows(
    workplace: Workplace, scorers: Scorers, candidate: Candidate, production: Pinned | None, recorded: Recorded
) -> _Rows:
    name = workplace.deployment.model.name

    def scorer(pinned: Pinned) -> Scorer:
        return scorers.get(RegisteredVersion(name, pinned.version), pinned.sha256)

    limit = (workplace.deployment.release.gates.shift or ShiftGate()).recent_rows
    return _Rows(
        recent=recent_rows(workplace, limit),
        labelled=labelled_rows(workplace, recorded.last_day, recorded.tables),
        new=scorer(candidate.pinned),
        old=None if production is None else scorer(production),
    )


def _shift(workplace: Workplace, rows: _Rows) -> list[Finding]:
    """The shift gate's findings, also where it was not chosen: the report has them in any case."""
    gate = workplace.deployment.release.gates.shift or ShiftGate()
    if rows.recent_old is None or not rows.recent.num_rows:
        lacking = "nothing in production" if rows.recent_old is None else "no rows in the ledger"
        return [_not_asked("shift", "recent_rows", lacking, "recent rows that both versions score")]
    return shift_findings(rows.recent, rows.recent_old, rows.recent_new, workplace.deployment.slices, gate)


def _ask(
    workplace: Workplace, candidate: Candidate, rows: _Rows, recorded: Recorded, shift: Sequence[Finding],
    seconds: Seconds,
) -> list[Finding]:  # fmt: skip
    """Every gate that was chosen."""
    deployment, gates = workplace.deployment, workplace.deployment.release.gates
    slices, labelled = deployment.slices, rows.labelled_new
    by_labels: list[Finding] = []
    if gates.performance is not None:
        by_labels += _with_rows(labelled, "performance", performance_findings, slices, gates.performance)
    if gates.calibration is not None:
        by_labels += _with_rows(labelled, "calibration", calibration_findings, slices, gates.calibration)
    findings = list(by_labels)
    if gates.evidence is not None:
        findings += evidence_findings(workplace, gates.evidence, candidate, rows.new, recorded)
    if gates.shift is not None:
        old = rows.labelled_old
        better = {} if old is None or not by_labels else brier_by_slice(old, labelled, slices)
        findings += answered_by_labels(shift, by_labels, better)
    if gates.fairness is not None:
        flagged = Unlabelled(rows.recent, rows.recent_new.flags) if not len(labelled.labels) else labelled
        findings += fairness_findings(flagged, slices, gates.fairness)
    if gates.budget is not None:
        memory = measured_memory(_files(workplace, candidate.pinned), deployment.model)
        example = rows.new.background if not rows.recent.num_rows else rows.recent.to_batches()[0]
        findings += budget_findings(gates.budget, rows.new, example, seconds, memory)
    return findings


def _with_rows(
    labelled: Labelled, gate: str, ask: Callable[..., list[Finding]], slices: Sequence[str], limits: object
) -> list[Finding]:
    """A gate that needs labels, or why it could not look."""
    if len(labelled.labels):
        return ask(labelled, slices, limits)
    return [_not_asked(gate, "labelled_rows", "no labelled rows", "rows with labels")]


def _not_asked(gate: str, item: str, got: str, expected: str) -> Finding:
    step = "Name a hold-out under release.holdout, or load outcomes with `fielded outcomes load FILE`"
    if gate == "shift":
        step = "Score a day first, or have a first release explained in a signed waiver"
    return Finding(gate=gate, item=item, outcome="not enough evidence", got=got, expected=expected, step=step)


def _files(workplace: Workplace, pinned: Pinned) -> Path:
    model = RegisteredVersion(workplace.deployment.model.name, pinned.version)
    return workplace.artifacts.approved(model, pinned.sha256)
