"""The authorization part of the demo: a kickoff before anything is registered, and at the end a package.

What a site's people do by themselves somebody plays here, by identities that the demo's site.yaml maps to the
example's persons.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from fielded.services.ato.collect import collect_evidence, wanted
from fielded.services.ato.package import build
from fielded.services.ato.progress import kickoff
from fielded.services.ato.verify import verify
from fielded.services.demo_release import Step
from fielded.services.evidence.collect import Bench
from fielded.services.monitoring.simulated import simulate_on_record
from fielded.services.readiness.acknowledge import acknowledge
from fielded.services.readiness.ready import Readiness, ready
from fielded.services.readiness.report import HTML_FILE, write_ready
from fielded.services.release.drill import Plan, drill
from fielded.services.release.sign import sign
from fielded.words.errors import Refused
from fielded.words.identifiers import RandomBytes
from fielded.world.keys import trusted_keys
from fielded.world.workplace import Workplace

SIGNERS = {
    "model_card": "example:approver-1",
    "rai_assessment": "example:rai-approver",
    "runbook": "example:approver-2",
}
OWNER = "example:monitoring-owner"
TRIGGER, ROWS_A_WEEK, YEARS = "fleet-age", 100, 50
_DAYS = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Means:
    """What the demo needs of the door that started it.

    Attributes:
        bench: opens the bench of a workplace, with the API of this process.
        plan: how a rollback is rehearsed.
        user: authenticated identity of who started it.
        today: UTC.
        random_bytes: source of randomness.
    """

    user: str
    today: date
    random_bytes: RandomBytes
    bench: Callable[[Workplace], AbstractContextManager[Bench]]
    plan: Plan


def kickoff_step(workplace: Workplace) -> Step:
    """The authorization begins before anything is registered."""
    begun = kickoff(workplace, "demo: the program asked for the model, and the ISSO was there")
    need = workplace.deployment.ato.need_date
    return Step("kick off", f"the way to an authorization begins on {begun.on}, needed on {need}")


def ato_steps(workplace: Workplace, example: Path, folder: Path, means: Means) -> Iterator[Step]:
    """From what is in production to a package that was verified.

    Args:
        workplace: with a version in production that was gone back to.
        example: the deployment's folder, with what people wrote.
        folder: for the readiness page and the package.
        means: see there.

    Raises:
        Refused: the package does not verify.
    """
    made = drill(workplace, means.plan)
    yield Step("rehearse the way back", _drilled(made.verdict.holds, made.as_details()["seconds"]))
    yield _simulated(workplace)
    yield _signed(workplace, example)
    with means.bench(workplace) as bench:
        found = ready(bench)
        write_ready(folder / "ready", found, [])
        yield Step("check readiness", f"{_ready(found)}. Page: ready/{HTML_FILE}")
        collected = collect_evidence(bench, wanted(workplace, (), (), every=False))
    outcomes = Counter(one.outcome for one in collected)
    told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
    yield Step("collect evidence of controls", f"{len(collected)} pieces: {told}")
    yield from _packaged(workplace, folder / "package")


def _drilled(holds: bool, seconds: dict[str, float | None]) -> str:
    if not holds:
        raise Refused("drill: got one that failed, expected a rollback that works. See `fielded release history`")
    return f"on a copy, under load: all workers followed in {seconds['all_followed']:.1f} s; on record"


def _simulated(workplace: Workplace) -> Step:
    """What the trigger would do by chance alone. The demo has scored one day, so the rows of a week are named."""
    made = simulate_on_record(workplace, TRIGGER, rows_per_week=ROWS_A_WEEK, years=YEARS)
    told = f"{TRIGGER}: {made.alarms} false alarms in {made.years} quiet years of {ROWS_A_WEEK} rows a week"
    return Step("simulate a trigger", told)


def _signed(workplace: Workplace, example: Path) -> Step:
    """Whoever stands for a document signs it for what is in production, and the owner of the watch "
    "acknowledges.
    """
    until = workplace.clock().date() + _DAYS
    for name, person in SIGNERS.items():
        sign(replace(workplace, user=person), name, example / workplace.deployment.ato.documents[name], until)
    said = acknowledge(replace(workplace, user=OWNER))
    people = ", ".join(f"{name} by {person}" for name, person in SIGNERS.items())
    return Step(
        "sign for what is in production", f"{people}, until {until}; {said.name} has acknowledged the watch"
    )


def _ready(found: Readiness) -> str:
    counts = f"{found.counts['passed']} of {len(found.results)} items passed"
    failed = [f"{one.item.number} {', '.join(one.in_the_way)}" for one in found.results if not one.holds]
    return counts + (f"; not: {'; '.join(failed)}" if failed else ", each by doing")


def _packaged(workplace: Workplace, folder: Path) -> Iterator[Step]:
    built = build(workplace, folder)
    counts = built.manifest["counts"]
    said = counts["sentences"]
    yield Step(
        "build the package",
        f"{folder.name}/{built.path.name}: {counts['controls']} controls, {counts['evidence']} pieces of "
        f"evidence, {counts['weaknesses']} open weaknesses; of {sum(said.values()):,} sentences "
        f"{said['evidenced']:,} are evidenced, {said['attested']} attested and {said['not_evidenced']} not "
        f"evidenced",
    )
    looked = verify(built.path, trusted_keys(workplace.site), workplace.clock())
    if not looked.holds:
        raise Refused("package: got " + "; ".join(str(one) for one in looked.findings[:5]))
    yield Step(
        "verify the package",
        f"{looked.counts['files']} files, {looked.counts['sentences']:,} sentences made anew from their evidence: "
        f"none differs; signed by the site's key",
    )
