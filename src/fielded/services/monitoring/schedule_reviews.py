"""Put reviews after promotion on record. Apart from `reviews`, which reads labels: a promotion does without."""

from fielded.decisions.monitoring import release_reviews as rules
from fielded.decisions.monitoring.release_reviews import ReleaseReview
from fielded.services.release.record import about, state_of
from fielded.words.errors import Refused, Unreachable
from fielded.world.workplace import Workplace

_KINDS = frozenset({rules.SCHEDULED, rules.OPENED, rules.CLOSED})


def schedule_reviews(workplace: Workplace) -> int:
    """Put on record every review that what is in production asks for and that is not there; how many.

    A promotion calls it, and so does each run of the monitor: where a promotion died before it came to this, or
    the definition asks for another day meanwhile, the run puts that right. Whoever calls it a second time changes
    nothing.

    Raises:
        Refused: the ledger's events break a rule.
        Unreachable: the ledger.
    """
    watch = workplace.deployment.monitoring
    owner = workplace.deployment.people.monitoring_owner.name
    known = scheduled_reviews(workplace)
    asked = rules.asked_for(state_of(workplace).history, watch.reviews, watch.review_due_days, owner)
    new = [review for review in asked if review.id not in known]
    for review in new:
        once = f"release-review/{about(workplace)}/{review.id}"
        workplace.record(rules.SCHEDULED, about(workplace), review.details(), once=once)
    return len(new)


def scheduled_reviews(workplace: Workplace) -> dict[str, ReleaseReview]:
    """Every review on record by its id, in the order in which they open.

    Raises:
        Refused: an event of theirs cannot be read.
        Unreachable: the ledger.
    """
    return rules.fold(workplace.ledger.events_of(_KINDS, about(workplace)))


def not_scheduled(workplace: Workplace) -> str:
    """Schedule them; what to do where that failed, and nothing where it did not. What was promoted stays so."""
    try:
        schedule_reviews(workplace)
    except (Refused, Unreachable) as error:
        return f"The reviews after promotion were not scheduled: {error}. The next `fielded monitor run` does that"
    return ""
