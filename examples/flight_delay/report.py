"""The numbers of a run as Markdown: printed, and put between the markers of docs/flights.md."""

from collections.abc import Iterable
from pathlib import Path

from account import Numbers

BEGIN = "<!-- numbers: begin (written by examples/flight_delay/{} --docs; do not edit) -->"
END = "<!-- numbers: end -->"

_MEASURES = (
    "rows",
    "base_rate",
    "mean_score",
    "auc",
    "brier",
    "brier_of_base_rate",
    "flag_rate",
    "precision",
    "recall",
)
_HEADINGS = (
    "flights", "late", "mean score", "AUC", "Brier", "Brier of a constant", "flagged", "precision", "recall",
)  # fmt: skip
_SHARES = frozenset({"base_rate", "mean_score", "flag_rate", "precision", "recall"})


def markdown(numbers: Numbers) -> str:
    """All sections, without the markers."""
    happened = numbers["happened"]
    return "\n\n".join(
        [
            "### Every flight accounted for",
            _account(numbers),
            "### Quarantined",
            table(
                ("feature", "expected", "flights"),
                ([r["field"], r["expected"], r["rows"]] for r in numbers["quarantine"]),
            ),
            "### How good the scores were",
            "Flights that arrived, by whether they came 30 minutes late or more.",
            _measures(
                {"September (held out in training)": numbers["held_out"], _period(numbers): happened["all"]}
            ),
            "### Calibration",
            _calibration(happened["calibration"]),
            "### What was decided, and how often it was late",
            table(
                ("decision", "flights", "late"),
                ([name, part["rows"], share(part["base_rate"])] for name, part in happened["decisions"].items()),
            ),
            "### By carrier",
            _measures(happened["slices"]["carrier"]),
            "### By origin",
            _measures(happened["slices"]["origin"]),
            "### Scored, and never arrived",
            _outcomes(happened["outcomes"]),
        ]
    )


def write_between_markers(file: Path, text: str, by: str = "run.py") -> None:
    """Replace what stands between the markers of a document.

    Args:
        file: the document.
        text: to stand there.
        by: the program that writes it, which the first marker names.

    Raises:
        ValueError: the document lacks a marker.
    """
    document = file.read_text(encoding="utf-8")
    opening = BEGIN.format(by)
    before, begin, rest = document.partition(opening)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file.name}: got no pair of markers, expected {opening} and {END}")
    file.write_text(f"{before}{opening}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _period(numbers: Numbers) -> str:
    return f"{numbers['days'][0]['day']} to {numbers['days'][-1]['day']}"


def _account(numbers: Numbers) -> str:
    total, days = numbers["totals"], numbers["days"]
    busiest, calmest = max(day["population"] for day in days), min(day["population"] for day in days)
    lines = (
        ("days scored", total["days"]),
        ("flights in the package's file, counted with pandas", total["file"]),
        ("flights in the population", total["population"]),
        ("scored", total["scored"]),
        ("quarantined", total["quarantined"]),
        ("unaccounted for (missing, unknown, twice, or gold table and ledger not alike)", total["unaccounted"]),
        ("days on which scored + quarantined is not the file's count", total["days_that_differ"]),
        ("flagged", total["flagged"]),
        ("for a person to decide", total["review"]),
        ("clear", total["clear"]),
        ("flights on the calmest and the busiest day", f"{calmest:,} and {busiest:,}"),
        ("cancelled (scored)", f"{total['file_cancelled']:,} ({total['file_cancelled_scored']:,})"),
        (
            "left, no arrival delay on record (scored)",
            f"{total['file_no_arrival_delay']:,} ({total['file_no_arrival_delay_scored']:,})",
        ),
        ("arrived 30 minutes late or more (scored)", f"{total['file_late']:,} ({total['file_late_scored']:,})"),
        (
            "predictions replayed, equal to the last bit",
            f"{numbers['replay']['asked']}, {numbers['replay']['exact']}",
        ),
    )
    return table((_period(numbers), ""), ([what, value] for what, value in lines))


def _measures(parts: dict[str, Numbers]) -> str:
    rows = ([name, *(_value(key, part.get(key)) for key in _MEASURES)] for name, part in parts.items())
    return table(("", *_HEADINGS), rows)


def _calibration(bands: list[Numbers]) -> str:
    rows = (
        [
            f"{band['from']:g} to {band['to']:g}",
            band["rows"],
            share(band["mean_score"]),
            share(band["base_rate"]),
        ]
        for band in bands
    )
    return table(("score", "flights", "mean score", "late"), rows)


def _outcomes(outcomes: dict[str, Numbers]) -> str:
    rows = (
        [name, part["rows"], share(part["mean_score"]), share(part["flag_rate"])]
        for name, part in outcomes.items()
    )
    return table(("outcome", "flights", "mean score", "flagged"), rows)


def _value(key: str, value: float | None) -> str:
    if value is None:
        return "n/a"
    if key in _SHARES:
        return share(value)
    return f"{value:,.0f}" if key == "rows" else f"{value:.4f}"


def share(value: float) -> str:
    return f"{value:.1%}"


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(headings), *([_cell(cell) for cell in row] for row in rows)]
    rule = ["---", *("---:" for _ in lines[0][1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
