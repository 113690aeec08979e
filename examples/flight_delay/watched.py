"""What a watch saw, kept look by look; the same triggers over the training months; and both against pandas.

What they are compared with is made with pandas and scikit-learn from the package's own file, see `account`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from account import Numbers
from deltalake import DeltaTable
from measures import measure
from train import Days, labelled, read_tables

from fielded.decisions.monitoring.instances import Measurer
from fielded.decisions.monitoring.labelled_window import LabelledScores, Scored
from fielded.decisions.monitoring.measure import Sources
from fielded.decisions.monitoring.profile import Profile, counted
from fielded.decisions.monitoring.triggers import Key, Look, TriggerState, changes, evaluate, moved
from fielded.definition import Deployment
from fielded.definition.monitoring import FLOW, Metric, Monitoring, Trigger
from fielded.services.prepare_scorer import resolve
from fielded.world.profiles import read_profile
from fielded.world.workplace import Workplace

WEEK, DAY = timedelta(days=7), timedelta(days=1)
_STATES = ("firing", "acknowledged", "pending", "insufficient_data", "cleared", "ok")  # the first counts
_SHOWN = ("mean_score", "flag_rate", "auc", "fnr", "brier", "calibration")


@dataclass
class Looks:
    """The looks so far, oldest first."""

    all: list[Numbers] = field(default_factory=list)

    def add(self, look: Numbers) -> None:
        """One more: its report, and what changed."""
        self.all.append(look)

    @property
    def changes(self) -> list[Numbers]:
        """Every change of a state, with the look's day."""
        return [{"as_of": look["report"]["as_of"], **change} for look in self.all for change in look["changes"]]

    def told(self) -> str:
        """The last look in one line."""
        last = self.all[-1]
        changed = [f"{one['instance']} {one['to']}" for one in last["changes"] if one["to"] not in (None, "ok")]
        return f"looked up to {last['report']['as_of']}: {', '.join(changed) or 'nothing new'}"

    def triggers(self, monitoring: Monitoring) -> list[Numbers]:
        """Each trigger, and its worst state at each look."""
        return [
            {
                "id": trigger.id,
                "metric": trigger.metric,
                "when": trigger.when,
                "days": (trigger.window.max_age + DAY).days,
                "states": [_worst(look["report"], trigger.id) for look in self.all],
            }
            for trigger in monitoring.triggers
        ]


def _worst(report: Numbers, trigger: str) -> str:
    held = {one["state"] for one in _of(report, trigger)}
    return next(state for state in _STATES if state in held)


def _of(report: Numbers, trigger: str) -> list[Numbers]:
    return [one for item in report["triggers"] if item["id"] == trigger for one in item["instances"]]


def week_of(look: Numbers, file: pd.DataFrame, gold: pd.DataFrame, definition: Deployment) -> Numbers:
    """What a report says of its newest seven days, and of each trigger's own window.

    Args:
        look: of `Looks`.
        file: what happened, see `account.source`.
        gold: what was scored, see `account.read_scored`.
        definition: the deployment's.
    """
    report = look["report"]
    measured = {one["metric"]: one for one in report["measured"]}
    drift = [one for one in report["measured"] if one["name"] == "psi" and not one["column"]]
    enough = {one["metric"] for one in _of(report, "feature-drift") if not one["lacking"]}
    features = [one for one in drift if one["of"] != "score" and one["value"] is not None]
    farthest = max(features, key=lambda one: one["value"], default=None)
    week = {
        "as_of": report["as_of"],
        "state": report["state"],
        "request": look["request"],
        "psi": {one["of"]: _short(one) for one in drift},
        "farthest": None if farthest is None else farthest["of"],
        "farthest_counts": farthest is not None and farthest["metric"] in enough,
        "missing_plane_age": _short(measured["missing(plane_age_years)"]),
        **{name: _short(measured[name]) for name in _SHOWN},
        "instances": {
            f"{trigger.id}/{one['metric']}": {**_short(one), "state": one["state"]}
            for trigger in definition.monitoring.triggers
            for one in _of(report, trigger.id)
        },
    }
    return {**week, **_by_pandas(week, file, gold, definition)}


def _short(one: Numbers) -> Numbers:
    names = ("value", "low", "high", "rows", "chance_limit", "first_day", "last_day", "lacking", "silent")
    return {name: one[name] for name in names}


def _by_pandas(week: Numbers, file: pd.DataFrame, gold: pd.DataFrame, definition: Deployment) -> Numbers:
    """The same from the package's own file: the share of late flights, and the largest difference."""
    decision = definition.decision
    apart = [0.0]
    if week["flag_rate"]["value"] is not None:
        rows = _between(gold, week["flag_rate"])
        apart += [
            abs(len(rows) - week["flag_rate"]["rows"]),
            abs(rows[decision.flag].mean() - week["flag_rate"]["value"]),
            abs(rows[decision.score].mean() - week["mean_score"]["value"]),
        ]
    if week["auc"]["value"] is None:
        return {"late": None, "apart": max(apart)}
    arrived = file[~file["cancelled"] & ~file["unknown"]]
    rows = _between(gold, week["auc"]).merge(arrived.drop(columns="day"), on=definition.subject)
    found = measure(rows["late"].to_numpy(bool), rows[decision.score].to_numpy(), decision.threshold)
    expected = {
        "auc": found["auc"],
        "fnr": 1 - found["recall"],
        "brier": found["brier"],
        "calibration": found["mean_score"] - found["base_rate"],
    }
    apart += [abs(len(rows) - week["auc"]["rows"])]
    apart += [abs(value - week[name]["value"]) for name, value in expected.items()]
    return {"late": found["base_rate"], "apart": float(max(apart))}


