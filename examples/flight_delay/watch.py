"""Train on January to August, score every day from September to December, and look once a week at what came.

    python examples/flight_delay/watch.py [--json FILE] [--docs] [--site FOLDER]

The months pass on a simulated clock, everything else is as it would be: each day is scored at 09:00 UTC, the
airlines' arrivals come in weekly files, and on each seventh day the monitor looks. The site's folder is emptied
first.
"""

import argparse
import json
import os
import sys
import time as stopwatch
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from account import Numbers, read_scored, source
from deltalake import DeltaTable
from load_data import ARRIVALS, load, table_uri_below
from report import write_between_markers
from train import HELD_OUT, TRAINING, Days, point_alias, train
from watched_page import draw, markdown

from fielded.decisions.monitoring.watch import change_told
from fielded.definition import load_deployment
from fielded.services.demo import demo_site
from fielded.services.monitoring import monitor
from fielded.services.monitoring.run_report import reporter
from fielded.services.outcomes import LoadedOutcomes, load_outcomes
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve
from fielded.services.score_day import score_day
from fielded.world.workplace import Workplace, open_workplace
from watched import Looks, labels_account, past_weeks, week_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE, IMAGES = ROOT / "docs" / "flights_watched.md", ROOT / "docs" / "images"
SITE = Path(".fielded") / "flights_watched"
FIRST, LAST = date(2013, 9, 1), date(2013, 12, 31)
SCORED_AT, LOOKED_AT = time(9, tzinfo=UTC), time(12, tzinfo=UTC)
USER = "sim:flights"  # has all roles at the site
WEEK, DAY = timedelta(days=7), timedelta(days=1)
# After the beginning of a flight's day, UTC. By then the last flight of these months is down, however late it was.
KNOWN_AFTER = 2 * DAY


class SimulatedClock:
    """A clock that is set, and runs on from there: what takes a second takes one here too."""

    def __init__(self, moment: datetime) -> None:
        self.set(moment)

    def set(self, moment: datetime) -> None:
        """Let it be `moment` now, UTC."""
        self._moment, self._since = moment, stopwatch.perf_counter()

    def __call__(self) -> datetime:
        return self._moment + timedelta(seconds=stopwatch.perf_counter() - self._since)


@dataclass
class Costs:
    """Seconds that each kind of step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Add what the body takes."""
        began = stopwatch.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + stopwatch.perf_counter() - began


def watch(folder: Path, first: date, last: date, training: Days, held_out: Days) -> Numbers:
    """Go the whole way at a fresh site; the numbers.

    Args:
        folder: of the site; emptied first.
        first: day to score.
        last: day to score. The watch goes on for as many whole weeks as its labels take to come.
        training: first and last day to learn from.
        held_out: first and last day that the registered version is measured on.
    """
    site, definition, costs = demo_site(folder, USER, first, os.urandom), load_deployment(HERE), Costs()
    clock = SimulatedClock(datetime.combine(first - DAY, LOOKED_AT))
    workplace = open_workplace(definition, site, user=USER, clock=clock, random_bytes=os.urandom)
    with costs.of("load"):
        load(table_uri_below(site.root))
    with costs.of("train"):
        version = train(site, training, held_out)
    point_alias(site, version)
    approve(workplace, version)
    adopt(workplace)
    _say(f"{definition.model.name} version {version}, trained on {training[0]} to {training[1]}, is in production")
    with costs.of("training weeks"):
        past = past_weeks(workplace, training)
    looks = Looks()
    scorers, loads = Scorers(workplace), []
    for day in _days(first, _end(first, last)):
        if day <= last:
            clock.set(datetime.combine(day, SCORED_AT))
            with costs.of("score"):
                score_day(workplace, scorers, day)
        if (day - first) % WEEK == timedelta(0) and day > first:
            clock.set(datetime.combine(day, LOOKED_AT))
            with costs.of("outcomes"):
                loads.append(_load_known(workplace, folder / "outcomes", (first, last)))
            with costs.of("look"):
                looks.add(_look(workplace, folder / "reports" / (day - DAY).isoformat()))
            _say(looks.told())
    with costs.of("account"):
        scored = read_scored(definition, site, table_uri_below(site.root), first, last)
        file = source(first, last)
        account = labels_account(workplace, file, scored.gold)
        weeks = [week_of(one, file, scored.gold, definition) for one in looks.all]
    return {
        "period": [first.isoformat(), last.isoformat()],
        "training": [day.isoformat() for day in training],
        "threshold": definition.decision.threshold,
        "triggers": looks.triggers(definition.monitoring),
        "past": past,
        "weeks": weeks,
        "changes": looks.changes,
        "account": account,
        "loads": [one.as_dict() for one in loads],
        "seconds": costs.seconds,
    }


