"""When a score counts as made, for the question whether an outcome became known after it."""

import ibis
import ibis.expr.types as ir

from fielded.decisions.rows import PARTITION


def moment_of(rows: ir.Table) -> ir.Value:
    """The moment of each score, UTC without a zone: when it was made.

    A score that was made after its day, by a back-fill, stands for the one that the day would have had, and counts
    as made when its day began: its features are that day's, and an outcome that came since is one of it.

    Args:
        rows: have `scored_at` and the day of the score.
    """
    made, day = rows.scored_at.cast("timestamp"), rows[PARTITION].cast("timestamp")
    return ibis.ifelse(made >= day + ibis.interval(days=1), day, made)
