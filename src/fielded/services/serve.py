"""What one serving process does beside answering: it follows the alias and drains the journals.

When it claims a journal and when it lets it go, it puts on record where the journal's chain stands. Those events
are sealed, so a journal that loses rows afterwards, or is lost itself, is noticed (`services.verify_anchors`).
"""

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta

from fielded.decisions.scoring import Scorer
from fielded.services.approve import approved_digest
from fielded.services.compact import compact_past
from fielded.services.drain import Drained, drain
from fielded.services.journal_events import JOURNAL_CLAIMED, JOURNAL_CLOSED
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.record_definition import record_definition
from fielded.services.score_live import LiveScoring, Settled
from fielded.words.errors import FieldedError, NotApproved, Refused
from fielded.world.journal import End, Journal
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_LOG = logging.getLogger("fielded.live")
_PATIENCE = timedelta(seconds=60)  # a version that could not be used is not fetched and tried again before that


class Live:
    """A serving process.

    Args:
        workplace: the deployment at its site.
        scoring: scores and journals; started.
        journal: that it writes.
        scorers: where versions come from.
    """

    def __init__(self, workplace: Workplace, scoring: LiveScoring, journal: Journal, scorers: Scorers) -> None:
        self.workplace = workplace
        self.scoring = scoring
        self._journal = journal
        self._scorers = scorers
        self._compacted: date | None = None
        self._refused: tuple[tuple[RegisteredVersion, str], FieldedError, datetime] | None = None

    def follow_once(self) -> RegisteredVersion | None:
        """Look where the alias stands and which bytes are approved, as a batch run does. What has changed is
        verified and loaded beside what scores, and then takes its place; requests go on all the while.

        Where the approval of what scores was withdrawn, no more scores are given until there is one again.

        Returns:
            The new version, or None where nothing changed.

        Raises:
            FieldedError: the new version cannot be used or the registry does not answer; the old one goes on.
        """
        scorer, ref = self.scoring.scorer, self.workplace.deployment.model
        model = self.workplace.registry.resolve(ref.name, ref.alias)
        try:
            sha256 = approved_digest(self.workplace.ledger, model)
        except NotApproved as refusal:
            if model.version == scorer.model_version:
                self.scoring.withhold(refusal)
            raise
        if (model.version, sha256) == (scorer.model_version, scorer.artifact_sha256):
            if self.scoring.withheld is not None:
                self.scoring.swap(scorer)
            return None
        self.scoring.swap(self._load(model, sha256))
        return model

    def _load(self, model: RegisteredVersion, sha256: str) -> Scorer:
        """The scorer of a version; one that was just refused is refused again without another look."""
        now = self.workplace.clock()
        if self._refused is not None:
            what, error, when = self._refused
            if what == (model, sha256) and now - when < _PATIENCE:
                raise error
        try:
            return self._scorers.get(model, sha256)
        except FieldedError as error:
            self._refused = ((model, sha256), error, now)
            raise

    def drain_once(self) -> Drained:
        """See `services.drain.drain`. The first of a day also compacts the days before."""
        drained, today = drain(self.workplace), self.workplace.clock().date()
        if today != self._compacted:
            compact_past(self.workplace)
            self._compacted = today
        return drained

    def waiting_rows(self) -> int:
        """Rows in the journals that are not yet drained or trimmed."""
        return sum(backlog.rows for backlog in self.workplace.journals.backlogs())

    def close(self) -> None:
        """Answer all that was submitted, put on record where the journal ends, and let it go. Its rows stay in it
        until the next drain.
        """
        self.scoring.finish()
        try:
            _record_end(self.workplace, JOURNAL_CLOSED, self._journal.id, self._journal.end)
        except FieldedError as error:  # the rows are durable all the same
            _LOG.error("where the journal ends is not on record: %s", error)
        finally:
            self.scoring.stop()


def open_live(workplace: Workplace, settle: Callable[[Settled], None]) -> Live:
    """Load the version that the alias stands for, claim a journal, and start to score.

    Args:
        workplace: the deployment at its site.
        settle: see `LiveScoring`.

    Raises:
        Refused: no approval, changed files, a journal that was put back to an earlier state.
        Unreachable: registry, tables or journal.
    """
    deployment = workplace.deployment
    scorers = Scorers(workplace)
    model, sha256 = resolve(workplace)
    scorer = scorers.get(model, sha256)
    workplace.ledger.prepare(deployment)
    record_definition(workplace)
    journal = workplace.journals.claim(workplace.ledger.identity())
    try:
        end = journal.end
        _check_not_put_back(workplace, journal.id, end)
        _record_end(workplace, JOURNAL_CLAIMED, journal.id, end)
    except BaseException:
        journal.close()
        raise
    scoring = LiveScoring(
        scorer=scorer,
        features=deployment.features,
        journal=journal,
        clock=workplace.clock,
        random_bytes=workplace.random_bytes,
        max_group_rows=workplace.site.api.max_group_rows,
        settle=settle,
    )
    scoring.start()
    return Live(workplace, scoring, journal, scorers)


def _record_end(workplace: Workplace, kind: str, journal: str, end: End) -> None:
    workplace.record(kind, f"journal {journal}", {"sequence": end.sequence, "chain": end.head.hex()})


def _check_not_put_back(workplace: Workplace, journal: str, end: End) -> None:
    """A journal that is behind the ledger would use numbers again that stand for other rows."""
    reached = workplace.ledger.drained(journal)
    if end.sequence < reached:
        raise Refused(
            f"journal {journal}: got {end.sequence} as its last row, expected at least {reached}, which the "
            "ledger holds. An older copy was put in its place. Look at it, take it out of use with "
            f"`fielded drain --put-aside {journal}`, and start again"
        )