def _end(first: date, last: date) -> date:
    """The day of the last look: the first seventh day on which the labels of `last` have matured."""
    weeks = -(-(last + KNOWN_AFTER + DAY - first) // WEEK)
    return first + weeks * WEEK


def _days(first: date, last: date) -> Iterator[date]:
    for number in range((last - first).days + 1):
        yield first + number * DAY


def _load_known(workplace: Workplace, folder: Path, days: Days) -> LoadedOutcomes:
    """Write what became known since the last file, of the flights of some days, into a new one, and load it.

    A flight that was cancelled or diverted never gets a label.
    """
    now = workplace.clock()
    arrivals = DeltaTable(workplace.tables.uri(ARRIVALS)).to_pyarrow_table(
        columns=["flight_id", "flight_date", "outcome", "late"]
    )
    moment = pa.timestamp("us", "UTC")
    known = pc.add(arrivals["flight_date"].cast(pa.timestamp("us")), pa.scalar(KNOWN_AFTER)).cast(moment)
    since, until = pa.scalar(now - WEEK, moment), pa.scalar(now, moment)
    fresh = pc.and_(pc.greater(known, since), pc.less_equal(known, until))
    asked = pc.and_(
        pc.greater_equal(arrivals["flight_date"], days[0]), pc.less_equal(arrivals["flight_date"], days[1])
    )
    chosen = pc.and_(pc.and_(fresh, asked), pc.equal(arrivals["outcome"], "arrived"))
    rows = pa.table({"flight_id": arrivals["flight_id"], "label": arrivals["late"], "known_at": known})
    folder.mkdir(exist_ok=True)
    file = folder / f"{now.date()}.parquet"
    pq.write_table(rows.filter(chosen), file)
    return load_outcomes(workplace, file)


def _look(workplace: Workplace, folder: Path) -> Numbers:
    """One run of the monitor, with its report in `folder`; what the report says, and what changed."""
    ran = monitor.run(workplace, report=reporter(workplace, folder))
    report = json.loads((folder / "monitor.json").read_text(encoding="utf-8"))
    told = [change_told(change) for change in ran.looked.changes]
    return {"report": report, "changes": told, "request": None if ran.request is None else ran.request.id}


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Run, print, write; 1 if a flight that arrived has not its label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    day = {"type": date.fromisoformat, "metavar": "DAY"}
    parser.add_argument("--first", default=FIRST, help="first day scored", **day)
    parser.add_argument("--last", default=LAST, help="last day scored", **day)
    parser.add_argument("--train-from", default=TRAINING[0], help="first day learned from", **day)
    parser.add_argument("--held-out-to", default=HELD_OUT[1], help="last day the version is measured on", **day)
    parser.add_argument("--site", type=Path, default=SITE, metavar="FOLDER", help="of the site; emptied first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument("--docs", action="store_true", help="rewrite docs/flights_watched.md and its pictures")
    given = parser.parse_args()
    training, held_out = (given.train_from, TRAINING[1]), (HELD_OUT[0], given.held_out_to)
    numbers = watch(given.site, given.first, given.last, training, held_out)
    text = markdown(numbers)
    print(f"\n{text}\n")
    for what, seconds in numbers["seconds"].items():
        _say(f"{what}: {seconds:.1f} s")
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if given.docs:
        for name, svg in draw(numbers).items():
            (IMAGES / name).write_text(svg, encoding="utf-8")
        write_between_markers(PAGE, text, "watch.py")
        _say(f"wrote {PAGE.relative_to(ROOT)} and its pictures")
    account = numbers["account"]
    return 1 if account["without_label"] or account["other_label"] or account["label_without_arrival"] else 0


if __name__ == "__main__":
    sys.exit(main())
