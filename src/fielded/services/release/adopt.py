"""Adopt what the registry serves: from then on the ledger decides, and aliases follow it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.state import ReleaseState
from fielded.services.approve import approved_digest
from fielded.services.authority import require_release
from fielded.services.release.record import append, state_of
from fielded.services.seal import seal
from fielded.words.errors import Refused
from fielded.world.registry import NotRegistered, RegisteredVersion
from fielded.world.workplace import Workplace

_STAGE = "Production"


def adopt(workplace: Workplace) -> ReleaseState:
    """Take over what the definition's aliases stand on, with the digests that were approved.

    Where `alias` is not set, the one version in MLflow's stage `Production` stands in; the stage is left as it is,
    and not read again. Where both are set and differ, the alias counts, for it is what was served here, and the
    event tells the stage's versions under `staged`: other tools may serve those. A `previous_alias` that stands
    nowhere, or on the same version, adopts no previous version.

    Raises:
        Refused: the asking person may not release, something was adopted or promoted already, or several versions
            are in the stage.
        NotApproved: a version's files were never approved.
        NotRegistered: no alias and no stage says what is in production.
    """
    require_release(workplace)
    state = state_of(workplace)
    if state.production is None:
        current = _current(workplace)
        previous = _previous(workplace, current)
        staged = [model.version for model in workplace.registry.in_stage(current.name, _STAGE)]
        differing = {"staged": staged} if set(staged) - {current.version} else {}
        state = _adopt(workplace, state, current, previous, differing)
        seal(workplace)
        return state
    raise Refused(f"adopt: got {state.production} in production by the ledger, expected nothing released yet")


def adopt_aliases(workplace: Workplace, state: ReleaseState) -> ReleaseState:
    """For a rollback where nothing was adopted yet: both aliases, or nothing.

    Raises:
        NotRegistered: one of them is not there.
        Refused: both stand on one version, which leaves nothing to go back to.
        NotApproved: a version's files were never approved.
    """
    ref = workplace.deployment.model
    current = workplace.registry.resolve(ref.name, ref.alias)
    previous = workplace.registry.resolve(ref.name, ref.previous_alias)
    if current == previous:
        raise Refused(
            f"{ref.previous_alias}: got {previous}, as `{ref.alias}`, expected another version to go back to"
        )
    return _adopt(workplace, state, current, previous)


def _adopt(
    workplace: Workplace,
    state: ReleaseState,
    current: RegisteredVersion,
    previous: RegisteredVersion | None,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> ReleaseState:
    details = {
        "production": _pinned(workplace, current).as_dict(),
        "previous": None if previous is None else _pinned(workplace, previous).as_dict(),
        **told,
    }
    return append(workplace, state, acts.ADOPTED, details)


def _pinned(workplace: Workplace, model: RegisteredVersion) -> Pinned:
    return Pinned(model.version, approved_digest(workplace.ledger, model))


def _current(workplace: Workplace) -> RegisteredVersion:
    ref = workplace.deployment.model
    try:
        return workplace.registry.resolve(ref.name, ref.alias)
    except NotRegistered:
        staged = workplace.registry.in_stage(ref.name, _STAGE)
        if not staged:
            raise
    if len(staged) > 1:
        versions = ", ".join(model.version for model in staged)
        raise Refused(
            f"stage {_STAGE}: got versions {versions}, expected one. Set the alias `{ref.alias}` on the one that "
            "is in production"
        )
    return staged[0]


def _previous(workplace: Workplace, current: RegisteredVersion) -> RegisteredVersion | None:
    ref = workplace.deployment.model
    try:
        previous = workplace.registry.resolve(ref.name, ref.previous_alias)
    except NotRegistered:
        return None
    return None if previous == current else previous
