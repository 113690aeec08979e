"""Let the gold table show what people decided. Nothing that was scored is rewritten in the ledger.

The days whose rows a decision is about, or is carried to, are published again from the ledger: the run that stands
there, with all decisions so far. How far that has come is an application transaction of the gold table, `review`,
which counts the ledger's events: a process that dies between a decision and this leaves the decision's days
behind, and the next refresh, of whatever decision, brings them along.
"""

from datetime import date

from fielded.decisions.review import acts
from fielded.services.publish import REVIEWED, prepare_final_columns, publish_again, shown_up_to
from fielded.services.review.finals import case_events
from fielded.world.review_rows import days_of
from fielded.world.workplace import Workplace


def refresh_scores(workplace: Workplace) -> tuple[date, ...]:
    """Publish every day again that decisions since the last refresh are about.

    Returns:
        The days, ascending.

    Raises:
        Refused: an event cannot be read.
        Unreachable: the ledger or the gold table cannot be read or written.
    """
    gold = workplace.tables.find(workplace.deployment.batch.output)
    predictions = workplace.tables.find(workplace.ledger.predictions)
    if gold is None or predictions is None:
        return ()
    done = gold.transaction_version(REVIEWED) or 0
    read = case_events(workplace).since(date.min, acts.SETTLING, after=done)
    if not read.events:
        return ()
    own = {date.fromisoformat(events[0].details["scored_date"]) for events in read.events.values()}
    subjects = {str(events[0].details["subject"]) for events in read.events.values()}
    # A decision covers later scores of its subject; of a day before it was scored it says nothing.
    days = sorted(own | days_of(predictions, subjects, min(own)))
    prepare_final_columns(workplace)
    shown = tuple(day for day in days if publish_again(workplace, day, read.sequence))
    shown_up_to(workplace, read.sequence)
    return shown
