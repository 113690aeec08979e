"""One tree of errors.

    FieldedError
    |-- Refused              a gate or check said no                        exit 1
    |   |-- RunRefused       a batch run stopped before anything was published
    |   |-- ArtifactChanged  the model's bytes are not the approved ones
    |   `-- NotApproved      nobody has approved these bytes
    |-- WrongUse             the command was used wrongly                   exit 2
    |   `-- DefinitionError  deployment.yaml, site.yaml or population.py
    `-- Unreachable          a needed thing could not be reached            exit 3

A message says which field, what was got, what was expected, and the next step. It never carries a
payload, a secret or a stack. Only a door turns one into an exit code.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        where: file with line where it can be had, or the thing looked at ("model m version 3").
        field: dotted path of the field, e.g. `features.ship_age_years.min`.
        got: what was found, short.
        expected: what would have been right.
        next_step: what to do about it; may be empty where `expected` already says it.
    """

    where: str
    field: str
    got: str
    expected: str
    next_step: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.field}: got {self.got}, expected {self.expected}"
        return f"{text}. {self.next_step}" if self.next_step else text


class FieldedError(Exception):
    """Base of all errors that fielded raises on purpose."""

    exit_code = 1


class Refused(FieldedError):
    """A gate or a check said no."""

    exit_code = 1

    def __init__(self, message: str, findings: Iterable[Finding] = ()) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join([message, *(f"  {finding}" for finding in self.findings)]))


class RunRefused(Refused):
    """A batch run was stopped before anything was published."""


class ArtifactChanged(Refused):
    """The model's files are not the ones whose digest was approved."""


class NotApproved(Refused):
    """No approval of this version's digest is in the ledger."""


class WrongUse(FieldedError):
    """The command or call cannot be carried out as asked."""

    exit_code = 2


class DefinitionError(WrongUse):
    """Everything that is wrong with a definition or a site, at once."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class Unreachable(FieldedError):
    """A table, registry, file or service that is needed could not be reached."""

    exit_code = 3
