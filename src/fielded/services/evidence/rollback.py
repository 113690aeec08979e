"""Evidence that there is a way back: written down, rehearsed, and open now (CP-10, IR-4).

1. The runbook lies beside the definition, names the command that rolls back, and somebody stands for its bytes.
2. The last drill passed, and is no older than the definition allows (`decisions.release.drill`).
3. Nothing is in a rollback's way: no transition is open, and somebody has the role that it takes.
4. The previous version loads now, from bytes that were approved, and scores its recorded rows to the last bit.
   One that never scored any was not replayed, and that is told.
5. The registry still has that version, and its aliases stand where the ledger says. A rollback does without; who
   rebuilds the site does not.
6. Bytes that were changed since their approval are not taken: tried on a copy.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.release import acts
from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.drill import drill_finding
from fielded.decisions.release.state import ReleaseState
from fielded.services.authority import roles_of
from fielded.services.evidence.collect import Bench
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.record import state_of
from fielded.services.release.sign import signed_documents
from fielded.services.release.verified import verified
from fielded.words.digests import file_sha256
from fielded.words.errors import FieldedError, Unreachable
from fielded.world.artifacts import Artifacts
from fielded.world.registry import RegisteredVersion
from fielded.world.workplace import Workplace

DOCUMENT = "runbook"  # its name in ato.documents
COMMAND = "fielded rollback"  # what it has to name
_SIGN = f"Run `fielded release sign {DOCUMENT} FILE --until YYYY-MM-DD`"
_LOADS = "the previous version loads now from approved bytes"
_REPLAYS = "it scores its recorded rows to the last bit"
_REGISTERED = "the registry still has it"
_REFUSES = "changed bytes are not taken"


def look(bench: Bench) -> Found:
    """Rules 1 to 6.

    Raises:
        FieldedError: the ledger's events break a rule, or it cannot be read.
    """
    workplace = bench.workplace
    state = state_of(workplace)
    written, runbook = _runbook(workplace)
    drill = drill_finding(state, workplace.deployment.release, workplace.clock())
    facts: dict[str, Any] = {
        "runbook": runbook,
        "drill": _drill(workplace, state),
        "production": None if state.production is None else state.production.as_dict(),
        "previous": None if state.previous is None else state.previous.as_dict(),
        "limit_seconds": workplace.deployment.release.rollback_seconds,
        "replayed_now": None,
    }
    checks = [*written, replace(Check.from_finding(drill), name="a drill passed and is not too old")]
    checks += [_not_open(state), _somebody(workplace)]
    if state.previous is None:
        checks.append(_no_previous(state))
        return Found(tuple(checks), facts)
    loads, facts["replayed_now"] = _loads(workplace, state.previous)
    checks += [*loads, _registered(workplace, state.previous), _aliases(workplace, state)]
    checks.append(_refuses_changed(workplace, state.previous))
    return Found(tuple(checks), facts)


def _runbook(workplace: Workplace) -> tuple[list[Check], dict[str, Any]]:
    """Rule 1."""
    name = workplace.deployment.ato.documents.get(DOCUMENT)
    there, step = "the runbook is there", f"Write it, and name it in ato.documents.{DOCUMENT}"
    expected = f"a file beside deployment.yaml that ato.documents.{DOCUMENT} names"
    if name is None:
        return [Check.of(there, False, got="ato.documents names none", expected=expected, step=step)], {
            "file": None
        }
    try:
        text = (workplace.deployment.folder / name).read_text(encoding="utf-8")
        sha256 = file_sha256(workplace.deployment.folder / name)
    except (OSError, ValueError) as error:
        got = f"{name} cannot be read ({type(error).__name__})"
        return [Check.of(there, False, got=got, expected=expected, step=step)], {"file": name}
    signed = signed_documents(workplace).get(DOCUMENT)
    today = workplace.clock().date()
    got = "no signature"
    if signed is not None:
        same = "of these bytes" if signed.sha256 == sha256 else f"of other bytes, sha256 {signed.sha256[:12]}"
        got = f"signed by {signed.by} until {signed.until}, {same}"
    current = signed is not None and signed.sha256 == sha256 and signed.until >= today
    checks = [
        Check.of(there, True, got=name, expected=expected),
        Check.of(
            "the runbook names the command",
            COMMAND in text,
            got=f"`{COMMAND}` {'is' if COMMAND in text else 'is not'} in {name}",
            expected=f"`{COMMAND}` in it",
            step=f"Say in {name} how to roll back: `{COMMAND} -m REASON`",
        ),
        Check.of(
            "somebody stands for the runbook as it is",
            current,
            got=got,
            expected=f"a signature of sha256 {sha256[:12]} that is current on {today}",
            step=_SIGN,
        ),
    ]
    by = {} if signed is None else {"signed_by": signed.by, "until": signed.until.isoformat()}
    return checks, {"file": name, "sha256": sha256, **by}


def _drill(workplace: Workplace, state: ReleaseState) -> dict[str, Any] | None:
    """The last drill as it is on record, with its age; None where there was none."""
    if state.drill is None:
        return None
    event = next(one for one in reversed(state.history) if one.kind == acts.DRILLED)
    told = ("from", "to", "workers", "connections", "replayed", "requests", "failed", "seconds", "limit_seconds")
    age = workplace.clock() - state.drill.at
    return {
        "at": state.drill.at.isoformat(),
        "passed": state.drill.passed,
        "age_days": age.days,
        "limit_days": workplace.deployment.release.drill_max_age_days,
        "event_id": event.event_id,
        **{name: event.details[name] for name in told if name in event.details},
    }


def _not_open(state: ReleaseState) -> Check:
    """Rule 3."""
    opened = state.open
    return Check.of(
        "no transition is open",
        opened is None,
        got="none" if opened is None else f"{opened.kind} to {opened.to} by {opened.by}",
        expected="none: a rollback waits for no other",
        step="Run `fielded release reconcile`",
    )


def _somebody(workplace: Workplace) -> Check:
    """Rule 3. Names of identities stay in site.yaml; how many there are is told."""
    site = workplace.site
    may = [one for one in site.roles if "release" in roles_of(site, one)]
    everybody = not site.roles and bool(roles_of(site, workplace.user))
    got = "everybody: a development site that names no roles" if everybody else f"{len(may)} identities"
    return Check.of(
        "somebody may roll back",
        everybody or bool(may),
        got=got,
        expected="at least one identity with the role `release`",
        step="Grant it under `roles` in site.yaml",
    )


def _no_previous(state: ReleaseState) -> Check:
    return Check.of(
        _LOADS,
        False,
        got=f"no previous version of {state.production or 'what the registry serves'} in the ledger",
        expected="one to go back to",
        step="Promote a second version: the first becomes the previous one",
    )


def _loads(workplace: Workplace, previous: Pinned) -> tuple[list[Check], int | None]:
    """Rule 4, and how many rows were replayed."""
    expected = f"{previous}, as approved"
    try:
        replayed = verified(workplace, Scorers(workplace, keep=1), previous)
    except FieldedError as error:
        step = "Put its files back where the registry has them, or promote another version"
        return [Check.of(_LOADS, False, got=str(error), expected=expected, step=step)], None
    loads = Check.of(_LOADS, True, got=f"{previous} loaded", expected=expected)
    if not replayed:
        why = f"the ledger has no recorded row of {previous}"
        step = "Score with it: a canary, or a day before it is followed"
        return [loads, Check.missing(_REPLAYS, why=why, expected="some rows, each to the last bit", step=step)], 0
    got = f"{replayed} recorded rows, each to the last bit"
    return [loads, Check.of(_REPLAYS, True, got=got, expected="each to the last bit")], replayed


def _registered(workplace: Workplace, previous: Pinned) -> Check:
    """Rule 5."""
    name = workplace.deployment.model.name
    expected, step = (
        f"version {previous.version}",
        "Register its files again under a new version, and promote that",
    )
    try:
        workplace.registry.version(name, previous.version)
    except Unreachable as error:
        return Check.missing(_REGISTERED, why=str(error), expected=expected, step="Run this again once it answers")
    except FieldedError as error:
        return Check.of(_REGISTERED, False, got=str(error), expected=expected, step=step)
    return Check.of(_REGISTERED, True, got=expected, expected=expected)


def _aliases(workplace: Workplace, state: ReleaseState) -> Check:
    """Rule 5."""
    name, ref = "the aliases stand where the ledger says", workplace.deployment.model
    meant = {ref.alias: state.production, ref.previous_alias: state.previous}
    expected = ", ".join(f"{alias} on {one.version}" for alias, one in meant.items() if one is not None)
    try:
        found = workplace.registry.aliases(ref.name)
    except Unreachable as error:
        return Check.missing(name, why=str(error), expected=expected, step="Run this again once it answers")
    return Check.of(
        name,
        all(one is None or found.get(alias) == one.version for alias, one in meant.items()),
        got=", ".join(f"{alias} on {found.get(alias, 'nothing')}" for alias in meant),
        expected=expected,
        step="Run `fielded release reconcile`",
    )


def _refuses_changed(workplace: Workplace, previous: Pinned) -> Check:
    """Rule 6. The real copy is not touched."""
    expected = "an unchanged copy is taken, one with a byte more is not"
    model = RegisteredVersion(workplace.deployment.model.name, previous.version)
    try:
        real = workplace.artifacts.approved(model, previous.sha256)
    except FieldedError as error:
        return Check.missing(_REFUSES, why=str(error), expected=expected, negative=True)
    with tempfile.TemporaryDirectory(prefix="fielded-") as scratch:
        site = replace(workplace.site, cache=Path(scratch))
        held = Artifacts(site, workplace.registry, workplace.random_bytes)
        copy = Path(scratch) / "models" / previous.sha256
        shutil.copytree(real, copy)
        took = held.held(previous.sha256) is not None
        changed = next(_files(copy))
        changed.write_bytes(changed.read_bytes() + b"\n")
        refused = held.held(previous.sha256) is None
    return Check.of(
        _REFUSES,
        took and refused,
        got=f"unchanged {'taken' if took else 'refused'}, changed {'refused' if refused else 'TAKEN'}",
        expected=expected,
        step="Run `fielded release status`; report it: the digest of files is not compared",
        negative=True,
    )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


COLLECTOR: Collector[Bench] = Collector(
    id="rollback",
    title="Rollback is written down, was drilled, and the previous version loads now",
    look=look,
    holds_for=timedelta(days=7),
    expected="a signed runbook, a drill that passed, and a previous version that loads and replays",
)
