"""Releases in tests: people, and a candidate brought as far as a test wants it."""

from collections.abc import Sequence
from typing import Any

from conftest import Spare
from fielded.decisions.release import acts
from fielded.decisions.release.state import ReleaseState
from fielded.services.approve import approve as approve_files
from fielded.services.release.candidates import approve, propose
from fielded.services.release.record import append, state_of
from fielded.services.release.status import status
from fielded.world.workplace import Workplace

AUTHOR, FIRST, SECOND = "os:author", "os:first", "os:second"
PASSED = {"name": "shift/score[overall]", "outcome": "passed", "got": "0.01", "expected": "at most 0.3"}
FAILED = {"name": "shift/score[kind=engine]", "outcome": "failed", "got": "-0.8", "expected": "at most 0.3"}


def another_version(spare: Spare, of: str = "1") -> str:
    """A further version with the files of another, approved for loading."""
    made = spare.store.client.create_model_version(spare.model, spare.files[of].as_uri())
    approve_files(spare.open(), str(made.version))
    return str(made.version)


def compared(
    workplace: Workplace, version: str, findings: Sequence[dict[str, str]] = (PASSED,), **changes: Any
) -> ReleaseState:
    """Put a comparison on record, as `fielded release compare` does at its end."""
    state = state_of(workplace)
    details = {
        **state.candidates[version].pinned.as_dict(),
        "against": None if state.production is None else state.production.as_dict(),
        "report_sha256": "ab" * 32,
        "definition_sha256": workplace.deployment.sha256,
        "holds": all(item["outcome"] == "passed" for item in findings),
        "findings": list(findings),
        **changes,
    }
    return append(workplace, state, acts.COMPARED, details)


def ready(spare: Spare, version: str, findings: Sequence[dict[str, str]] = (PASSED,)) -> None:
    """Bring a version to where it may be promoted."""
    propose(spare.open(AUTHOR), version, "trained on another year")
    compared(spare.open(AUTHOR), version, findings)
    for person in (FIRST, SECOND):
        approve(spare.open(person), version)


def aliases(spare: Spare) -> dict[str, str]:
    """Where the registry's aliases stand."""
    return spare.open().registry.aliases(spare.model)


def drilled(workplace: Workplace) -> ReleaseState:
    """Put a drill that passed on record, as `fielded release drill` does at its end."""
    return append(workplace, state_of(workplace), acts.DRILLED, {"passed": True})


def problems(workplace: Workplace) -> list[str]:
    """What status finds wrong, but for a drill that nobody has made."""
    return [told for told in status(workplace).problems if not told.startswith("Drill: got no drill")]
