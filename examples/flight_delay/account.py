"""Every flight of the days scored, accounted for; and the scores held against what happened.

The count to compare with is made with pandas from the package's own file. Of the way that the flights took
(loader, tables, population) it shares only where that file lies and what counts as late.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from deltalake import DeltaTable
from load_data import ARRIVALS, FLIGHTS, LATE_MINUTES, source_folder
from measures import measure

from fielded.definition import Deployment, Site

Numbers = dict[str, Any]  # JSON values
TableUri = Callable[[str], str]

_EDGES = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])  # of the calibration table's bands of scores


def source(first: date, last: date) -> pd.DataFrame:
    """The flights of some days as the file has them: id, day, what happened."""
    frame = pd.read_csv(source_folder() / "flights.csv.zip")
    day = pd.to_datetime(frame[["year", "month", "day"]])
    frame = frame[(day >= pd.Timestamp(first)) & (day <= pd.Timestamp(last))].assign(day=day.dt.date)
    number = frame["carrier"] + frame["flight"].astype(str)
    return pd.DataFrame(
        {
            "flight_id": frame["day"].astype(str) + "-" + number + "-" + frame["origin"],
            "day": frame["day"],
            "carrier": frame["carrier"],
            "origin": frame["origin"],
            "cancelled": frame["dep_time"].isna(),
            "unknown": frame["dep_time"].notna() & frame["arr_delay"].isna(),
            "late": frame["arr_delay"] >= LATE_MINUTES,
        }
    )


@dataclass(frozen=True)
class Scored:
    """What scoring left behind for some days.

    Attributes:
        gold: rows of the gold table.
        ledger: rows of the predictions, of every run there ever was.
        refused: rows of the quarantine, of every run there ever was.
    """

    gold: pd.DataFrame
    ledger: pd.DataFrame
    refused: pd.DataFrame


def read_scored(definition: Deployment, site: Site, table_uri: TableUri, first: date, last: date) -> Scored:
    """The gold table, the ledger and the quarantine from `first` to `last`."""
    days = [("scored_date", ">=", first.isoformat()), ("scored_date", "<=", last.isoformat())]

    def rows(name: str, columns: list[str]) -> pd.DataFrame:
        table = DeltaTable(table_uri(name)).to_pyarrow_table(columns=[*columns, "scored_date"], partitions=days)
        frame = table.to_pandas().rename(columns={"scored_date": "day", "subject": definition.subject})
        return frame.sort_values(definition.subject, ignore_index=True)  # a sum of floats depends on its order

    decision, ledger = definition.decision, f"{site.ledger}.{definition.name}"
    columns = [definition.subject, decision.score, decision.flag, "decision", "run_id"]
    return Scored(
        gold=rows(definition.batch.output, columns),
        ledger=rows(f"{ledger}.predictions", ["subject", "run_id"]),
        refused=rows(f"{ledger}.quarantine", ["subject", "reasons", "run_id"]),
    )


def per_day(runs: Iterable[Mapping[str, Any]], file: pd.DataFrame, scored: Scored) -> list[Numbers]:
    """One row a day: what the run said, and what the tables hold against the file, flight by flight.

    1. `missing`: in the file, in neither gold table nor quarantine;
    2. `unknown`: in one of them, not in the file of that day;
    3. `twice`: in both of them, or more than once in one;
    4. `ledger_differs`: in the gold table and not exactly once in the ledger, or the other way round.

    `unaccounted` is their sum.
    """
    days = []
    for run in runs:
        wanted = set(file.loc[file["day"] == date.fromisoformat(run["day"]), "flight_id"])
        gold = scored.gold.loc[scored.gold["day"] == date.fromisoformat(run["day"]), "flight_id"]
        refused = scored.refused.loc[scored.refused["run_id"] == run["run_id"], "flight_id"]
        ledger = scored.ledger.loc[scored.ledger["run_id"] == run["run_id"], "flight_id"]
        held = pd.concat([gold, refused])
        counts = {
            "missing": len(wanted - set(held)),
            "unknown": len(set(held) - wanted),
            "twice": int(held.duplicated().sum()),
            "ledger_differs": len(set(gold) ^ set(ledger)) + int(ledger.duplicated().sum()),
        }
        said = {name: run[name] for name in ("population", "scored", "quarantined", "flagged", "review", "clear")}
        held_rows = {"gold_rows": len(gold), "quarantine_rows": len(refused), "ledger_rows": len(ledger)}
        unaccounted = sum(counts.values())
        days.append(
            {"day": run["day"], "file": len(wanted), **said, **held_rows, **counts, "unaccounted": unaccounted}
        )
    return days


def against_what_happened(definition: Deployment, table_uri: TableUri, gold: pd.DataFrame) -> Numbers:
    """The gold rows joined with the arrivals: measures over all, by slice, by band of scores, by decision."""
    rows = gold
    for name, columns in ((FLIGHTS, definition.slices), (ARRIVALS, ("outcome", "late"))):
        table = DeltaTable(table_uri(name)).to_pyarrow_table(columns=[definition.subject, *columns])
        rows = rows.merge(table.to_pandas(), on=definition.subject, validate="one_to_one")
    score = definition.decision.score
    arrived = rows[rows["outcome"] == "arrived"].astype({"late": bool})

    def measured(some: pd.DataFrame) -> Numbers:
        numbers = measure(some["late"].to_numpy(), some[score].to_numpy(), definition.decision.threshold)
        return {**numbers, "rows": len(some)}

    bands = pd.Series(np.searchsorted(_EDGES, arrived[score], side="right"), index=arrived.index)
    edges = [0.0, *_EDGES.tolist(), 1.0]
    return {
        "all": measured(arrived),
        "slices": {
            column: {str(value): measured(part) for value, part in arrived.groupby(column)}
            for column in definition.slices
        },
        "calibration": [
            {"from": edges[band], "to": edges[band + 1], **measured(part)} for band, part in arrived.groupby(bands)
        ],
        "decisions": {
            str(value): {"rows": len(part), "base_rate": float(part["late"].mean())}
            for value, part in arrived.groupby("decision")
        },
        "outcomes": {
            str(value): {
                "rows": len(part),
                "mean_score": float(part[score].mean()),
                "flag_rate": float(part[definition.decision.flag].mean()),
            }
            for value, part in rows.groupby("outcome")
        },
    }


def reasons(refused: pd.DataFrame) -> list[Numbers]:
    """Which rule sent how many flights into quarantine; a flight that broke two is in both counts."""
    broken = [(item["field"], item["expected"]) for row in refused["reasons"] for item in row]
    counts = pd.Series(broken).value_counts()
    return [{"field": field, "expected": expected, "rows": int(n)} for (field, expected), n in counts.items()]


def totals(days: list[Numbers], file: pd.DataFrame, gold: pd.DataFrame) -> Numbers:
    """Sums over the days, and what the file says of the same flights, whether scored or refused."""
    names = ("population", "scored", "quarantined", "flagged", "review", "clear")
    of_no_run = len(file) - sum(day["file"] for day in days)  # a day that was not scored at all
    scored = file["flight_id"].isin(gold["flight_id"])
    return {
        "days": len(days),
        "days_that_differ": sum(day["file"] != day["gold_rows"] + day["quarantine_rows"] for day in days),
        **{name: sum(day[name] for day in days) for name in names},
        "file": len(file),
        "unaccounted": sum(day["unaccounted"] for day in days) + of_no_run,
        "file_arrived": int((~file["cancelled"] & ~file["unknown"]).sum()),
        "file_late": int(file["late"].sum()),
        "file_late_scored": int((file["late"] & scored).sum()),
        "file_cancelled": int(file["cancelled"].sum()),
        "file_cancelled_scored": int((file["cancelled"] & scored).sum()),
        "file_no_arrival_delay": int(file["unknown"].sum()),
        "file_no_arrival_delay_scored": int((file["unknown"] & scored).sum()),
    }
