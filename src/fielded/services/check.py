"""The definition against the registered model, the tables and the people, all findings at once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from fielded.decisions.columns import column_findings
from fielded.services.approve import approved_digest
from fielded.words.errors import DefinitionError, FieldedError, Finding, NotApproved
from fielded.world.engines import load_population
from fielded.world.fitting import fit_findings
from fielded.world.models import load_model
from fielded.world.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        findings: what is wrong with a field; empty where all is well.
        note: what was seen, for a reader.
        errors: why something could not be looked at, in its own words.
    """

    name: str
    findings: tuple[Finding, ...]
    note: str = ""
    errors: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.findings and not self.errors


def check(workplace: Workplace, as_of: date) -> list[Check]:
    """Look at everything; nothing is written but the site's copy of the model's files."""
    return [
        Check("definition", (), f"{workplace.deployment.name}, sha256 {workplace.deployment.sha256[:12]}"),
        Check("people", (), ", ".join(_people(workplace))),
        _guarded("model", lambda: _model(workplace)),
        _guarded("tables", lambda: _tables(workplace)),
        _guarded("population", lambda: _population(workplace, as_of)),
    ]


def _people(workplace: Workplace) -> Iterator[str]:
    people = workplace.deployment.people
    for role in people.__dataclass_fields__:
        yield f"{role.replace('_', ' ')}: {getattr(people, role).name}"


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except DefinitionError as error:
        return Check(name, error.findings)
    except FieldedError as error:
        return Check(name, (), errors=(str(error),))


def _model(workplace: Workplace) -> Check:
    deployment = workplace.deployment
    model = workplace.registry.resolve(deployment.model.name, deployment.model.alias)
    folder, sha256 = workplace.artifacts.take(model)
    findings = fit_findings(folder, deployment)
    try:
        approved = approved_digest(workplace.ledger, model)
    except NotApproved:
        note = f"{model}, not approved yet: run `fielded release approve {model.version}` before scoring"
        return Check("model", tuple(findings), note)
    if approved != sha256:
        step = "Find out who changed the files; nothing was loaded"
        findings.append(Finding(str(model), "artifact", f"digest {sha256}", f"{approved} as approved", step))
    if findings:
        return Check("model", tuple(findings))
    exact = "replays to the last bit" if load_model(folder, deployment.model).row_exact else _INEXACT
    return Check("model", (), f"{model}, approved digest {sha256[:12]}, {exact}")


_INEXACT = "scores depend in their last bits on the rows beside them: replay may differ there"


def _tables(workplace: Workplace) -> Check:
    errors, seen = [], []
    for table in workplace.deployment.population.tables.values():
        try:
            pinned = workplace.tables.pin(table)
        except FieldedError as error:
            errors.append(str(error))
        else:
            seen.append(f"{table} at version {pinned.version}")
    return Check("tables", (), "; ".join(seen), tuple(dict.fromkeys(errors)))  # one root, one error


def _population(workplace: Workplace, as_of: date) -> Check:
    deployment = workplace.deployment
    inputs = {name: workplace.tables.pin(table) for name, table in deployment.population.tables.items()}
    with workplace.engine.open(load_population(deployment), inputs, as_of) as population:
        findings = column_findings(deployment, population.schema)
        if findings:
            return Check("population", tuple(findings))
        size = population.size(deployment.subject)
    repeated = len(size.duplicates)
    if repeated > deployment.batch.quarantine_limit * size.rows:
        got = f"{repeated} subjects more than once"
        finding = Finding(deployment.population.query, deployment.subject, got, "one row for each subject")
        return Check("population", (finding,))
    note = f"{size.rows} rows on {as_of}"
    if repeated:
        note += f"; {repeated} subjects more than once will be quarantined"
    return Check("population", (), note)
