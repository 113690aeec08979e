"""Evidence that a person decides what the model leaves open: the path is there, it is manned, and it is used.

1. A probe whose score lies in the review band is scored by the site's own scorer. It is routed to a person, by the
   band, and waits in the queue with a due time: the query is the queue's own, told to see probes too.
2. The queue that people work on shows no probe.
3. Somebody has the role `review`: an identity in the site's `roles`, or a certificate's subject that the proxy's
   section names. What an identity provider, or `*`, grants to whom is known only by who came: where nobody whom
   they let in ever decided a case, it is not checked. That a development site lets everybody do everything names
   nobody.
4. No case is overdue. Those that expired without a decision are counted.
5. People have decided cases. As long as nobody has, it is not known whether the path is used.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.review import acts
from fielded.decisions.review.queue import Waiting
from fielded.decisions.routing import BAND
from fielded.decisions.scoring import Scorer
from fielded.definition.site import Site
from fielded.services.evidence.collect import Bench
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.probe.batch import probe_batch
from fielded.services.probe.subjects import Example, Examples, marked_subject
from fielded.services.review.finals import case_events
from fielded.services.review.queue import look as look_at_queue
from fielded.services.review.stats import DAYS, ReviewStats, review_stats
from fielded.words.errors import FieldedError
from fielded.world.workplace import Workplace

_ANYBODY = "*"
_ROUTED, _QUEUED, _HIDDEN = (
    "a probe in the band is routed to a person",
    "the probe waits in the queue",
    "people's own queue shows no probe",
)
_UNROUTED = "a probe outside the band waits for nobody"
_NAME_THEM = "Name who reviews under `roles` in site.yaml: `oidc:NAME: [review]`"


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: what is in production cannot be told or loaded, or the ledger cannot be read.
    """
    workplace = bench.workplace
    model, sha256 = resolve(workplace)
    scorer = Scorers(workplace).get(model, sha256)
    examples = Examples(workplace, scorer)
    in_band, outside = examples.in_band(), examples.unrouted()
    checks, waiting = _routed(workplace, scorer, in_band)
    if outside is not None:
        checks.append(_not_routed(workplace, scorer, outside.features))
    named = reviewers_named(workplace.site)
    decided_by = _who_decided(workplace)
    found = review_stats(workplace)
    checks += [_manned(workplace.site, named, decided_by), _in_time(found), _used(decided_by, found)]
    facts: dict[str, object] = {
        "band": list(scorer.band),
        "features": None if in_band is None else in_band.source,
        **_facts_of(waiting),
        "due_hours": workplace.deployment.review.due_hours,
        "expire_hours": workplace.deployment.review.expire_hours,
        "second_share": workplace.deployment.review.second_share,
        "reviewers": len(named),
        "identities": list(named),
        "decided_ever": sum(decided_by.values()),
        "deciders": len(decided_by),
        "days": DAYS,
        "waiting": found.queue.waiting,
        "overdue": found.queue.overdue,
        "cases": found.cases,
        "decided": found.decided,
        "late": found.late,
        "expired": found.expired,
    }
    return Found(tuple(checks), facts)


def _facts_of(waiting: Waiting | None) -> dict[str, object]:
    if waiting is None:
        return {"request_id": None, "subject": None, "score": None, "routed_by": None, "due_at": None}
    case = waiting.case
    return {
        "request_id": case.request_id,
        "subject": case.subject,
        "score": repr(case.score),
        "routed_by": list(case.routed_by),
        "due_at": waiting.due_at.isoformat(),
    }


def _routed(workplace: Workplace, scorer: Scorer, chosen: Example | None) -> tuple[list[Check], Waiting | None]:
    """Rules 1 and 2."""
    routed, queued = "decision review, routed by the band", "one case of it, with a due time"
    hidden = "no case of it"
    if chosen is None:
        why = "no recorded row, input example or mixture of them scores in the band"
        step = "Widen decision.review_band, or log the model with an input example that has such a row"
        return [
            Check.missing(_ROUTED, why=why, expected=routed, step=step),
            Check.missing(_QUEUED, why="there was no probe", expected=queued, step=step),
            Check.missing(_HIDDEN, why="there was no probe", expected=hidden, step=step, negative=True),
        ], None
    subject = marked_subject(workplace)
    try:
        probe_batch(workplace, scorer, subject, chosen.features, sealing=False)
        seen = look_at_queue(workplace, subject, probes=True)
        shown = look_at_queue(workplace, subject)
    except FieldedError as error:
        step = "Run `fielded score --dry-run` and `fielded review list`, and mend what they say"
        return [Check.of(_ROUTED, False, got=str(error), expected=routed, step=step)], None
    waiting = seen[0] if len(seen) == 1 else None
    case = None if waiting is None else waiting.case
    by_band = case is not None and case.decision == "review" and BAND in case.routed_by
    by = "nothing" if case is None else f"decision {case.decision}, by {', '.join(case.routed_by)}"
    step = "Run `fielded review band`, and look at decision.review_band"
    due = f", due at {waiting.due_at:%Y-%m-%d %H:%M} UTC" if waiting is not None else ""
    return [
        Check.of(_ROUTED, by_band, got=by, expected=routed, step=step),
        Check.of(_QUEUED, waiting is not None, got=f"{len(seen)} cases{due}", expected=queued, step=step),
        Check.of(
            _HIDDEN, not shown, got=f"{len(shown)} cases", expected=hidden, negative=True,
            step="Do not let people work on a queue with probes. Report it to those who maintain fielded",
        ),
    ], waiting  # fmt: skip


