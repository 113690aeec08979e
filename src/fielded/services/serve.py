"""What one serving process does beside answering: it follows what is in production (`follow`), tells what it
serves, ends a trial that breaks a limit, and drains the journals.

When it claims a journal and when it lets it go, it puts on record where the journal's chain stands. Those events
are sealed, so a journal that loses rows afterwards, or is lost itself, is noticed (`services.verify_anchors`).
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import date

from fielded.decisions.rows import API, PROBE
from fielded.services.compact import compact_past
from fielded.services.drain import Drained, drain
from fielded.services.follow import Following
from fielded.services.journal_events import JOURNAL_CLAIMED, JOURNAL_CLOSED
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.record_definition import record_definition
from fielded.services.release.observe import observe, told
from fielded.services.release.record import Lost
from fielded.services.release.trial import TrialRun, end_by_itself, why_to_end
from fielded.services.score_live import LiveScoring, Settled
from fielded.words.errors import FieldedError, Refused
from fielded.world.journal import End, Journal, Serving
from fielded.world.registry import RegisteredVersion
from fielded.world.turns import turn
from fielded.world.workplace import Workplace

_LOG = logging.getLogger("fielded.live")
_HELD = 3  # versions in memory: production, the one before it, a candidate
_JUDGE_SECONDS = 2.0  # between two looks at what all workers have counted of a canary


class Live:
    """A serving process.

    Args:
        workplace: the deployment at its site.
        scoring: scores and journals.
        journal: that it writes.
        following: keeps what scores in step with the ledger.
        ticks: seconds that only go up.
    """

    def __init__(
        self,
        workplace: Workplace,
        scoring: LiveScoring,
        journal: Journal,
        following: Following,
        ticks: Callable[[], float],
    ) -> None:
        self.workplace = workplace
        self.scoring = scoring
        self._journal = journal
        self._following = following
        self._ticks = ticks
        self._ledger = workplace.ledger.identity()
        self._host = socket.gethostname()
        self._compacted: date | None = None
        self._judged = ticks()
        self._ending: tuple[TrialRun, str] | None = None  # ended here, and not on record yet

    def begin(self) -> None:
        """Tell what is served, look once more whether that is still right, and start to score.

        In this order: whoever waits for all workers to follow finds this one told, or it finds the new version.
        """
        self.report_once()
        if self._following.production() is not None:
            self.report_once()
        self.scoring.start()

    def follow_once(self) -> RegisteredVersion | None:
        """Look what is in production and which bytes are approved, as a batch run does; see `Following`. Then hold
        ready what may score next.

        Returns:
            The new version, or None where nothing changed.

        Raises:
            FieldedError: the new version cannot be used, or the registry that decides does not answer; the old
                one goes on.
        """
        before = (self.scoring.scorer, self.scoring.withheld)
        try:
            moved = self._following.production()
        finally:
            if (self.scoring.scorer, self.scoring.withheld) != before:
                self._tell()
        self._following.beside()
        self._following.compare_aliases()
        return moved

    def follow_if_due(self) -> RegisteredVersion | None:
        """`follow_once`, if there may be something new; asks no more than the file system to know."""
        if self._following.due:
            return self.follow_once()
        self._following.compare_aliases()
        return None

    def report_once(self) -> None:
        """Tell the other processes, through the journals' store, what this one serves. One that only probes serves
        nobody, and tells nothing: a promotion that waits for all who serve need not wait for it.

        Raises:
            JournalDown: it could not be told.
        """
        if self.scoring.channel == PROBE:
            return
        scorer = self.scoring.scorer
        self._journal.report(
            Serving(
                journal=self._journal.id,
                ledger=self._ledger,
                host=self._host,
                pid=os.getpid(),
                model_version=scorer.model_version,
                artifact_sha256=scorer.artifact_sha256,
                withheld=self.scoring.withheld is not None,
                standby=self._following.standby,
                replayed=self._following.replayed,
                since=self._following.since,
                seen_at=self.workplace.clock(),
                trial=self._following.counts(),
            )
        )

    def judge_once(self) -> str | None:
        """End a trial whose candidate ended a process, a canary that broke a limit, and one that nobody can judge:
        here at once, and on record for all.

        Returns:
            Why it ended, once that is on record; None where it goes on, or none runs.

        Raises:
            FieldedError: it ended here, but that could not be put on record, and the next call tries again; or the
                others could not be heard.
        """
        now = self._ticks()
        if self._ending is None and now - self._judged >= _JUDGE_SECONDS:
            self._judged = now
            run = self._following.trial
            reason = None if run is None else self._following.died() or self._broken(run)
            if run is not None and reason is not None:
                self._following.stop_trial()
                _LOG.warning("trial of %s: production answers alone here: %s", run.pinned, reason)
                self._ending = (run, reason)
        if self._ending is None:
            return None
        run, reason = self._ending
        try:
            ours = end_by_itself(self.workplace, run, reason)
        except Lost:
            return None  # seen again by the next call
        self._ending = None
        return reason if ours else None

    def _broken(self, run: TrialRun) -> str | None:
        if not run.canary:
            return None
        live = [one for one in self.workplace.journals.serving() if one.ledger == self._ledger]
        return why_to_end(run, self._following.trial_seconds, live)

    def inspect_once(self) -> list[str]:
        """Look at aliases and files of production and previous in the registry; see `observe`.

        Returns:
            What differs, put on record.

        Raises:
            Unreachable: the registry or the ledger.
        """
        return [told(item) for item in observe(self.workplace, files=True)]

    def _tell(self) -> None:
        try:
            self.report_once()
        except FieldedError as error:  # told again soon
            _LOG.warning("what is served could not be told: %s", error)

    def drain_once(self) -> Drained:
        """See `services.drain.drain`. The first of a day also compacts the days before."""
        drained, today = drain(self.workplace), self.workplace.clock().date()
        if today != self._compacted and self.scoring.channel != PROBE:
            compact_past(self.workplace)
            self._compacted = today
        return drained

    def drain_in_turn(self) -> Drained | None:
        """`drain_once`, unless another process of this machine is at it: it takes the rows of all of them, and a
        second one would only make the same way again.
        """
        cache = self.workplace.site.cache / "drains" / self.workplace.deployment.name
        with turn(cache) as mine:
            return self.drain_once() if mine else None

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
            self._following.close()
            self.scoring.stop()


def open_live(
    workplace: Workplace,
    settle: Callable[[Settled], None],
    ticks: Callable[[], float] = time.monotonic,
    channel: str = API,
) -> Live:
    """Load the version that is in production, claim a journal, and start to score.

    Args:
        workplace: the deployment at its site.
        settle: see `LiveScoring`.
        ticks: seconds that only go up.
        channel: of its rows: `API`, or `PROBE` for a process that only probes.

    Raises:
        Refused: no approval, changed files, a journal that was put back to an earlier state.
        Unreachable: registry, tables or journal.
    """
    deployment = workplace.deployment
    scorers = Scorers(workplace, _HELD)
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
        channel=channel,
    )
    live = Live(workplace, scoring, journal, Following(workplace, scoring, scorers, ticks), ticks)
    try:
        live.begin()
    except BaseException:
        journal.close()
        raise
    return live


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
