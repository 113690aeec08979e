"""Evidence of flaws that a scanner found in what runs (RA-5, SI-2).

1. The site names a report of its scanner. fielded scans no image: without a report nothing is checked.
2. The report is no older than the definition lets evidence be, and says itself when it was made.
3. It has no finding that is critical or high, nor one of which it does not say how severe it is.
4. A report that is none is refused, tried on an empty object: no findings are read out of what is no report.
"""

import tempfile
from datetime import timedelta
from pathlib import Path

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.evidence.collect import Bench
from fielded.words.errors import WrongUse
from fielded.world.vulnerability_reports import SEVERITIES, UNKNOWN, ScannerReport, read_scanner_report

_SCAN = "Scan the image, and name the report (SARIF or CycloneDX) in authorization.vulnerabilities"


def look(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        WrongUse: what the site names is no report.
        Unreachable: it cannot be read.
    """
    workplace = bench.workplace
    path, longest = workplace.site.authorization.vulnerabilities, workplace.deployment.ato.report_max_age_days
    if path is None:
        check = Check.missing(
            "a scanner looked at what runs",
            why="the site names no report",
            expected="a report of a scanner",
            step=_SCAN,
        )
        return Found((check,), {})
    report = read_scanner_report(path)
    age = workplace.clock() - report.made
    checks = (
        Check.of(
            "a scanner looked at what runs",
            True,
            got=f"{report.kind}, {report.scanner or 'unnamed'}",
            expected="a report of a scanner",
        ),
        Check.of(
            "its report is not too old",
            age <= timedelta(days=longest),
            got=f"{age.days} days",
            expected=f"at most {longest} days",
            step=_SCAN,
        ),
        Check.of(
            "it says itself when it was made",
            report.dated,
            got="it does" if report.dated else "its file's time",
            expected="a time in the report",
            step="Have the scanner write the time into its report",
        ),
        Check.of(
            "nothing critical or high is open",
            report.serious == 0,
            got=_told(report),
            expected="none",
            step="Correct them, or have the scanner's report say why each does not apply",
        ),
        _none_is_refused(),
    )
    facts = {
        "scanner": report.scanner,
        "kind": report.kind,
        "date": report.made.date().isoformat(),
        "age_days": age.days,
        "findings": report.total,
        "serious": report.serious,
        "by_severity": {severity: report.found.get(severity, 0) for severity in (*SEVERITIES, UNKNOWN)},
    }
    return Found(checks, facts)


def _told(report: ScannerReport) -> str:
    return ", ".join(f"{count} {severity}" for severity, count in sorted(report.found.items())) or "no finding"


def _none_is_refused() -> Check:
    """Rule 4."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        path.write_text("{}")
        try:
            read_scanner_report(path)
            refused = False
        except WrongUse:
            refused = True
    return Check.of(
        "what is no report is refused",
        refused,
        got="refused" if refused else "taken",
        expected="refused",
        step="Report it to those who maintain fielded",
        negative=True,
    )


COLLECTOR: Collector[Bench] = Collector(
    id="vulnerabilities",
    title="What the site's scanner found",
    look=look,
    holds_for=timedelta(days=30),
    expected="a scanner's report that can be read",
)
