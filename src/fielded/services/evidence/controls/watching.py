"""Evidence that the system is watched after its authorization (CA-7), and its records looked at (AU-6).

1. The watch ran lately, over the definition and the version that are there now.
2. Evidence on record is current: what is over counts no more, and is told. Tried on evidence of the past and of
   another model.
3. The ledger verifies now, as `fielded audit verify` does.
4. What somebody else did to the registry since production last changed has been answered.
5. No review by a person after a promotion is overdue. How many were closed is told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.decisions.monitoring.watch import RAN
from fielded.services.evidence.collect import Bench, of_this, on_record, scope_of
from fielded.services.monitoring.record import about as watched
from fielded.services.monitoring.reviews import reviews_of
from fielded.services.release.record import state_of
from fielded.services.verify import verify
from fielded.world.workplace import Workplace

LATELY = timedelta(days=7)  # the least that FedRAMP asks for looks at audit records (AU-6): weekly
_RUN = "Run `fielded monitor`, best each night after the scores"
_WEAK = "Run `fielded ato collect`: it collects what is over"
_REPORT = "Do not rely on evidence here before this is understood. Report it to those who maintain fielded"


def look_at_watch(bench: Bench) -> Found:
    """Rules 1 and 2.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    known, scope, now = on_record(workplace), scope_of(workplace), workplace.clock()
    counting = {key: of_this(one, scope) for key, one in known.items()}
    longest = timedelta(days=workplace.deployment.ato.report_max_age_days)
    stale = sorted(
        key for key, one in counting.items() if not one.current(now) or now - one.at > longest or _other(one)
    )
    checks = (
        _ran_lately(workplace),
        Check.of(
            "evidence on record is current",
            not stale and bool(known),
            got=f"not so: {', '.join(stale)}" if stale else f"{len(known)} evidences",
            expected="each within its time, and about what is here now",
            step=_WEAK,
        )
        if known
        else Check.missing("evidence on record is current", why="there is none yet", expected="some", step=_WEAK),
        _over_does_not_count(known.values(), scope, workplace),
    )
    runs = workplace.ledger.events_of(RAN, watched(workplace))
    facts: dict[str, object] = {
        "collected": len(known),
        "current": len(known) - len(stale),
        "over": stale,
        "runs": len(runs),
        "last_run": runs[-1]["occurred_at"].date().isoformat() if runs else None,
    }
    return Found(checks, facts)


def _other(evidence: Evidence) -> bool:
    return bool(evidence.checks) and evidence.checks[0].name == "scope"


def _ran_lately(workplace: Workplace) -> Check:
    """Rule 1."""
    name = "the watch ran lately, over what is here now"
    expected = f"a run within {LATELY.days} days, of this definition and version"
    runs = workplace.ledger.events_of(RAN, watched(workplace))
    if not runs:
        return Check.of(name, False, got="no run", expected=expected, step=_RUN)
    last, production = runs[-1], state_of(workplace).production
    age = workplace.clock() - last["occurred_at"]
    details = last["details"]
    other = [
        what
        for what, differs in {
            "another definition": details.get("definition_sha256") != workplace.deployment.sha256,
            "another version": production is not None and details.get("sha256") != production.sha256,
        }.items()
        if differs
    ]
    got = "; ".join([f"{age.days} days ago", *other])
    return Check.of(name, age <= LATELY and not other, got=got, expected=expected, step=_RUN)


def _over_does_not_count(known: Iterable[Evidence], scope: Mapping[str, str], workplace: Workplace) -> Check:
    """Rule 2: a good one, made older than its time, and one of other bytes."""
    name, expected = "evidence that is over, or of another model, does not count", "neither does"
    good = next((one for one in known if one.holds), None)
    if good is None:
        return Check.missing(
            name, why="no evidence that holds is on record yet", expected=expected, step=_WEAK, negative=True
        )
    now = workplace.clock()
    over = replace(good, valid_until=now - timedelta(seconds=1))
    other = of_this(replace(good, scope={**good.scope, "artifact_sha256": "0" * 64}), scope)
    unfit = [bool(Sources.of([one], now, {}).unfit) for one in (over, other)]
    return Check.of(
        name,
        all(unfit),
        got=f"{sum(unfit)} of {len(unfit)} do not",
        expected=expected,
        step=_REPORT,
        negative=True,
    )


def look_at_records(bench: Bench) -> Found:
    """Rules 1, 3, 4 and 5.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    report = verify(workplace)
    state, standing = state_of(workplace), reviews_of(workplace)
    closed = [one for one in standing if one.state == "closed"]
    overdue = [one for one in standing if one.state == "overdue"]
    checks = (
        _ran_lately(workplace),
        Check.of(
            "the ledger verifies now",
            not report.findings,
            got=f"{len(report.findings)} findings",
            expected="no finding",
            step="Run `fielded audit verify`",
        ),
        Check.of(
            "what others did to the registry was answered",
            not state.observed,
            got=f"{len(state.observed)} observations",
            expected="none that is not answered",
            step="Run `fielded release reconcile`, and find out who did it",
        ),
        Check.of(
            "no review by a person is overdue",
            not overdue,
            got=f"{len(overdue)} overdue, {len(closed)} closed",
            expected="none overdue",
            step="Close it: `fielded monitor reviews`",
        ),
    )
    facts: dict[str, object] = {
        "findings": len(report.findings),
        "rows": report.tables.get("predictions", {}).get("rows", 0),
        "runs": len(workplace.ledger.events_of(RAN, watched(workplace))),
        "observations": len(state.observed),
        "reviews_closed": len(closed),
        "reviews_overdue": len(overdue),
    }
    return Found(checks, facts)


WATCH: Collector[Bench] = Collector(
    id="continuous-monitoring",
    title="Whether the watch runs and evidence is current",
    look=look_at_watch,
    holds_for=LATELY,
    expected="a ledger with runs of the watch",
)
RECORDS: Collector[Bench] = Collector(
    id="audit-review",
    title="Whether what is recorded is looked at",
    look=look_at_records,
    holds_for=LATELY,
    expected="a ledger that can be read",
)
