"""Evidence that audit logging works: a marked subject is scored, found, replayed, and its seals are verified.

1. Before anything is sealed here, every commit of the ledger is one of fielded's own, and none is unsealed for
   longer than a commit may be. Sealing would cover what somebody has put there.
2. A marked subject (`services.probe.subjects`) is scored by batch and by the API at the site itself: its rules,
   its scorer, its journal, its ledger, its key. The API is asked through its guard; where there is no door to ask
   at, the journal is still tried, and the guard is not checked.
3. Journals are drained. Both rows are found by their subject in the ledger, with what the answer said.
4. Both replay to the last bit.
5. Every table is verified as `fielded audit verify` does, and nothing is unsealed.
6. On a scratch copy: an edited row is found, a deleted one too, and with the journal gone nobody gets a score.

What goes wrong is a check that failed, and the rest is checked all the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.rows import PROBE
from fielded.decisions.scoring import Scorer
from fielded.services.audit import Row
from fielded.services.drain import drain
from fielded.services.evidence.collect import Bench, Door
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.probe.batch import probe_batch
from fielded.services.probe.harm import Harm, try_harm
from fielded.services.probe.live import probing
from fielded.services.probe.sealed import own_and_sealed
from fielded.services.probe.subjects import Examples, marked_subject
from fielded.services.replay import replay
from fielded.services.seal import seal
from fielded.services.verify import Report, verify_all
from fielded.words.errors import FieldedError
from fielded.world.lookup import find_rows
from fielded.world.workplace import Workplace

BY_BATCH, BY_API = "batch", "API"

_VERIFY = "Run `fielded audit verify`, and find out what changed the ledger"
_SHOWN = 3  # findings that a check names

Value = TypeVar("Value")


@dataclass
class _Probe:
    """One marked subject on one way.

    Attributes:
        way: `BY_BATCH` or `BY_API`.
        subject: what it is about.
        seconds: from the question to the durable row.
        told: what the answer said: request id, score, version; empty where there was none.
        row: of the ledger, once it was found.
    """

    way: str
    subject: str
    seconds: float = 0.0
    told: dict[str, Any] = field(default_factory=dict)
    row: Row | None = None

    def facts(self) -> dict[str, object]:
        row = self.row or {}
        return {
            "subject": self.subject,
            "request_id": row.get("request_id"),
            "score": None if self.row is None else repr(row["score"]),
            "decision": row.get("decision"),
            "model_version": row.get("model_version"),
            "artifact_sha256": row.get("artifact_sha256"),
            "definition_sha256": row.get("definition_sha256"),
            "channel": row.get("channel"),
            "requested_by": row.get("requested_by"),
            "journal_sequence": row.get("journal_sequence"),
            "seconds": round(self.seconds, 3),
        }


def look(bench: Bench) -> Found:
    """Rules 1 to 6.

    Raises:
        FieldedError: what is in production cannot be told or loaded.
    """
    workplace = bench.workplace
    model, sha256 = resolve(workplace)
    scorer = Scorers(workplace).get(model, sha256)
    chosen = Examples(workplace, scorer, limit=1).any()
    batch, api = (_Probe(way, marked_subject(workplace)) for way in (BY_BATCH, BY_API))
    checks = [*own_and_sealed(workplace)]
    checks.append(_by_batch(workplace, scorer, batch, chosen.features))
    checks += _by_api(bench, api, chosen.features)
    checks.append(_drained(workplace))
    for probe in (batch, api):
        checks.append(_found(workplace, scorer, probe))
        checks.append(_replayed(workplace, probe))
    report, sealed = _verified(workplace)
    checks += sealed
    harm = try_harm(workplace, scorer, chosen.features)
    checks += harm.checks
    return Found(tuple(checks), _facts(workplace, (batch, api), chosen.source, report, harm))


def _facts(
    workplace: Workplace, probes: Sequence[_Probe], source: str, report: Report | None, harm: Harm
) -> dict[str, object]:
    tables = {} if report is None else {name: dict(counts) for name, counts in report.tables.items()}
    return {
        "features": source,
        **{probe.way.lower(): probe.facts() for probe in probes},
        "journal": workplace.site.journal_url.partition(":")[0],
        "verified": tables,
        "rows": tables.get("predictions", {}).get("rows", 0),
        "findings": 0 if report is None else len(report.findings),
        "checkpoint": None if report is None or report.newest is None else report.newest.isoformat(),
        "scratch": harm.facts,
    }


def _by_batch(workplace: Workplace, scorer: Scorer, probe: _Probe, features: pa.RecordBatch) -> Check:
    """Rule 2."""
    begun = time.perf_counter()
    done, check = _tried(
        "batch scores a marked subject",
        lambda: probe_batch(workplace, scorer, probe.subject, features),
        expected="a durable, sealed row",
        step="Run `fielded score --dry-run`, and mend what it says",
        told=lambda run: f"run {run}",
    )
    probe.seconds = time.perf_counter() - begun
    if done is not None:
        probe.told = {"run_id": done}
    return check


def _by_api(bench: Bench, probe: _Probe, features: pa.RecordBatch) -> list[Check]:
    """Rule 2."""
    name = "API scores a marked subject"
    expected = "a score by the version in production, after its row is durable"
    step = "Run `fielded serve`, and ask it for `/health/ready`"
    begun = time.perf_counter()
    try:
        if bench.door is not None:
            checks = _by_door(bench.door, probe, features, name, expected)
        else:
            with probing(bench.workplace) as ask:
                answer = ask(probe.subject, features)
            probe.told = {"request_id": answer.request_ids[0], "score": answer.scores[0]}
            guard = Check.missing(
                name, why="its journal took the row; there was no door to ask the guard at", expected=expected,
                step="Run `fielded ready`, which has one",
            )  # fmt: skip
            checks = [guard]
    except FieldedError as error:
        checks = [Check.of(name, False, got=str(error), expected=expected, step=step)]
    probe.seconds = time.perf_counter() - begun
    return checks


def _by_door(door: Door, probe: _Probe, features: pa.RecordBatch, name: str, expected: str) -> list[Check]:
    body = {"subject": probe.subject, "features": features.to_pylist()[0]}
    refused = door.ask("POST", "/score", json=body)
    answer = door.ask("POST", "/score", json=body, headers=door.credentials)
    scored = answer.status == 200 and isinstance(answer.body, dict)  # noqa: PLR2004 - done
    if scored:
        probe.told = {"request_id": answer.body.get("request_id"), "score": answer.body.get("score")}
    return [
        Check.of(
            name, scored,
            got=f"status {answer.status}" if scored else f"status {answer.status}, {_reason(answer.body)}",
            expected=expected,
            step="Run `fielded serve`, and look at its log for this request",
        ),
        Check.of(
            "API gives no score to somebody unknown", refused.status == 401,  # noqa: PLR2004 - unauthorized
            got=f"status {refused.status}", expected="status 401, and no row",
            step="Look at `identity` in site.yaml", negative=True,
        ),
    ]  # fmt: skip


def _reason(body: Any) -> str:
    """Why a problem (RFC 9457) says that there is no score; it never holds a value of the request."""
    return str(body.get("detail", "no reason told")) if isinstance(body, dict) else "no reason told"


def _drained(workplace: Workplace) -> Check:
    """Rule 3."""
    name, expected = "journals are drained to the ledger", "every journal's rows in the ledger, sealed"
    step = "Run `fielded drain`, and mend what it says"
    try:
        drained = drain(workplace)
    except FieldedError as error:
        return Check.of(name, False, got=str(error), expected=expected, step=step)
    failures = "; ".join(str(failure) for failure in drained.failures.values())
    return Check.of(
        name, not failures, got=failures or f"{drained.rows} rows moved just now", expected=expected, step=step
    )


def _found(workplace: Workplace, scorer: Scorer, probe: _Probe) -> Check:
    """Rule 3: in the ledger itself, not in a journal."""
    name = f"{probe.way} row is found by its subject"
    expected = "one row of the version in production, as the answer told"
    try:
        table = workplace.tables.open(workplace.ledger.predictions)
        rows = find_rows(table, "subject", probe.subject)
    except FieldedError as error:
        return Check.of(name, False, got=str(error), expected=expected, step=_VERIFY)
    if len(rows) != 1:
        step = "Score the probe first: see the checks above" if not probe.told else _VERIFY
        return Check.of(name, False, got=f"{len(rows)} rows", expected=expected, step=step)
    row = probe.row = rows[0]
    told = {
        "model_version": scorer.model_version,
        "artifact_sha256": scorer.artifact_sha256,
        "definition_sha256": scorer.definition_sha256,
        "channel": PROBE,
        **probe.told,
    }
    wrong = [key for key, value in told.items() if row[key] != value]
    got = f"other {', '.join(wrong)} than was told" if wrong else f"request {row['request_id']}"
    return Check.of(name, not wrong, got=got, expected=expected, step=_VERIFY)


def _replayed(workplace: Workplace, probe: _Probe) -> Check:
    """Rule 4."""
    name, expected = f"{probe.way} row replays to the last bit", "exact"
    if probe.row is None:
        return Check.missing(name, why="no row was found", expected=expected, step="See the checks above")
    request_id = probe.row["request_id"]
    step = f"Run `fielded audit replay {request_id}`"
    try:
        found = replay(workplace, request_id)
    except FieldedError as error:
        return Check.of(name, False, got=str(error), expected=expected, step=step)
    return Check.of(
        name, found.outcome == "exact", got=f"{found.outcome}; {found.registry}", expected=expected, step=step
    )


def _verified(workplace: Workplace) -> tuple[Report | None, list[Check]]:
    """Rule 5. What others commit while it is verified is young, and sealed by them."""
    name = "every table of the ledger is as it was sealed"
    expected = "every file, row, log entry and checkpoint as it was signed, and nothing unsealed"
    try:
        seal(workplace)
        report = verify_all(workplace)
    except FieldedError as error:
        return None, [Check.of(name, False, got=str(error), expected=expected, step=_VERIFY)]
    shown = "; ".join(f"rule {one.rule}: {one.table} {one.file}" for one in report.findings[:_SHOWN])
    more = f" and {len(report.findings) - _SHOWN} more" if len(report.findings) > _SHOWN else ""
    foreign = sorted(name for name, versions in report.foreign.items() if versions)
    return report, [
        Check.of(
            name,
            not report.findings,
            got=f"{shown}{more}" if report.findings else f"no finding in {len(report.tables)} tables",
            expected=expected,
            step=_VERIFY,
        ),
        Check.of(
            "nothing but fielded has written to the ledger",
            not foreign,
            got=f"commits of another tool in {', '.join(foreign)}" if foreign else "none",
            expected="no commit of another tool: what it wrote was never what fielded scored",
            step=_VERIFY,
        ),
    ]


def _tried(
    name: str, do: Callable[[], Value], *, expected: str, step: str, told: Callable[[Value], str]
) -> tuple[Value | None, Check]:
    """Do something, and say as a check whether it could be done."""
    try:
        done = do()
    except FieldedError as error:
        return None, Check.of(name, False, got=str(error), expected=expected, step=step)
    return done, Check.of(name, True, got=told(done), expected=expected)


COLLECTOR: Collector[Bench] = Collector(
    id="audit-probe",
    title="A marked subject is scored by batch and API, found, replayed, and its seals are verified",
    look=look,
    holds_for=timedelta(days=7),
    expected="what is in production, loaded and able to score",
)
