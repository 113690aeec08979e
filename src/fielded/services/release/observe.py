"""Compare the registry with what the ledger says is in production, and put a difference on record, once.

The state is read first and the registry after it; the observation gets in only if no release event was written
between. So nobody is accused who moved an alias by a promotion that was under way.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.state import ReleaseState, seen
from fielded.services.release.record import Lost, append, state_of
from fielded.words.errors import ArtifactChanged
from fielded.world.registry import ArtifactGone, NotRegistered, RegisteredVersion
from fielded.world.workplace import Workplace

Observation = tuple[str, Mapping[str, Any]]


def observe(workplace: Workplace, *, files: bool = False) -> list[Observation]:
    """What differs now, each put on record unless it is already.

    Args:
        workplace: the deployment at its site.
        files: also fetch the files of production and previous, and compare their digests.

    Raises:
        Unreachable: the registry or the ledger.
    """
    state = state_of(workplace)
    found = list(differences(workplace, state, files=files))
    for kind, details in found:
        if not seen(state, kind, details):
            try:
                state = append(workplace, state, kind, details)
            except Lost:
                return found  # others acted meanwhile: what was seen may be over, and is looked at again
    return found


def differences(workplace: Workplace, state: ReleaseState, *, files: bool = False) -> Iterator[Observation]:
    """What differs, as observations. None while a transition is open or its aliases are still to be set."""
    ref = workplace.deployment.model
    if state.production is None or state.open is not None:
        return
    standing = workplace.registry.aliases(ref.name)
    for alias, pinned in ((ref.alias, state.production), (ref.previous_alias, state.previous)):
        if pinned is None:
            continue
        model = RegisteredVersion(ref.name, pinned.version)
        try:
            if standing.get(alias) != pinned.version or files:
                workplace.registry.version(model.name, model.version)
        except NotRegistered:
            yield acts.VERSION_MISSING, {"version": pinned.version}
            continue
        if standing.get(alias) != pinned.version and not state.aliases_due:
            got = standing.get(alias)
            yield acts.ALIAS_MOVED, {"alias": alias, "got": got, "expected": pinned.version}
        if files:
            yield from _changed(workplace, model, pinned)


def _changed(workplace: Workplace, model: RegisteredVersion, pinned: Pinned) -> Iterator[Observation]:
    try:
        _, found = workplace.artifacts.take(model)
    except ArtifactGone:  # but not a registry that does not answer: nobody changed anything then
        found = "no files"
    except ArtifactChanged:
        found = "files that have no digest, such as links"
    if found != pinned.sha256:
        yield (
            acts.ARTIFACT_CHANGED,
            {"version": pinned.version, "got": found, "expected": pinned.sha256},
        )


def told(observation: Observation) -> str:
    """What differs, in words, with its next step."""
    kind, details = observation
    if kind == acts.ALIAS_MOVED:
        return (
            f"Alias `{details['alias']}`: got {_version(details['got'])}, expected version {details['expected']}. "
            "Somebody moved it by hand; it is not followed. `fielded release reconcile` puts it back"
        )
    if kind == acts.VERSION_MISSING:
        return (
            f"Version {details['version']}: got nothing in the registry, expected it. Somebody deleted it; the "
            "site's copy of its files is used"
        )
    return (
        f"Version {details['version']}: got files with digest {details['got']} in the registry, expected "
        f"{details['expected']}. Find out who changed them; they are not loaded"
    )


def _version(got: object) -> str:
    return "nothing" if got is None else f"version {got}"
