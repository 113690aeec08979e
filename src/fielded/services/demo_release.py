"""The release part of the demo: a biased candidate is stopped, an honest one promoted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from fielded.decisions.release.findings import Finding
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.candidates import approve, propose, waive, withdraw
from fielded.services.release.compare import Made, compare
from fielded.services.release.promote import promote
from fielded.services.release.sign import sign
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace

DOCUMENTS = ("model_card", "rai_assessment")
_NEW = "hull_class=FFG"  # a class commissioned this year: no order of it is done, so there is no label
_WAIVED = {
    "fairness": "example: vessel classes and categories do overrun at different rates; none is a protected group",
    _NEW: "example: no order of this new class is done yet; its scores are watched until there are labels",
}
_DAYS = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demo.

    Attributes:
        title: what was done.
        result: what came of it.
    """

    title: str
    result: str


def release_steps(
    workplace: Workplace, scorers: Scorers, example: Path, folder: Path, *, honest: str, biased: str
) -> Iterator[Step]:
    """From two proposals to one promotion.

    Args:
        workplace: with a version in production that has scored a day.
        scorers: where models come from.
        example: the deployment's folder, with the documents that the evidence gate asks for.
        folder: for the reports.
        honest: version that was trained on the labels as they are.
        biased: version with the planted fault.

    Raises:
        Refused: the biased version was not stopped, or the honest one was.
    """
    author, approvers = _as(workplace, "author"), [_as(workplace, f"approver-{number}") for number in (1, 2)]
    until = workplace.clock().date() + _DAYS
    propose(author, biased, "demo: trained on half a year more, with the labels as they came")
    yield _signed(approvers[0], example, until)
    made = compare(author, scorers, biased, folder / f"comparison-{biased}")
    yield Step("compare the biased one", _stopped(made))
    withdraw(author, biased, "demo: a class's overruns were not booked in its training data")

    propose(author, honest, "demo: trained on half a year more")
    signed = _signed(approvers[0], example, until)  # a signature is for one version: the other's does not do
    made = compare(author, scorers, honest, folder / f"comparison-{honest}")
    yield Step("compare the honest one", f"{_passed(made)}. Signed before: {signed.result}")

    waived = [finding.name for finding in made.verdict.in_the_way]
    for name in waived:
        waive(approvers[1], honest, name, _WAIVED["fairness" if name.startswith("fairness") else _NEW], until)
    yield Step("waive", f"{', '.join(waived)}, by {approvers[1].user}, until {until}")

    for person in approvers:
        approve(person, honest)
    done = promote(workplace, scorers, honest)
    left = "none" if done.left is None else done.left.version
    who = " and ".join(person.user for person in approvers)
    told = (
        f"version {left} -> {done.now.version} in production, approved by {who}; the way back replayed "
        f"{done.replayed} recorded rows to the last bit"
    )
    yield Step("approve and promote", told)


def _as(workplace: Workplace, person: str) -> Workplace:
    """The same workplace, asked by somebody else: a stand-in for that person's own login."""
    return replace(workplace, user=f"example:{person}")


def _signed(signer: Workplace, example: Path, until: date) -> Step:
    """Sign the documents for the version that is proposed."""
    version = ""
    for name in DOCUMENTS:
        version = sign(signer, name, example / f"{name}.yaml", until).meant.version
    told = f"{' and '.join(DOCUMENTS)} for version {version}, by {signer.user}, until {until}"
    return Step("sign documents", told)


def _stopped(made: Made) -> str:
    shifts = [finding for finding in made.verdict.in_the_way if finding.gate == "shift"]
    if made.verdict.holds or not shifts:
        raise Refused("compare: got no shift of the biased version, expected it to be stopped")
    told = "; ".join(f"{finding.name}: {finding.got}" for finding in shifts if " & " not in finding.name)
    return f"stopped by its scores alone. {told}. {_report(made)}"


def _passed(made: Made) -> str:
    in_the_way: Sequence[Finding] = made.verdict.in_the_way
    unfit = [one for one in in_the_way if one.gate != "fairness" and _NEW not in one.item]
    if unfit:
        raise Refused("compare: got " + "; ".join(f"{one.name} {one.outcome}" for one in unfit))
    count, fairness = len(made.verdict.findings), sum(one.gate == "fairness" for one in in_the_way)
    return (
        f"{count - len(in_the_way)} of {count} findings passed; {fairness} of fairness and "
        f"{len(in_the_way) - fairness} of the new class {_NEW}, which has no labels, need a decision by a person. "
        f"{_report(made)}"
    )


def _report(made: Made) -> str:
    return f"Report: {made.folder.name}/comparison.html"
