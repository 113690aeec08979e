"""What people do about a case: claim, release, judge, decide, judge second, reassign, escalate, appeal.

Each act is an event, appended only onto the state that it rests on; `decisions.review.state` has the rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from fielded.decisions.review import acts
from fielded.decisions.review.acts import Outcome, final_of
from fielded.decisions.review.case import Case, drawn_for_second
from fielded.decisions.review.queue import Waiting, waiting
from fielded.decisions.review.state import CaseState
from fielded.services.authority import require_role, roles_of
from fielded.services.review.queue import look
from fielded.services.review.record import Opened, append, open_case
from fielded.services.review.refresh import refresh_scores
from fielded.services.seal import seal
from fielded.words.errors import FieldedError, Refused, WrongUse
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Done:
    """What an act came to. It is on record whatever could not be done after it.

    Attributes:
        case: the case.
        state: with the act.
        shown: days that the gold table shows anew.
        not_done: what is left to do, and how.
    """

    case: Case
    state: CaseState
    shown: tuple[date, ...] = ()
    not_done: tuple[str, ...] = ()


def claim(workplace: Workplace, request_id: str) -> Done:
    """Take a case that waits, or prolong one's claim.

    Raises:
        WrongUse: there is no such case.
        Refused: the asking person may not review or not take it, somebody holds it, or it does not wait.
        Lost: somebody was first.
        Unreachable: the ledger cannot be read or written.
    """
    opened, now = _open(workplace, request_id), workplace.clock()
    case, state = opened.case, opened.state
    item = waiting(case, state, workplace.deployment.review)
    if state.holder(now) is None and state.stage == "open":
        _refuse_outside_of_queue(workplace, item, now)
    details = {**_taking(workplace, item, now), "stage": state.stage}
    return Done(case, append(workplace, opened, acts.CLAIMED, details, now))


def release(workplace: Workplace, request_id: str) -> Done:
    """Give a case back that one holds.

    Raises:
        Refused: the asking person does not hold it; otherwise as `claim`.
    """
    opened = _open(workplace, request_id)
    return Done(opened.case, append(workplace, opened, acts.RELEASED, {}))


def judge(workplace: Workplace, request_id: str, *, flag: bool) -> Done:
    """Say what one would decide before the score is shown.

    Args:
        workplace: the deployment at its site.
        request_id: of a case that the asking person holds.
        flag: whether he would flag it.

    Raises:
        Refused: the case is not judged first, or he has judged it; otherwise as `release`.
    """
    opened = _open(workplace, request_id)
    state = append(workplace, opened, acts.JUDGED, {"flag": flag})
    return _sealed(workplace, Done(opened.case, state))


def decide(workplace: Workplace, request_id: str, outcome: Outcome, reason: str, text: str) -> Done:
    """Keep or override what the model makes of a case. The gold table shows it.

    Args:
        workplace: the deployment at its site.
        request_id: of a case that the asking person holds.
        outcome: `keep` or `override`.
        reason: a code of `review.reasons`.
        text: why, in words.

    Raises:
        WrongUse: the definition has no such reason.
        Refused: the case is still to be judged first; otherwise as `release`.
    """
    review = workplace.deployment.review
    if outcome not in ("keep", "override"):
        raise WrongUse(f"decision: got {outcome}, expected keep or override")
    if reason not in review.reasons:
        raise WrongUse(f"reason: got {reason}, expected one of {', '.join(review.reasons)}")
    opened = _open(workplace, request_id)
    case, state = opened.case, opened.state
    item = waiting(case, state, review)
    details = {
        "outcome": outcome,
        "final": final_of(case.flag is (outcome == "keep")),
        "reason": reason,
        "text": text.strip(),
        "second_due": not state.decisions and drawn_for_second(case.request_id, review.second_share),
        "flag": case.flag,
        "score": case.score,
        "scored_at": case.scored_at.isoformat(),
        "due_at": item.due_at.isoformat(),
        "decision": case.decision,
        "routed_by": list(case.routed_by),
        "propensity": case.propensity,
        "model_version": case.model_version,
        "channel": case.channel,
        "slices": _slices(workplace, opened.row),
    }
    return _shown(workplace, Done(case, append(workplace, opened, acts.DECIDED, details)))


def judge_second(workplace: Workplace, request_id: str, *, flag: bool) -> Done:
    """Judge a decided case without having seen how it was decided. Where one differs, a third person decides.

    Args:
        workplace: the deployment at its site.
        request_id: of a case that waits for a second judgement and that the asking person holds.
        flag: whether he would flag it.

    Raises:
        Refused: it waits for something else; otherwise as `release`.
    """
    opened = _open(workplace, request_id)
    decisions = opened.state.decisions
    agrees = bool(decisions) and final_of(flag) == decisions[-1].final
    details = {"flag": flag, "agrees": agrees}
    return _shown(workplace, Done(opened.case, append(workplace, opened, acts.SECOND_JUDGED, details)))


def reassign(workplace: Workplace, request_id: str, to: str, reason: str) -> Done:
    """Give a case to somebody who may review, whoever holds it.

    Args:
        workplace: the deployment at its site.
        request_id: of a case that waits.
        to: identity, as the site's roles have it.
        reason: why, in words.

    Raises:
        Refused: that person, or the asking one, may not take the case; otherwise as `claim`.
    """
    opened, now = _open(workplace, request_id), workplace.clock()
    if "review" not in roles_of(workplace.site, to):
        raise Refused(f"to: got {to}, who may not review here, expected somebody with the role `review`")
    item = waiting(opened.case, opened.state, workplace.deployment.review)
    if opened.state.holder(now) is None and opened.state.stage == "open":
        _refuse_outside_of_queue(workplace, item, now)
    details = {
        **_taking(workplace, item, now),
        "stage": opened.state.stage,
        "to": to,
        "reason": reason.strip(),
    }
    return Done(opened.case, append(workplace, opened, acts.REASSIGNED, details, now))


def escalate(workplace: Workplace, request_id: str, reason: str) -> Done:
    """Have another person decide a case that one holds and cannot decide.

    Raises:
        Refused: no reason is given; otherwise as `release`.
    """
    opened = _open(workplace, request_id)
    state = append(workplace, opened, acts.ESCALATED, {"reason": reason.strip()})
    return _sealed(workplace, Done(opened.case, state))


def appeal(workplace: Workplace, request_id: str, reason: str) -> Done:
    """Have others decide anew. Until they have, the decision does not stand, and the gold table says so.

    Raises:
        Refused: no decision stands, or no reason is given; otherwise as `claim`.
    """
    opened = _open(workplace, request_id)
    state = append(workplace, opened, acts.APPEALED, {"reason": reason.strip()})
    return _shown(workplace, Done(opened.case, state))


def _open(workplace: Workplace, request_id: str) -> Opened:
    require_role(workplace, "review")
    return open_case(workplace, request_id)


def _taking(workplace: Workplace, item: Waiting, now: datetime) -> dict[str, Any]:
    """What an event says by which somebody gets a case.

    Raises:
        Refused: it has expired.
    """
    review, state = workplace.deployment.review, item.state
    if state.stage != "settled" and now >= item.expires_at:
        raise Refused(
            f"case {item.case.request_id}: got one that expired on {item.expires_at:%Y-%m-%d %H:%M} UTC, expected "
            "one that `fielded review list` shows"
        )
    until = now + timedelta(hours=review.claim_hours)
    judge_first = state.stage != "second" and review.judged_first(item.case.score)
    # A settled case is refused by the rules; its expiry says nothing.
    until = until if state.stage == "settled" else min(until, item.expires_at)
    return {"until": until.isoformat(), "judge_first": judge_first}


def _refuse_outside_of_queue(workplace: Workplace, item: Waiting, now: datetime) -> None:
    """A case that a newer one of its subject has taken the place of, or that an earlier decision covers."""
    if now >= item.expires_at:
        return  # said where the claim is made
    case = item.case
    waits = look(workplace, case.subject)
    if any(one.case.request_id == case.request_id for one in waits):
        return
    instead = waits[0].case.request_id if waits else ""
    got = f"one in whose place {instead} stands" if instead else "one that a decision about its subject covers"
    step = f"Run `fielded review claim {instead}`" if instead else "Nothing is left to do"
    raise Refused(
        f"case {case.request_id}: got {got}, or whose run counts no more, expected one that `fielded review list` "
        f"shows. {step}"
    )


def _slices(workplace: Workplace, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row's values of the features that statistics are made by."""
    features = row["features"] or {}
    return {name: features.get(name) for name in workplace.deployment.slices}


def _shown(workplace: Workplace, done: Done) -> Done:
    """With the gold table as it is to be by now."""
    try:
        shown = refresh_scores(workplace)
    except FieldedError as error:
        left = f"The gold table does not show it yet: {error}. Run `fielded review refresh`"
        return _sealed(workplace, Done(done.case, done.state, (), (left,)))
    return _sealed(workplace, Done(done.case, done.state, shown))


def _sealed(workplace: Workplace, done: Done) -> Done:
    try:
        seal(workplace)
    except FieldedError as error:
        left = f"It is not sealed yet: {error}. Run `fielded audit verify`"
        return Done(done.case, done.state, done.shown, (*done.not_done, left))
    return done
