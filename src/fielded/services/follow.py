"""What must score in a serving process, looked up again and again: production, what to go back to, a trial.

Looking is cheap while no event is new: two questions to the file system (`Production`). So it is done several
times a second, and a rollback finds every process within that time, the version that it goes to already loaded.
"""

import logging
import math
import socket
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.tallies import Counts
from fielded.decisions.rows import PROBE
from fielded.decisions.scoring import Scorer
from fielded.services.approve import approved_digest, check_approved
from fielded.services.prepare_scorer import Production, Scorers
from fielded.services.release.trial import TrialRun, run_of, salt_of
from fielded.services.release.verified import verified
from fielded.services.score_live import LiveScoring
from fielded.services.score_trial import Candidate
from fielded.words.errors import FieldedError, NotApproved
from fielded.world.registry import NotRegistered, RegisteredVersion
from fielded.world.trial_marks import TrialMarks
from fielded.world.workplace import Workplace

_LOG = logging.getLogger("fielded.live")
_PATIENCE = timedelta(seconds=60)  # a version that could not be used is not fetched and tried again before that


class Following:
    """Keeps what scores in step with the ledger.

    Args:
        workplace: the deployment at its site.
        scoring: what scores.
        scorers: where versions come from; keeps three.
        ticks: seconds that only go up.

    Attributes:
        since: when the version that scores now began to, UTC.
        standby: what is loaded to go back to, and has replayed recorded rows.
        replayed: how many rows that scored again to the last bit.
        trial: that must run here; None where none must.
    """

    def __init__(
        self, workplace: Workplace, scoring: LiveScoring, scorers: Scorers, ticks: Callable[[], float]
    ) -> None:
        self.since = workplace.clock()
        self.standby: Pinned | None = None
        self.replayed = 0
        self.trial: TrialRun | None = None
        self._workplace = workplace
        self._scoring = scoring
        self._scorers = scorers
        self._ticks = ticks
        self._production = Production(workplace)
        self._looked: tuple[int, float] | None = None  # version of the events table, and when
        self._again = ticks()  # when to try again to hold ready what is not
        self._refused: dict[tuple[RegisteredVersion, str], tuple[FieldedError, datetime]] = {}
        self._trial_since = 0.0
        self._ended = ""  # salt of a trial that was ended here
        self._turn = threading.Lock()  # one thread may end a trial while another loads its candidate
        self._marks = TrialMarks(workplace.site.cache / "trials" / workplace.deployment.name)
        self._told = ""

    @property
    def due(self) -> bool:
        """Whether there may be something new: an event, or where no event decides the time to ask the registry.
        Or something to hold ready that is not.
        """
        if self._looked is None or self._ticks() >= self._again:
            return True
        version, at = self._looked
        by_ledger = self._production.state.production is not None
        if self._production.version != version:
            return True
        return not by_ledger and self._ticks() - at >= self._workplace.site.api.alias_seconds

    def production(self) -> RegisteredVersion | None:
        """Let production score here, and nothing where its approval is withdrawn. A new version is verified and
        loaded beside what scores, and then takes its place; requests go on all the while.

        Returns:
            The new version, or None where nothing changed.

        Raises:
            FieldedError: it cannot be used, or nobody says what it is; what scored goes on, unless it is that
                version whose approval is withdrawn.
        """
        scorer = self._scoring.scorer
        self._looked = None
        model = self._production.model()
        version, at = self._production.version, self._ticks()
        self._drop_candidate()  # before it is told that a new version is served: then nothing else answers
        try:
            sha256 = self._production.approved(model)
        except NotApproved as refusal:
            if model.version == scorer.model_version:
                self._scoring.withhold(refusal)
            self._looked = (version, at)
            raise
        moved = None
        if (model.version, sha256) != (scorer.model_version, scorer.artifact_sha256):
            self._scoring.swap(self._load(model, sha256))
            self.since = self._workplace.clock()
            moved = model
        elif self._scoring.withheld is not None:
            self._scoring.swap(scorer)
        self._looked = (version, at)
        return moved

    def beside(self) -> None:
        """Hold ready what may score next: the version to go back to, and a candidate on trial. What cannot be had
        is told in the log, once, and scores go on without it. What only probes needs neither.
        """
        self._again = math.inf
        if self._scoring.channel == PROBE:
            return
        try:
            self.standby = self._hold_standby()
        except FieldedError as error:
            self.standby = None
            self._fail(f"no version is held ready to go back to: {error}")
        try:
            self._follow_trial()
        except FieldedError as error:
            self._alone()
            self._fail(f"the candidate is not tried here: {error}")

    def compare_aliases(self) -> None:
        """See `Production.observe`."""
        if self._production.state.production is not None:
            self._production.observe()

    def counts(self) -> Counts | None:
        """What to tell of the trial."""
        candidate, trial = self._scoring.candidate, self.trial
        if candidate is not None:
            return candidate.counts()
        if trial is None:
            return None
        return Counts(trial=trial.salt, running=False, idle_seconds=self.trial_seconds)

    @property
    def trial_seconds(self) -> float:
        """Since the trial was first seen here."""
        return self._ticks() - self._trial_since

    def stop_trial(self) -> None:
        """Let production answer alone from now on, whatever the ledger says of this trial."""
        with self._turn:
            if self.trial is not None:
                self._ended = self.trial.salt
            self.trial = None
            self._alone()

    def died(self) -> str | None:
        """That a process of this machine died while it tried the candidate, as a reason to end the trial."""
        if self.trial is None:
            return None
        left = self._marks.left(self.trial.salt)
        if not left:
            return None
        return (
            f"died: got {left} processes on {socket.gethostname()} that ended without a word while they tried "
            "the candidate, expected none"
        )

    def close(self) -> None:
        """Try nothing any more: this process ends."""
        self._marks.release()

    def _alone(self) -> None:
        """Let production score alone."""
        self._scoring.try_out(None)
        self._marks.release()

    def _drop_candidate(self) -> None:
        """Let production score alone where the candidate's trial has ended, or its approval was withdrawn."""
        candidate, held = self._scoring.candidate, self._production.state.trial
        if candidate is None:
            return
        if held is None or salt_of(held) != candidate.trial:
            self._alone()
            return
        model = RegisteredVersion(self._workplace.deployment.model.name, held.pinned.version)
        try:
            check_approved(self._workplace.ledger, model, held.pinned.sha256)
        except NotApproved:
            self._alone()

    def _hold_standby(self) -> Pinned | None:
        wanted = self._previous()
        if wanted is None or wanted.version == self._scoring.scorer.model_version:
            return None
        model = RegisteredVersion(self._workplace.deployment.model.name, wanted.version)
        check_approved(self._workplace.ledger, model, wanted.sha256)
        self._load(model, wanted.sha256)
        if wanted != self.standby:
            self.replayed = verified(self._workplace, self._scorers, wanted)
        return wanted

    def _previous(self) -> Pinned | None:
        ref, state = self._workplace.deployment.model, self._production.state
        if state.production is not None:
            return state.previous
        try:
            model = self._workplace.registry.resolve(ref.name, ref.previous_alias)
        except NotRegistered:
            return None
        return Pinned(model.version, approved_digest(self._workplace.ledger, model))

    def _follow_trial(self) -> None:
        held = self._production.state.trial
        run = None if held is None else run_of(held)
        if run is None or run.salt == self._ended:
            self.trial = None
            self._alone()
            return
        if self.trial is None or self.trial.salt != run.salt:
            self.trial, self._trial_since = run, self._ticks()
        if self._marks.left(run.salt):
            return  # `died` tells; loading it, or scoring with it, may be what they died of
        model = RegisteredVersion(self._workplace.deployment.model.name, run.pinned.version)
        check_approved(self._workplace.ledger, model, run.pinned.sha256)
        self._marks.hold(run.salt)
        scorer = self._load(model, run.pinned.sha256)
        with self._turn:
            if run.salt == self._ended:
                self._alone()
            elif self._scoring.candidate is None or self._scoring.candidate.trial != run.salt:
                self._scoring.try_out(Candidate(scorer, run, self._scoring.schema, self._ticks))

    def _load(self, model: RegisteredVersion, sha256: str) -> Scorer:
        """The scorer of a version; one that was just refused is refused again without another look."""
        now = self._workplace.clock()
        error, when = self._refused.get((model, sha256), (None, now))
        if error is not None and now - when < _PATIENCE:
            raise error
        try:
            return self._scorers.get(model, sha256)
        except FieldedError as error:
            self._refused[model, sha256] = (error, now)
            raise

    def _fail(self, text: str) -> None:
        self._again = self._ticks() + _PATIENCE.total_seconds()
        if text != self._told:
            self._told = text
            _LOG.error("%s", text)
