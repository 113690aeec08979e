"""Page one of a package: what it does not show, what it takes on another's word, and what is in it.

All numbers are the package's own counts, which stand in it as a source like any evidence, so that whoever has the
package can count again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fielded.decisions.assurance.controls import ControlRecord, Weakness
from fielded.decisions.assurance.documents import Block, Document, Section
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.assurance.statements import Sources
from fielded.services.documents.writing import Column, Writer, paragraph

COVER = "cover"  # name of the document
PACKAGE = "package"  # the source that its sentences cite

_RESULTS = ("satisfied", "not satisfied", "not checked", "attested")
_ORIGINS = ("implemented", "shared", "inherited", "organization", "not applicable", "unassigned")
_OURS = ("implemented", "shared")


def counts_of(
    evidence: Mapping[str, Evidence],
    controls: Sequence[ControlRecord],
    weaknesses: Sequence[Weakness],
    items: Sequence[Mapping[str, Any]],
    as_of: datetime,
) -> dict[str, Any]:
    """What the package counts of itself, as JSON values."""
    origins = Counter[str](one.origin for one in controls)
    results = Counter[str](one.result for one in controls)
    ours = [one for one in controls if one.origin in _OURS]
    own = Counter[str](one.result for one in ours)
    states = Counter(str(item["state"]) for item in items)
    outcomes = Counter[str](one.outcome for one in evidence.values())
    return {
        "as_of": as_of.isoformat(),
        "controls": {
            "all": len(controls),
            "ours": len(ours),
            "origins": {name.replace(" ", "_"): origins[name] for name in _ORIGINS},
            "results": {name.replace(" ", "_"): results[name] for name in _RESULTS},
            "ours_results": {name.replace(" ", "_"): own[name] for name in _RESULTS},
            "unassigned": [one.id for one in controls if one.origin == "unassigned"],
        },
        "items": {name: states[name] for name in ("passed", "failed", "waived")} | {"all": len(items)},
        "evidence": {name.replace(" ", "_"): outcomes[name] for name in _RESULTS}
        | {
            "all": len(evidence),
            "checks": sum(len(one.checks) for one in evidence.values()),
            "refusals": sum(check.negative for one in evidence.values() for check in one.checks),
        },
        "weaknesses": {
            "all": len(weaknesses),
            "due": sum(one.due is not None for one in weaknesses),
            "listed": [
                {
                    "id": one.id,
                    "title": one.title,
                    "controls": [control.upper() for control in one.controls],
                    "since": one.since.isoformat(),
                    "due": None if one.due is None else one.due.isoformat(),
                    "step": one.step,
                }
                for one in weaknesses
            ],
        },
        "readiness": [
            {"number": item["number"], "title": item["title"], "state": item["state"]} for item in items
        ],
    }


def cover(sources: Sources, as_of: datetime) -> Document:
    """Page one.

    Args:
        sources: with `package`, see `counts_of`.
        as_of: UTC.
    """
    writer = Writer(sources, None, as_of)
    return writer.document(
        COVER,
        "Authorization package",
        (
            writer.limits(*_limits(writer)),
            Section("1", "Where it stands", (*_stands(writer), _readiness(writer))),
            Section("2", "What is weak", (_weak(writer),)),
            Section("3", "How to check it", _check(writer)),
        ),
    )


def _limits(writer: Writer) -> tuple[Block, ...]:
    origins = f"{PACKAGE}#/controls/origins"
    return (
        paragraph(
            writer.say(
                "This package was made by the system that it is about. Nobody independent has assessed it: the "
                "fields of an assessor are empty, in all {all} controls.",
                all=f"{PACKAGE}#/controls/all",
            ),
            writer.say(
                "{inherited} controls are taken on a platform's word and {organization} on the organization's; "
                "whoever answers for them has the evidence.",
                inherited=f"{origins}/inherited",
                organization=f"{origins}/organization",
            ),
            writer.say("Nobody answers yet for {unassigned} controls.", unassigned=f"{origins}/unassigned"),
            writer.say(
                "It is as of {day:.16} UTC, when the newest of its evidence was collected; what happened since is "
                "not in it.",
                day=f"{PACKAGE}#/as_of",
            ),
        ),
    )


def _stands(writer: Writer) -> tuple[Block, ...]:
    own, held = f"{PACKAGE}#/controls/ours_results", f"{PACKAGE}#/evidence"
    return (
        paragraph(
            writer.say(
                "Of {ours} controls that the system implements alone or in part, {satisfied} are satisfied by "
                "evidence, {attested} attested by a person, {not_satisfied} not satisfied and {not_checked} not "
                "checked, which is no pass.",
                ours=f"{PACKAGE}#/controls/ours",
                **{name: f"{own}/{name}" for name in ("satisfied", "attested", "not_satisfied", "not_checked")},
            ),
            writer.say(
                "{all} pieces of evidence rest on {checks} checks, {refusals} of which tried something that must "
                "be refused.",
                **{name: f"{held}/{name}" for name in ("all", "checks", "refusals")},
            ),
            writer.say(
                "Of {all} items of readiness {passed} are passed, {waived} waived and {failed} failed.",
                **{name: f"{PACKAGE}#/items/{name}" for name in ("all", "passed", "waived", "failed")},
            ),
        ),
    )


def _readiness(writer: Writer) -> Block:
    return writer.table("Readiness", f"{PACKAGE}#/readiness", (
        Column(title="Item", at="number"), Column(title="What holds where it is passed", at="title"),
        Column(title="State", at="state"),
    ))  # fmt: skip


def _weak(writer: Writer) -> Block:
    columns = (
        Column(title="Weakness", at="id"),
        Column(title="What", at="title"),
        Column(title="Controls", at="controls", optional=True),
        Column(title="Since", at="since"),
        Column(title="Due", at="due", optional=True),
        Column(title="Next step", at="step"),
    )
    none = "No check failed and none is open: there is nothing in the plan of action and milestones."
    return writer.table("Plan of action and milestones", f"{PACKAGE}#/weaknesses/listed", columns, none)


def _check(writer: Writer) -> tuple[Block, ...]:
    return (
        paragraph(
            writer.say(
                "`fielded ato verify` looks at every digest and signature and makes each sentence anew from what "
                "it cites; verify_package.py, which lies beside this page, does so for digests and signature "
                "without anything of this project.",
                PACKAGE,
            ),
            writer.say("Each piece of evidence names the command that collects it again.", PACKAGE),
        ),
    )