def _not_routed(workplace: Workplace, scorer: Scorer, features: pa.RecordBatch) -> Check:
    """Rule 1, the other way round: what the model decides by itself is nobody's work."""
    expected = "no case of it"
    step = "Look at decision.review_band and at the section `review`"
    subject = marked_subject(workplace)
    try:
        probe_batch(workplace, scorer, subject, features, sealing=False)
        seen = look_at_queue(workplace, subject, probes=True)
    except FieldedError as error:
        return Check.of(_UNROUTED, False, got=str(error), expected=expected, step=step, negative=True)
    # An audit is drawn by chance, among all that nothing else routed.
    drawn = [item for item in seen if item.case.routed_by == ("audit",)]
    got = "drawn for an audit, which may be any row" if drawn else f"{len(seen)} cases"
    return Check.of(_UNROUTED, len(seen) == len(drawn), got=got, expected=expected, step=step, negative=True)


def reviewers_named(site: Site) -> tuple[str, ...]:
    """Identities that have the role `review` by name, sorted: rule 3."""
    named = {identity for identity, roles in site.roles.items() if "review" in roles}
    proxy = site.identity.proxy
    if proxy is not None:
        named |= {f"cert:{subject}" for subject in proxy.roles.get("review", ()) if subject != _ANYBODY}
    return tuple(sorted(named))


def _grants(site: Site) -> bool:
    """Whether somebody may have the role who is not named."""
    oidc, proxy = site.identity.oidc, site.identity.proxy
    by_provider = oidc is not None and bool(oidc.roles.get("review"))
    return by_provider or (proxy is not None and _ANYBODY in proxy.roles.get("review", ()))


def _who_decided(workplace: Workplace) -> dict[str, int]:
    """How many decisions each identity has made, ever."""
    found: dict[str, int] = {}
    for events in case_events(workplace).since(date.min, {acts.DECIDED}).events.values():
        for event in events:
            found[event.actor] = found.get(event.actor, 0) + 1
    return found


def _manned(site: Site, named: Sequence[str], decided_by: dict[str, int]) -> Check:
    """Rule 3."""
    name, expected = "somebody has the role to review", "an identity with the role `review`"
    if named:
        return Check.of(name, True, got=", ".join(named), expected=expected)
    if not _grants(site):
        got = "nobody is named; at a development site everybody may do everything"
        return Check.of(
            name, False, got=got if site.environment == "development" else "nobody", expected=expected,
            step=_NAME_THEM,
        )  # fmt: skip
    came = sorted(actor for actor in decided_by if actor.startswith(("oidc:", "cert:")))
    if came:
        got = f"granted by the identity provider or proxy; has decided: {', '.join(came)}"
        return Check.of(name, True, got=got, expected=expected)
    why = "the identity provider or proxy grants it, and nobody whom it let in has decided a case"
    return Check.missing(name, why=why, expected=expected, step=f"{_NAME_THEM}; or let one of them decide a case")


def _in_time(found: ReviewStats) -> Check:
    """Rule 4."""
    queue = found.queue
    got = (
        f"{queue.overdue} of {queue.waiting} waiting are overdue; in {DAYS} days {found.expired} of {found.cases} "
        "expired"
    )
    return Check.of(
        "no case is overdue", not queue.overdue, got=got, expected="0 overdue",
        step="Run `fielded review list`: what is due first comes first",
    )  # fmt: skip


def _used(decided_by: dict[str, int], found: ReviewStats) -> Check:
    """Rule 5."""
    name, expected = "people have decided cases", "a decision by a person at least"
    if not decided_by:
        step = "Have a reviewer decide a case: `fielded review claim`, then `fielded review decide`"
        return Check.missing(name, why="nobody has decided one yet", expected=expected, step=step)
    got = f"{sum(decided_by.values())} decisions by {len(decided_by)}; {found.decided} in {DAYS} days"
    return Check.of(name, True, got=got, expected=expected)


COLLECTOR: Collector[Bench] = Collector(
    id="review-path",
    title="A score in the review band reaches a person, and people decide",
    look=look,
    holds_for=timedelta(days=7),
    expected="what is in production, loaded and able to score",
)
