"""Evidence of the plan (PL-2) and of what is weak (CA-5), as the package would have them now.

1. Every control that the baseline, the definition and the site's files ask for is there, once, with an origin.
   What nobody answers for is counted.
2. The deployment says what the plan needs: purpose, categorization, people. The site says whose system it is.
3. Each check on record that does not hold has a weakness, and each weakness an owner, a day and a next step.
4. A check that fails opens one: tried on evidence that is put on no record.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.controls import Weakness
from fielded.decisions.assurance.evidence import Check, Evidence
from fielded.decisions.ato.origins import asked_for
from fielded.decisions.ato.weaknesses import weaknesses_of
from fielded.services.ato.additions import additions_of
from fielded.services.ato.assurance import Assembled, assemble
from fielded.services.evidence.collect import Bench
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

_ANSWER = "Name who answers in `authorization` of the site, or why it does not apply in ato.not_applicable"
_REPORT = "Report it to those who maintain fielded"
_PLANTED = "a check that fails on purpose"


def look_at_plan(bench: Bench) -> Found:
    """Rules 1 and 2.

    Raises:
        FieldedError: what the package would be made of cannot be read.
    """
    workplace = bench.workplace
    assembled = assemble(workplace)
    records = assembled.assurance.controls
    ato, authorization = workplace.deployment.ato, workplace.site.authorization
    asked = list(asked_for(ato, additions_of(authorization)))
    unassigned = [record.id for record in records if record.origin == "unassigned"]
    rest = [record.id for record in records if record.origin == "shared" and not record.provider]
    counts: dict[str, int] = {}
    for record in records:
        counts[record.origin] = counts.get(record.origin, 0) + 1
    checks = (
        Check.of("every control that is asked for is there once", [one.id for one in records] == asked,
                 got=f"{len(records)} of {len(asked)}", expected="each once, and no other", step=_REPORT),
        Check.of("somebody answers for every control", not unassigned, got=f"nobody for {len(unassigned)}",
                 expected="an origin for each", step=_ANSWER),
        Check.of("somebody answers for the rest of every shared control", not rest, got=f"nobody for {len(rest)}",
                 expected="a platform, or somebody in the organization", step=_ANSWER),
        Check.of("the system has its name", bool(authorization.system), got=authorization.system or "none",
                 expected="authorization.system", step="Set authorization.system in site.yaml"),
    )  # fmt: skip
    facts: dict[str, object] = {
        "controls": len(records), "unassigned": len(unassigned), "rest": len(rest), "origins": counts,
        "baseline": ato.chosen, "highest": ato.categorization.highest,
    }  # fmt: skip
    return Found(checks, facts)


def look_at_weaknesses(bench: Bench) -> Found:
    """Rules 3 and 4.

    Raises:
        FieldedError: what the package would be made of cannot be read.
    """
    assembled = assemble(bench.workplace)
    weak, counting = assembled.assurance.weaknesses, assembled.assurance.evidence
    pairs = [(one.id, check) for one in counting.values() for check in one.checks]
    open_checks = [(key, check.name) for key, check in pairs if check.outcome != "held"]
    without = [f"{key}: {name}" for key, name in open_checks if not _opened(weak, key, name)]
    short = [one.id for one in weak if not (one.owner and one.step and one.since)]
    checks = (
        Check.of("each check that does not hold has a weakness", not without and bool(pairs),
                 got=without[0] if without else f"{len(open_checks)} of {len(pairs)} checks",
                 expected="one for each", step=_REPORT),
        Check.of("each weakness has its owner, its day and its step", not short, got=short[0] if short else
                 f"{len(weak)} weaknesses", expected="all three in each", step=_REPORT),
        _opens_one(assembled, bench.workplace),
    )  # fmt: skip
    facts: dict[str, object] = {"checks": len(pairs), "not_held": len(open_checks), "weaknesses": len(weak),
             "dated": sum(one.due is not None for one in weak)}  # fmt: skip
    return Found(checks, facts)


def _opened(weak: Sequence[Weakness], evidence: str, check: str) -> bool:
    return any(evidence in one.evidence and check in one.title for one in weak)


def _opens_one(assembled: Assembled, workplace: Workplace) -> Check:
    """Rule 4."""
    some: Evidence = next(iter(assembled.assurance.evidence.values()), None) or _none()
    planted = replace(
        some, checks=(Check.of(_PLANTED, False, got="it failed", expected="it holds", negative=True),)
    )
    today, days = workplace.clock().date(), workplace.deployment.ato.mend_days
    found = weaknesses_of([planted], {planted.id: planted}, assembled.assurance.controls, (), today, days)
    opened = _opened(found, planted.id, _PLANTED)
    return Check.of("a check that fails opens a weakness", opened, got="opened" if opened else "not opened",
                    expected="opened", step=_REPORT, negative=True)  # fmt: skip


def _none() -> Evidence:
    raise Refused("evidence: got none on record, expected some. Run `fielded ato collect`")


PLAN: Collector[Bench] = Collector(
    id="system-plan",
    title="An answer for every control",
    look=look_at_plan,
    holds_for=timedelta(days=30),
    expected="evidence on record, and files that can be read",
)
WEAKNESSES: Collector[Bench] = Collector(
    id="poam",
    title="A weakness for every check that does not hold",
    look=look_at_weaknesses,
    holds_for=timedelta(days=30),
    expected="evidence on record, and files that can be read",
)