def _between(rows: pd.DataFrame, window: Numbers) -> pd.DataFrame:
    first, last = date.fromisoformat(window["first_day"]), date.fromisoformat(window["last_day"])
    return rows[(rows["day"] >= first) & (rows["day"] <= last)]


def labels_account(workplace: Workplace, file: pd.DataFrame, gold: pd.DataFrame) -> Numbers:
    """Each scored flight's label in the ledger against the package's file.

    1. `without_label`: arrived by the file, and has none;
    2. `other_label`: has another than the file says;
    3. `label_without_arrival`: has one, and never arrived by the file.
    """
    name = f"{workplace.site.ledger}.{workplace.deployment.name}.outcomes"
    table = DeltaTable(workplace.tables.uri(name)).to_pyarrow_table(columns=["subject", "label"])
    told = table.to_pandas().rename(columns={"subject": "flight_id"})
    rows = gold[["flight_id"]].merge(file.drop(columns="day"), on="flight_id", validate="one_to_one")
    rows = rows.merge(told, on="flight_id", how="left", validate="one_to_one")
    arrived, has = ~rows["cancelled"] & ~rows["unknown"], rows["label"].notna()
    both = rows[arrived & has]
    in_file = ~file["cancelled"] & ~file["unknown"]
    return {
        "file": len(file),
        "file_arrived": int(in_file.sum()),
        "scored": len(gold),
        "scored_arrived": int(arrived.sum()),
        "scored_late": int(rows.loc[arrived, "late"].sum()),
        "scored_cancelled": int(rows["cancelled"].sum()),
        "scored_diverted": int(rows["unknown"].sum()),
        "labels": len(told),
        "labels_late": int(told["label"].sum()),
        "without_label": int((arrived & ~has).sum()),
        "other_label": int((both["label"].astype(bool) != both["late"].astype(bool)).sum()),
        "label_without_arrival": int((~arrived & has).sum()),
        "label_not_scored": len(told) - int(told["flight_id"].isin(gold["flight_id"]).sum()),
        "arrived_not_scored": int(in_file.sum() - arrived.sum()),
    }


def past_weeks(workplace: Workplace, training: Days) -> list[Numbers]:
    """Each trigger over the training months, looked at once a week as the watch looks: what is usual.

    The model learned from these rows, so what needs labels is a little better here than it is in use.
    """
    model, sha256 = resolve(workplace)
    profile = read_profile(workplace.artifacts.approved(model, sha256))
    if profile is None:
        return []
    deployment = workplace.deployment
    rows = labelled(read_tables(workplace.site.root), deployment, *training)
    features = list(deployment.features)
    pipeline = mlflow.sklearn.load_model(f"models:/{model.name}/{model.version}")
    rows["score"] = pipeline.predict_proba(rows[features])[:, 1]
    rows["day"] = pd.to_datetime(rows[deployment.subject].str[:10]).dt.date
    monitoring = deployment.monitoring
    asked = [one for one in monitoring.triggers if Metric.parse(one.metric).name not in FLOW]
    values: dict[str, list[float]] = {one.id: [] for one in asked}
    alarms: dict[str, int] = {one.id: 0 for one in asked}
    states: dict[Key, TriggerState] = {}
    everything = _sources(rows, profile, deployment, model.version)
    for number, as_of in enumerate(_week_ends(training)):
        measurer = Measurer(replace(everything, as_of=as_of), monitoring.labels)
        found = {one.id: measurer.measure(one) for one in asked}
        evaluations = [evaluate(one, seen) for one in asked for seen in found[one.id] if _whole(one, seen)]
        after = moved(states, asked, evaluations, Look(as_of, model.version, str(number)))
        for change in changes(states, after, evaluations):
            alarms[change.after.trigger] += change.fired
        for evaluation in evaluations:
            if evaluation.outcome != "lacking":
                values[evaluation.trigger].append(float(evaluation.measured.value))
        states = after
    return [
        {"id": name, "looks": len(held), "low": min(held, default=None), "high": max(held, default=None),
         "alarms": alarms[name]}
        for name, held in values.items()
    ]  # fmt: skip


def _whole(trigger: Trigger, measured: Any) -> bool:
    """Whether the window has all its days: at the beginning of the year there are not so many."""
    days = trigger.window.max_age + DAY
    return measured.first_day is not None and measured.last_day - measured.first_day + DAY >= days


def _week_ends(training: Days) -> Iterator[date]:
    """Each seventh day up to the last of training, oldest first."""
    weeks = ((training[1] - training[0]).days + 1) // 7
    for back in reversed(range(weeks)):
        yield training[1] - back * WEEK


def _sources(rows: pd.DataFrame, profile: Profile, deployment: Deployment, version: str) -> Sources:
    """What a watch would have read if these rows had been scored on their days."""
    rows = rows.iloc[::-1].reset_index(drop=True)  # newest day first
    columns = [*deployment.features, "score"]
    by_day = dict(iter(rows.groupby("day")))
    tables = {day: pa.Table.from_pandas(part[columns], preserve_index=False) for day, part in by_day.items()}
    return Sources(
        as_of=max(by_day),
        moment=datetime.combine(max(by_day) + DAY, time(), UTC),
        version=version,
        since=min(by_day),
        profile=profile,
        daily={day: counted(profile, table) for day, table in tables.items()},
        labelled=LabelledScores(
            version=version,
            days=rows["day"].to_numpy("datetime64[D]"),
            slices=pa.Table.from_pandas(rows[list(deployment.slices)], preserve_index=False),
            scores=rows["score"].to_numpy(),
            flags=(rows["score"] >= deployment.decision.threshold).to_numpy(),
            labels=rows["late"].to_numpy(),
            known=np.ones(len(rows), dtype=bool),
            by_day={day: Scored(len(part), len(part)) for day, part in by_day.items()},
        ),
    )
