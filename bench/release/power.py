"""What the shift gate catches and what it lets pass, by simulation: docs/power.md and docs/images/power.svg.

    python bench/release/power.py --write          about five minutes on two cores
    python bench/release/power.py --seeds 10       small, to see that it works

Versions are trained once; what they say is kept under $BENCH_HOME/power (.bench/power), by what made them.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from vessels import CLASSES, LISTED, Pair, pair

from fielded.decisions.measuring.slices import searched
from fielded.decisions.release.findings import Finding
from fielded.decisions.release.shift import measure, shift_findings
from fielded.definition.release import ShiftGate

mpl.use("svg")
from matplotlib import pyplot as plt  # after the choice of where to draw

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "power.md"
PICTURE = REPOSITORY / "docs" / "images" / "power.svg"
BEGIN, END = "<!-- power: written by make power -->", "<!-- end of power -->"
GATE = ShiftGate()
SHIFTS = (0.0, -0.2, -0.4, -0.6, -0.8, -1.0, -1.2)
ROWS = (200, 500, 1000, 2000)
MOST_ROWS = 20_000
# Shades of one hue, more rows the darker, and a mark of its own each: it reads in grey and without colours too.
STYLES = {200: ("#9ecae1", "o"), 500: ("#4292c6", "s"), 1000: ("#2171b5", "^"), 2000: ("#08306b", "D")}

Outcomes = Mapping[tuple[int, float, str], str]


@dataclass(frozen=True)
class Fleet:
    """A way to make pairs of versions.

    Attributes:
        equal_classes: eight classes with as many orders each; else the example's own fleet.
        training_rows: orders that each version learns from.
        recent_rows: orders that both score.
    """

    equal_classes: bool
    training_rows: int
    recent_rows: int


PLANTED = Fleet(equal_classes=True, training_rows=30_000, recent_rows=max(ROWS))
HONEST = tuple(
    Fleet(equal_classes=equal, training_rows=training, recent_rows=MOST_ROWS)
    for equal, training in ((True, 10_000), (True, 30_000), (True, 100_000), (False, 30_000))
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--honest-seeds", type=int, default=24, help="for the other fleets and training sizes")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="write the page and the picture")
    chosen = parser.parse_args()
    with ProcessPoolExecutor(chosen.processes) as pool:
        planted = list(pool.map(planted_outcomes, range(chosen.seeds)))
        honest = {
            fleet: list(pool.map(partial(honest_outcomes, fleet), range(chosen.honest_seeds))) for fleet in HONEST
        }
    text = "\n".join([_versions(), "", *power_table(planted), "", *honest_table(honest)])
    sys.stdout.write(text + "\n")
    if chosen.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
        draw(planted)


def planted_outcomes(seed: int) -> Outcomes:
    """What the gate says for each number of rows and shift, listed or found by search alone."""
    versions = kept(PLANTED, seed)
    biased = CLASSES[seed % len(CLASSES)]
    found = {}
    for rows in ROWS:
        for shift in SHIFTS:
            seen = versions.scores(rows, shift, biased)
            found[rows, shift, "listed"] = outcome(shift_findings(*seen, LISTED, GATE))
            if rows == max(ROWS):
                others = [name for name in LISTED if name != "hull_class"]
                found[rows, shift, "searched"] = outcome(shift_findings(*seen, others, GATE))
    return found


def honest_outcomes(fleet: Fleet, seed: int) -> Mapping[str, object]:
    """What the gate says of a candidate that nobody biased, why, and how far its slices spread."""
    versions = kept(fleet, seed)
    found: dict[str, object] = {}
    for rows in (2000, MOST_ROWS):
        findings = shift_findings(*versions.scores(rows), LISTED, GATE)
        found[f"outcome {rows}"] = outcome(findings)
        found[f"but frigates {rows}"] = outcome([each for each in findings if "FFG" not in each.item])
    features, production, candidate = versions.scores(MOST_ROWS)
    measured = measure(searched(features, GATE.minimum_rows, 2), production, candidate, GATE.minimum_rows)
    width = np.array([len(each.terms) for each in measured.slices])
    for columns in (1, 2):
        found[f"shifts {columns}"] = measured.statistics["score"].value[width == columns]
        found[f"flags {columns}"] = measured.statistics["flag_rate"].value[width == columns]
    found["row"] = float(np.std(versions.candidate - versions.production))
    return found


def kept(fleet: Fleet, seed: int) -> Pair:
    """A pair from the cache, or made and put there."""
    home = Path(os.environ.get("BENCH_HOME", REPOSITORY / ".bench")) / "power"
    size = "equal" if fleet.equal_classes else "own"
    path = home / f"{size}-{fleet.training_rows}-{fleet.recent_rows}-{seed}-{version('scikit-learn')}.parquet"
    if not path.exists():
        made = pair(
            seed,
            recent_rows=fleet.recent_rows,
            equal_classes=fleet.equal_classes,
            training_rows=fleet.training_rows,
        )
        home.mkdir(parents=True, exist_ok=True)
        said = made.features.append_column("_production", pa.array(made.production))
        pq.write_table(said.append_column("_candidate", pa.array(made.candidate)), path)
    table = pq.read_table(path)
    production, candidate = (table.column(name).to_numpy() for name in ("_production", "_candidate"))
    return Pair(table.drop_columns(["_production", "_candidate"]), production, candidate)


def outcome(findings: Iterable[Finding]) -> str:
    """The worst."""
    outcomes = {each.outcome for each in findings}
    return next(each for each in ("failed", "not enough evidence", "passed") if each in outcomes)


def power_table(planted: list[Outcomes]) -> Iterator[str]:
    """Of all seeds: failed + not enough evidence, for each shift and number of rows."""
    yield f"Candidates stopped, of {len(planted)}: failed + not enough evidence."
    yield ""
    asked = [*((rows, "listed") for rows in ROWS), (max(ROWS), "searched")]
    heads = [f"{rows:,} rows{'' if how == 'listed' else ', class not listed'}" for rows, how in asked]
    yield f"| Shift of one class | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(asked)}"
    for shift in SHIFTS:
        counted = [Counter(seed[rows, shift, how] for seed in planted) for rows, how in asked]
        cells = [f"{each['failed']} + {each['not enough evidence']}" for each in counted]
        yield f"| {shift:g}{'' if shift else ' (honest)'} | {' | '.join(cells)} |"


def honest_table(honest: Mapping[Fleet, list[Mapping[str, object]]]) -> Iterator[str]:
    """Of candidates that nobody biased: how many passed, and how far their slices are from production's."""
    yield "Candidates that nobody biased."
    yield ""
    yield (
        "| Fleet | Trained on | Passed, 2,000 rows | Passed, 20,000 rows | Without frigates, 20,000 "
        "| SD of a row | SD of a slice, one column | two columns | Largest | SD of its flag rate |"
    )
    yield f"|{'---|' * 10}"
    for fleet, seeds in honest.items():
        yield " ".join(["|", " | ".join(_honest_cells(fleet, seeds)), "|"])


