"""What of a case a person is not shown, so that a judgement is his own.

While a case waits, its score, the model's decision and what others made of it are hidden

1. from everybody who has not given the first judgement that the definition asks for at this score;
2. at the stage `second`, from everybody but who decided it, for each of the others may be the second person;
3. before that, where a second person will judge it, from everybody but who holds it.

What is settled, or has expired, hides nothing. Whoever can read the ledger's tables can read all of it: reviewers
who are to judge by themselves need the role `review`, and not the tables.
"""

from datetime import datetime

from fielded.decisions.review.case import Case, drawn_for_second
from fielded.decisions.review.state import CaseState
from fielded.definition.review import Review


def is_hidden(case: Case, state: CaseState, person: str, review: Review, now: datetime) -> bool:
    """Whether the score and all that tells of it are hidden from a person.

    Args:
        case: that has not expired.
        state: of it.
        person: who looks.
        review: the definition's section.
        now: UTC.
    """
    if state.stage == "settled" or any(decision.by == person for decision in state.decisions):
        return False
    if state.stage == "second":
        return True
    holds = state.holder(now) == person
    judge_first = state.claim.judge_first if holds and state.claim is not None else review.judged_first(case.score)
    if judge_first and person not in state.judgements:
        return True
    will_be_judged = not state.decisions and drawn_for_second(case.request_id, review.second_share)
    return will_be_judged and not holds
