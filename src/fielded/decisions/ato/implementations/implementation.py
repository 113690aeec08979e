"""What fielded itself does for a control: sentences, code, tests, evidence, and how an assessor sees it."""

from dataclasses import dataclass, field

from fielded.decisions.assurance.controls import Procedure
from fielded.decisions.assurance.statements import Statement
from fielded.decisions.readiness.items import ITEMS

_NUMBERS = {item.key: item.number for item in ITEMS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """One control as fielded has it.

    Attributes:
        control: its id.
        statements: what the code does, then what was seen of it here; each rests on evidence.
        evidence: ids; the control is satisfied only if all of it holds.
        code: files that do it, from the repository's root.
        tests: test files that show it, likewise.
        procedure: how to see for oneself (SP 800-53A).
        left: what of the control fielded cannot do, for whoever answers for the rest; empty where it does all.
    """

    control: str
    statements: tuple[Statement, ...]
    evidence: tuple[str, ...]
    code: tuple[str, ...]
    tests: tuple[str, ...]
    procedure: Procedure = field(default_factory=Procedure)
    left: str = ""

    def __post_init__(self) -> None:
        cited = {one.partition("#")[0] for said in self.statements for one in said.references.values()}
        cited |= {one for said in self.statements for one in said.rests_on}
        unknown = sorted(cited - {*self.evidence, "definition", "site"})
        if unknown or not self.evidence or not self.statements:
            got = ", ".join(unknown) or "no sentence or no evidence"
            raise ValueError(f"{self.control}: got {got}, expected sentences that cite its evidence")


def does(text: str, *evidence: str) -> Statement:
    """What the code does; believed as far as the evidence holds."""
    return Statement(template=text, rests_on=evidence)


def seen(text: str, **references: str) -> Statement:
    """What was seen here: names in the text -> places in the evidence, `audit-probe#/facts/rows`."""
    return Statement(template=text, references=references)


def implement(
    control: str,
    *statements: Statement,
    evidence: tuple[str, ...],
    code: tuple[str, ...],
    tests: tuple[str, ...],
    examine: tuple[str, ...] = (),
    interview: tuple[str, ...] = (),
    left: str = "",
) -> Implementation:
    """An implementation, with its procedure: files and records to examine, roles to ask, and the commands that
    collect its evidence again and run its tests.

    Args:
        control: its id.
        statements: see `Implementation`.
        evidence: likewise.
        code: likewise; below `src/fielded/`.
        tests: likewise; below `tests/`.
        examine: records to read beside the code.
        interview: roles to ask; never names.
        left: see `Implementation`.
    """
    files = tuple(f"src/fielded/{path}" for path in code)
    shown = tuple(f"tests/{path}" for path in tests)
    commands = (*(command_of(key) for key in evidence), f"python -m pytest {' '.join(shown)}")
    return Implementation(
        control=control,
        statements=statements,
        evidence=evidence,
        code=files,
        tests=shown,
        procedure=Procedure(examine=(*examine, *files), interview=interview, test=commands),
        left=left,
    )


def command_of(evidence: str) -> str:
    """What collects an evidence again."""
    number = _NUMBERS.get(evidence)
    return f"fielded ato collect --evidence {evidence}" if number is None else f"fielded ready --item {number}"
