"""Evidence of what the version in production learned from (SR-4, MAP 4.1): tables, versions, period, rows, digest.

1. What is asked for is what the evidence gate asks of every candidate (`decisions.release.provenance`).
2. A source table that is still here at the version that was read has its rows counted again; where it is not, that
   is told. The digest is of the rows that were learned from, which are no table of their own.
3. The record is the registry's, in parameters of the run: MLflow lets nobody change one once it is written.
4. A version without a record is not passed: tried on an empty one.
"""

import re
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.release.provenance import CONTENT, FIRST, LAST, ROWS, TABLES, Recorded, provenance_findings
from fielded.services.evidence.collect import Bench
from fielded.services.prepare_scorer import resolve
from fielded.words.errors import FieldedError
from fielded.world.provenance import recorded_training_data, rows_at
from fielded.world.workplace import Workplace

_EXPECTED = "a record of what the version in production learned from"
_NAMES = {
    "training_data.dataset": "an input data set is on record",
    "training_data.tables": "source tables are named with their versions",
    "training_data.rows": "the rows are counted",
    "training_data.content_sha256": "their content has a digest",
    "training_data.period": "their period is known",
}
_PART = re.compile(r"(?P<table>[A-Za-z_][A-Za-z0-9_.]*)@(?P<version>\d+)")


def look(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        FieldedError: nothing is in production, or the registry does not answer.
    """
    workplace = bench.workplace
    model, _ = resolve(workplace)
    recorded = recorded_training_data(workplace.site, model)
    checks = [_check(recorded, finding.item) for finding in provenance_findings(recorded)]
    return Found((*checks, _refuses_nothing()), {"version": model.version, **_facts(workplace, recorded)})


def _check(recorded: Recorded, item: str) -> Check:
    """Rule 1: what is not on record was looked for and is missing, which is no lack of looking."""
    finding = next(one for one in provenance_findings(recorded) if one.item == item)
    return Check.of(
        _NAMES[item], finding.outcome == "passed", got=finding.got, expected=finding.expected, step=finding.step
    )


def _refuses_nothing() -> Check:
    """Rule 4."""
    passed = [one.item for one in provenance_findings(Recorded(lacking="a probe")) if one.outcome == "passed"]
    return Check.of(
        "a version without a record is not passed",
        not passed,
        got=", ".join(passed) or "none of it passes",
        expected="none of it passes",
        negative=True,
    )


def _facts(workplace: Workplace, recorded: Recorded) -> dict[str, Any]:
    texts = recorded.texts or {}
    rows = texts.get(ROWS, "")
    return {
        "lineage": "MLflow inputs",
        "datasets": [{"name": name, "source": source} for name, source in recorded.datasets],
        "tables": [
            {
                "table": found["table"],
                "version": int(found["version"]),
                "rows": _counted(workplace, found["table"], int(found["version"])),
            }
            for part in texts.get(TABLES, "").split(",")
            if (found := _PART.fullmatch(part.strip()))
        ],
        "rows": int(rows) if rows.isdecimal() else None,
        "content_sha256": texts.get(CONTENT),
        "period": {"first": texts.get(FIRST), "last": texts.get(LAST)},
    }


def _counted(workplace: Workplace, table: str, version: int) -> int | None:
    """Rule 2: rows of a table at a version; None where it is not here any more."""
    try:
        found = workplace.tables.find(table)
    except FieldedError:
        return None
    return None if found is None else rows_at(found, version)


COLLECTOR: Collector[Bench] = Collector(
    id="training-data",
    title="What the version in production learned from",
    look=look,
    holds_for=None,
    expected=_EXPECTED,
)
