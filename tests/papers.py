"""Evidence as collectors find it, with small numbers that are told apart, for documents that are made from it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fielded.decisions.assurance.evidence import Check, CheckOutcome, Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.definition import Deployment, Site
from fielded.services.documents.values import definition_values, site_values, sources_of

AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)
ARTIFACT, CONTENT = "a1" * 32, "c3" * 32


def _estimate(value: float, half: float = 0.0213) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def _metrics(first: float) -> dict[str, Any]:
    names = ("auc", "precision", "recall", "fnr", "fpr", "brier", "calibration")
    return {name: _estimate(first - 0.0371 * place) for place, name in enumerate(names)}


FACTS: Mapping[str, dict[str, Any]] = {
    "evaluation": {
        "confidence": 0.95,
        "rows": {"all": 4506, "holdout": 4317, "outcomes": 189},
        "holdout": {"table": "silver.holdout", "version": 7, "label": "overran"},
        "overall": {"rows": 4506, "events": 1723, **_metrics(0.7431)},
        "slices": [
            {"slice": "kind=engine", "rows": 2203, "events": 811, **_metrics(0.7219)},
            {"slice": "kind=hull", "rows": 1301, "events": 499, **_metrics(0.6917), "auc": None},
        ],
        "notes": ["hold-out silver.holdout at version 7", "13 of 4,330 hold-out rows have no label"],
        "unmeasured": ["kind=valve"],
        "limits": {"auc": ">= 0.60"},
        "fairness": [
            {"item": "demographic_parity[kind]", "value": 0.8417, "low": 0.7913, "high": 0.8829, "limit": 0.8,
             "outcome": "passed"},
            {"item": "proxy[age]", "value": None, "low": None, "high": None, "limit": None,
             "outcome": "not enough evidence"},
        ],
    },
    "threshold": {
        "threshold": 0.65, "missed": 0.35, "needless": 0.65, "best": _estimate(0.6173, 0.0419),
        "at_threshold": _estimate(0.1931, 0.0117),
        "curve": [{"threshold": at / 20, "cost": 0.19 + (at / 20 - 0.6) ** 2} for at in range(1, 20)],
        "saved": _estimate(0.0021, 0.0017),
    },
    "training-data": {
        "tables": [{"table": "silver.orders", "version": 12, "rows": 61_207},
                   {"table": "reference.ships", "version": 4, "rows": None}],
        "rows": 51_939,
        "content_sha256": CONTENT,
        "period": {"first": "2023-07-01", "last": "2024-12-31"},
        "datasets": [{"name": "silver.orders@12", "source": '{"delta_table_name": "silver.orders"}'}],
        "lineage": "MLflow inputs",
    },
    "retraining-trigger": {
        "triggers": [
            {"id": "score-drift", "metric": "psi(score)", "when": "> 0.20", "breaches": "2 of 2",
             "min_sample": 219, "window_rows": 307, "window_days": 30.0, "alpha": 0.01,
             "then": ["open_retraining_request", "notify_owner"],
             "simulated": {"alarms_a_year": 0.0712, "years": 200}, "states": []},
        ],
        "model_version": "2", "looked_as_of": "2026-03-01", "looked_at": "2026-03-02T02:00:00+00:00",
        "look_limit_days": 9.0, "owner": "Alex Example", "request_due_days": 31,
    },
    "release-reviews": {
        "days": [30, 90, 180], "due_days": 14, "owner": "Alex Example",
        "reviews": [{"id": "2-30", "opens": "2026-03-29", "due": "2026-04-12", "owner": "Alex Example",
                     "state": "scheduled"}],
    },
    "rollback": {
        "production": {"version": "2", "sha256": ARTIFACT},
        "previous": {"version": "1", "sha256": "b2" * 32},
        "drill": {"at": "2026-02-21T09:00:00+00:00", "passed": True, "workers": 2, "requests": 7423, "failed": 0,
                  "seconds": {"all_followed": 2.413}, "limit_seconds": 60.0},
        "replayed_now": 20,
    },
    "review-path": {"reviewers": 3, "decided_ever": 41, "waiting": 17, "overdue": 0, "due_hours": 72.0},
    "audit-probe": {
        "batch": {"subject": "fielded-probe-1"}, "api": {"subject": "fielded-probe-2"}, "rows": 40_117,
        "findings": 0, "scratch": {},
    },
    "monitoring-owner": {},
    "credentials": {},
    "rai-assessment": {"state": "done", "by": "os:casey", "until": "2027-02-20"},
}  # fmt: skip

SITE: Mapping[str, Any] = {
    "system": "Maintenance analytics",
    "identity": ["oidc"],
    "ports": ["tcp/8443"],
    "boundary_access": "the agency's access point",
    "incident_path": "the security desk of the agency",
    "platforms": [
        {"name": "Example Hosting", "authorization": "PA-0001", "level": "IL4", "expires": "2027-06-30",
         "inherited": ["pe-*"], "shared": {}},
    ],
}  # fmt: skip


def found(
    key: str,
    outcome: CheckOutcome = "held",
    facts: Mapping[str, Any] | None = None,
    scope: Mapping[str, str] | None = None,
    at: datetime = AS_OF,
    holds: timedelta = timedelta(days=7),
) -> Evidence:
    """Evidence of one check, with the facts that its collector finds."""
    step = "" if outcome == "held" else "Mend it"
    return Evidence(
        id=key,
        title=f"Look at {key}",
        checks=(Check(name="asked", outcome=outcome, got="got", expected="expected", step=step),),
        facts=FACTS[key] if facts is None else facts,
        command=f"fielded ato collect --id {key}",
        tool="fielded 0.1.0",
        by="os:ada",
        at=at,
        scope=scope or {"deployment": "overrun", "definition_sha256": "d" * 64, "model_version": "2",
                        "artifact_sha256": ARTIFACT},
        valid_until=at + holds,
    )  # fmt: skip


def sources(deployment: Deployment, site: Site, *others: Evidence) -> Sources:
    """All evidence that holds, but for others in the place of theirs."""
    evidence = {key: found(key) for key in FACTS} | {one.id: one for one in others}
    return sources_of(evidence.values(), AS_OF, definition_values(deployment), {**site_values(site), **SITE})
