"""From what is in production to a scorer of approved bytes.

The ledger says what is in production. Only where nothing was ever adopted or promoted does the registry's alias.
"""

import logging
from datetime import datetime, timedelta

from fielded.decisions.release.state import ReleaseState
from fielded.decisions.scoring import Scorer
from fielded.services.approve import approved_digest, check_approved
from fielded.services.release.observe import observe
from fielded.services.release.record import about, released_under_another_name, state_from
from fielded.words.deadline import within
from fielded.words.errors import FieldedError, NotApproved, Refused
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

_LOG = logging.getLogger("fielded.live")
_OBSERVE_EVERY = timedelta(seconds=30)
_OBSERVE_SECONDS = 2.0


def resolve(workplace: Workplace) -> tuple[RegisteredVersion, str]:
    """The version in production now, and the digest of its files. Asked once a run.

    An alias that stands elsewhere is put on record and not followed, and a registry that cannot be reached is not
    needed, where the ledger decides.

    Raises:
        NotApproved: nobody approved these files, or the approval was withdrawn.
        NotRegistered: nothing was adopted or promoted, and there is no such model or alias.
        Unreachable: the ledger, or where the alias decides the registry.
    """
    production = Production(workplace)
    model = production.model()
    sha256 = production.approved(model)
    production.observe()
    return model, sha256


class Production:
    """What is in production, for one that asks again and again: nothing is read where no event is new.

    Args:
        workplace: the deployment at its site.
    """

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self._version = -1
        self._state = ReleaseState()
        self._refusal: Refused | None = None  # of the events that were read last
        self._renamed: Refused | None = None
        self._approved: dict[str, str | NotApproved] = {}
        self._observed: datetime | None = None

    @property
    def state(self) -> ReleaseState:
        """The release state by the ledger as it is now.

        Raises:
            Refused: its events break a rule, or are not those that were read before: an earlier state of the
                ledger was put in its place. What was in production then may be what was rolled back since.
            Unreachable: the ledger cannot be read.
        """
        if not self._workplace.ledger.events_stand_at(self._version):
            self._read()
        if self._refusal is not None:
            raise Refused(str(self._refusal))
        return self._state

    def _read(self) -> None:
        read = self._workplace.ledger.release_events(about(self._workplace))
        self._version, self._approved, self._refusal = read.version, {}, None
        try:
            state = state_from(read)
            _check_continues(self._state, state)
            self._renamed = released_under_another_name(self._workplace, state)
            self._state = state
        except Refused as refusal:  # kept: events that break a rule are not read again until there is a new one
            self._refusal = refusal

    @property
    def version(self) -> int:
        """Version of the events table that was read last; another one means that events are new."""
        return self._version

    def model(self) -> RegisteredVersion:
        """The version in production, by the ledger or else by the alias.

        Raises:
            Refused: see `state`; or nothing of this model was released, but something of another.
        """
        ref, production = self._workplace.deployment.model, self.state.production
        if self._renamed is not None:
            raise Refused(str(self._renamed))
        if production is None:
            return self._workplace.registry.resolve(ref.name, ref.alias)
        return RegisteredVersion(ref.name, production.version)

    def approved(self, model: RegisteredVersion) -> str:
        """Digest of the files that `model`, as `model()` gave it, is to be loaded from.

        Raises:
            NotApproved: there is no approval of them.
        """
        if model.version not in self._approved:
            try:
                self._approved[model.version] = self._look_up(model)
            except NotApproved as refusal:
                self._approved[model.version] = refusal
        found = self._approved[model.version]
        if isinstance(found, NotApproved):
            raise found
        return found

    def _look_up(self, model: RegisteredVersion) -> str:
        production = self._state.production
        if production is None:
            return approved_digest(self._workplace.ledger, model)
        check_approved(self._workplace.ledger, model, production.sha256)
        return production.sha256

    def observe(self) -> None:
        """Look whether the registry's aliases stand where the ledger says; a difference is put on record, once.

        Never fails and never takes long: scores do not hang on a registry that the ledger has overruled.
        """
        now = self._workplace.clock()
        if self._state.production is None:
            return
        if self._observed is not None and now - self._observed < _OBSERVE_EVERY:
            return
        self._observed = now
        try:
            within(_OBSERVE_SECONDS, lambda: observe(self._workplace))
        except (FieldedError, TimeoutError) as error:
            _LOG.warning("aliases not compared with the ledger: %s", error)


def _check_continues(before: ReleaseState, now: ReleaseState) -> None:
    if before.count and before.history[-1].event_id not in {event.event_id for event in now.history}:
        raise Refused(
            f"release events: got {now.count}, expected all {before.count} that were there before and none other "
            f"in their place. What is served stays as it was after {before.history[-1]}. Find out who put an "
            "earlier state of the ledger back; a process that starts now takes the ledger as it is"
        )


class Scorers:
    """Loads scorers, and keeps those asked for last: a back-fill of a month loads its model once, and a rollback
    finds the version that it goes to loaded and verified.

    Args:
        workplace: the deployment at its site.
        keep: how many are kept; each takes the memory of its model.
    """

    def __init__(self, workplace: Workplace, keep: int = 2) -> None:
        self._workplace = workplace
        self._keep = keep
        self._held: dict[tuple[str, str], Scorer] = {}

    def get(self, model: RegisteredVersion, sha256: str) -> Scorer:
        """A scorer of the approved bytes of a version.

        Raises:
            ArtifactChanged: the files are not the approved ones; nothing was loaded.
            Refused: the model does not fit the definition, or its fast path and pyfunc disagree.
        """
        key = (model.version, sha256)
        scorer = self._held.pop(key, None) or _load(self._workplace, model, sha256)
        self._held[key] = scorer  # the last is the one asked for last
        while len(self._held) > self._keep:
            del self._held[next(iter(self._held))]
        return scorer


def _load(workplace: Workplace, model: RegisteredVersion, sha256: str) -> Scorer:
    # These bring MLflow and scikit-learn, two seconds that a rollback to a version held ready does not have.
    from fielded.world.fitting import check_fits, read_routing  # noqa: PLC0415
    from fielded.world.models import load_model  # noqa: PLC0415

    deployment = workplace.deployment
    folder = workplace.artifacts.approved(model, sha256)
    check_fits(folder, model, deployment)
    loaded = load_model(folder, deployment.model)
    return Scorer(
        model_name=model.name,
        model_version=model.version,
        artifact_sha256=sha256,
        definition_sha256=deployment.sha256,
        routing=read_routing(folder, deployment),
        predict=loaded.predict,
        background=loaded.background,
    )
