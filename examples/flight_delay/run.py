"""The whole way on real flights: load, train, approve, score October day by day, compare with what happened.

    python examples/flight_delay/run.py [--json FILE] [--docs]

It works at the site of the folder it is started in: `.fielded/` there, if nothing else is set. A second run is
fine: it registers a new version and scores the days again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from account import (
    Numbers,
    against_what_happened,
    per_day,
    read_scored,
    reasons,
    source,
    totals,
)
from load_data import load, table_uri_below
from report import markdown, write_between_markers
from train import held_out_of, point_alias, train

from fielded.definition import Deployment, Site, load_deployment, load_site

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "flights.md"
FIRST, LAST = date(2013, 10, 1), date(2013, 10, 31)
REPLAYED = 3  # predictions scored again, spread over the period


class StepFailed(Exception):
    """A command of fielded did not end well; it has said why on standard error."""


def run(first: date, last: date) -> Numbers:
    """Go the whole way at the working folder's site, scoring from `first` to `last`; the numbers."""
    site, definition = load_site(os.environ, Path.cwd()), load_deployment(HERE)
    table_uri = table_uri_below(site.root)

    for name, rows in load(table_uri).items():
        _say(f"loaded {name}: {rows:,} rows")
    version = train(site)
    _say(f"registered {definition.model.name} version {version}")
    _fielded("release", "approve", version)
    point_alias(site, version)
    _say(f"approved it, and {definition.model.alias} stands for it")
    _fielded("check", "--as-of", first.isoformat())
    runs = list(_documents(_fielded("score", "--backfill", f"{first}..{last}")))
    _say(f"scored {len(runs)} days in {sum(item['seconds'] for item in runs):.1f} s")
    return {
        "held_out": held_out_of(site, version),
        **_numbers(definition, site, runs, (first, last)),
        "replay": _replay(site, definition, (first, last)),
    }


def _numbers(definition: Deployment, site: Site, runs: list[Numbers], period: tuple[date, date]) -> Numbers:
    table_uri = table_uri_below(site.root)
    file = source(*period)
    scored = read_scored(definition, site, table_uri, *period)
    of_these_runs = scored.refused["run_id"].isin([item["run_id"] for item in runs])
    days = per_day(runs, file, scored)
    return {
        "threshold": definition.decision.threshold,
        "days": days,
        "totals": totals(days, file, scored.gold),
        "quarantine": reasons(scored.refused[of_these_runs]),
        "happened": against_what_happened(definition, table_uri, scored.gold),
    }


def _replay(site: Site, definition: Deployment, period: tuple[date, date]) -> Numbers:
    """Look a few flights up as an auditor would, and score them again."""
    gold = read_scored(definition, site, table_uri_below(site.root), *period).gold
    subjects = gold[definition.subject].sort_values().iloc[:: max(1, len(gold) // REPLAYED)].head(REPLAYED)
    exact = 0
    for subject in subjects:
        newest = next(_documents(_fielded("audit", "find", subject)))
        result = next(_documents(_fielded("audit", "replay", newest["request_id"])))
        exact += result["outcome"] == "exact"
        _say(f"replayed {subject}: {result['stored']!r}, {result['outcome']}")
    return {"asked": len(subjects), "exact": exact}


def _fielded(*arguments: str) -> str:
    """What a command prints as JSON, run as a user would."""
    beside = Path(sys.executable).with_name("fielded")
    program = str(beside) if beside.exists() else shutil.which("fielded")
    if program is None:
        raise StepFailed("fielded: got no such command, expected it installed beside this Python")
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [program, *arguments, "-d", str(HERE), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StepFailed(
            f"fielded {' '.join(arguments)}: got exit code {done.returncode}, expected 0\n{done.stdout}"
        )
    return done.stdout


def _documents(text: str) -> Iterator[Any]:
    """The JSON documents in a text, one after the other; the items of a list one by one."""
    decoder, place = json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        value, place = decoder.raw_decode(text, place)
        yield from value if isinstance(value, list) else [value]


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Run, print, write; 1 if a flight is unaccounted for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=date.fromisoformat, default=FIRST, metavar="DAY", help="first day scored")
    parser.add_argument("--last", type=date.fromisoformat, default=LAST, metavar="DAY", help="last day scored")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--docs", action="store_true", help="rewrite the numbers in docs/flights.md")
    given = parser.parse_args()
    try:
        numbers = run(given.first, given.last)
    except StepFailed as error:
        print(error, file=sys.stderr)
        return 1
    text = markdown(numbers)
    print(f"\n{text}")
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if given.docs:
        write_between_markers(DOCS, text)
        print(f"\nwrote {DOCS.relative_to(HERE.parents[1])}")
    total = numbers["totals"]
    return 1 if total["unaccounted"] or total["days_that_differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