def _honest_cells(fleet: Fleet, seeds: list[Mapping[str, object]]) -> Iterator[str]:
    yield "eight equal classes" if fleet.equal_classes else "the example's, with a new class"
    yield f"{fleet.training_rows:,}"
    for name in ("outcome 2000", f"outcome {MOST_ROWS}", f"but frigates {MOST_ROWS}"):
        yield f"{sum(seed[name] == 'passed' for seed in seeds)} of {len(seeds)}"
    yield f"{np.mean([seed['row'] for seed in seeds]):.2f}"
    shifts = {columns: np.concatenate([seed[f"shifts {columns}"] for seed in seeds]) for columns in (1, 2)}
    yield f"{np.std(shifts[1]):.3f}"
    yield f"{np.std(shifts[2]):.3f}"
    yield f"{max(np.abs(each).max() for each in shifts.values()):.2f}"
    yield f"{np.std(np.concatenate([seed['flags 1'] for seed in seeds])):.3f}"


def draw(planted: list[Outcomes]) -> None:
    """Share of candidates that fail, by the shift, a line for each number of rows."""
    mpl.rcParams.update({"svg.hashsalt": "power", "font.size": 10, "axes.spines.top": False})
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    sizes = [-shift for shift in SHIFTS]
    for rows, (colour, mark) in STYLES.items():
        failed = [np.mean([seed[rows, shift, "listed"] == "failed" for seed in planted]) for shift in SHIFTS]
        few = rows // len(CLASSES) < GATE.minimum_rows
        label = f"{rows:,} rows, about {rows // len(CLASSES)} a class{': too few to pass' if few else ''}"
        axes.plot(sizes, failed, color=colour, marker=mark, label=label)
    searching = [np.mean([seed[max(ROWS), shift, "searched"] == "failed" for seed in planted]) for shift in SHIFTS]
    label = f"{max(ROWS):,} rows, class not listed"
    axes.plot(sizes, searching, color="#b35806", marker="x", linestyle="--", label=label)
    axes.axvline(GATE.score, color="#888888", linewidth=1, linestyle=":")
    axes.text(GATE.score - 0.015, 0.99, "tolerance", color="#555555", rotation=90, ha="right", va="top")
    axes.set(xlabel="log-odds taken off the scores of one class of eight", ylabel="share of candidates that fail")
    axes.set(xlim=(-0.02, 1.22), ylim=(-0.02, 1.04))
    axes.set_yticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.spines["right"].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None, "Title": "Power of the shift gate"})


def _versions() -> str:
    names = ("numpy", "scipy", "scikit-learn")
    return f"{', '.join(f'{name} {version(name)}' for name in names)}."


if __name__ == "__main__":
    main()
