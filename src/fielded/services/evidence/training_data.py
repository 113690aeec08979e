"""Evidence of what the version in production learned from (SR-4, MAP 4.1): tables, versions, period, rows, digest.

1. What is asked for is what the evidence gate asks of every candidate (`decisions.release.provenance`).
2. A source table that is still here at the version that was read has its rows counted again; one that has none
   taught nobody anything. Where the table is not here, that is told: training data seldom travels.
3. Where one table has as many rows as were learned from, their digest is computed again. The same digest shows
   that these are the rows; another shows nothing, for features may be made of them: it is told.
4. The record is the registry's, in parameters of the run: MLflow lets nobody change one once it is written.
5. A version without a record is not passed: tried on an empty one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.release.provenance import CONTENT, FIRST, LAST, ROWS, Recorded, provenance_findings
from fielded.services.evidence.collect import Bench
from fielded.services.prepare_scorer import resolve
from fielded.words.errors import FieldedError
from fielded.world.provenance import content_at, earlier, recorded_training_data, rows_at
from fielded.world.workplace import Workplace

_EXPECTED = "a record of what the version in production learned from"
_NAMES = {
    "training_data.dataset": "an input data set is on record",
    "training_data.tables": "source tables are named with their versions",
    "training_data.rows": "the rows are counted",
    "training_data.content_sha256": "their content has a digest",
    "training_data.period": "their period is known",
}
_MOST_ROWS = 5_000_000  # whose digest is computed again; it takes seconds for a million


@dataclass(frozen=True, slots=True)
class _Source:
    """A source table as it is here: the Delta table and its rows are None where it is not."""

    name: str
    version: int
    table: DeltaTable | None
    rows: int | None


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: nothing is in production, or the registry does not answer.
    """
    workplace = bench.workplace
    model, _ = resolve(workplace)
    recorded = recorded_training_data(workplace.site, model)
    sources = [_source(workplace, name, version) for name, version in recorded.versions]
    checks = [_check(recorded, finding.item) for finding in provenance_findings(recorded)]
    facts = {"version": model.version, **_facts(recorded, sources)}
    return Found((*checks, *_counted(sources, facts["content_again"]), _refuses_nothing()), facts)


def _check(recorded: Recorded, item: str) -> Check:
    """Rule 1: what is not on record was looked for and is missing, which is no lack of looking."""
    finding = next(one for one in provenance_findings(recorded) if one.item == item)
    return Check.of(
        _NAMES[item], finding.outcome == "passed", got=finding.got, expected=finding.expected, step=finding.step
    )


def _refuses_nothing() -> Check:
    """Rule 5."""
    passed = [one.item for one in provenance_findings(Recorded(lacking="a probe")) if one.outcome == "passed"]
    return Check.of(
        "a version without a record is not passed",
        not passed,
        got=", ".join(passed) or "none of it passes",
        expected="none of it passes",
        negative=True,
    )


def _source(workplace: Workplace, name: str, version: int) -> _Source:
    """Rule 2."""
    try:
        found = workplace.tables.find(name)
    except FieldedError:
        found = None
    table = None if found is None else earlier(found, version)
    return _Source(name, version, table, None if table is None else rows_at(table))


def _counted(sources: Iterable[_Source], again: str | None) -> Iterable[Check]:
    """Rules 2 and 3, of the tables that are here."""
    here = [one for one in sources if one.rows is not None]
    if not here:
        return
    told = ", ".join(f"{one.name}@{one.version}: {one.rows:,} rows" for one in here)
    yield Check.of(
        "a source table that is here has rows at that version",
        all(one.rows for one in here),
        got=told if again is None else f"{told}; {again}",
        expected="rows in each",
        step="Find out which table was read: the record names one that is empty",
    )


def _again(recorded: Recorded, sources: list[_Source]) -> str | None:
    """Rule 3, in words; None where it could not be done."""
    texts = recorded.texts or {}
    if len(sources) != 1 or sources[0].table is None or texts.get(ROWS) != str(sources[0].rows):
        return None
    if (sources[0].rows or 0) > _MOST_ROWS:
        return None
    content = content_at(sources[0].table)
    if content is None:
        return None
    same = content.sha256 == texts.get(CONTENT)
    return "the same digest" if same else "another digest: what was learned is made of these rows"


def _facts(recorded: Recorded, sources: list[_Source]) -> dict[str, Any]:
    texts = recorded.texts or {}
    rows = texts.get(ROWS, "")
    return {
        "lineage": "MLflow inputs",
        "datasets": [{"name": name, "source": source} for name, source in recorded.datasets],
        "tables": [{"table": one.name, "version": one.version, "rows": one.rows} for one in sources],
        "rows": int(rows) if rows.isdecimal() else None,
        "content_sha256": texts.get(CONTENT),
        "content_again": _again(recorded, sources),
        "period": {"first": texts.get(FIRST), "last": texts.get(LAST)},
    }


COLLECTOR: Collector[Bench] = Collector(
    id="training-data",
    title="What the version in production learned from",
    look=look,
    holds_for=None,
    expected=_EXPECTED,
)
