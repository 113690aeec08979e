"""Writes tests/oracles/cbpe_nannyml.json: what NannyML estimates from made scores without labels.

NannyML needs packages of its own, so this runs in an environment of its own, and only its numbers are kept:

    python3.11 -m venv /tmp/oracle && /tmp/oracle/bin/pip install nannyml==0.13.1 statsmodels
    /tmp/oracle/bin/python bench/monitoring/oracles/cbpe.py

Two ways of its are asked: its functions for one metric on scores and flags, and its estimator over a whole chunk,
told to leave the scores as they are.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from nannyml import CBPE
from nannyml.calibration import NoopCalibrator
from nannyml.performance_estimation.confidence_based.metrics import (
    estimate_accuracy,
    estimate_precision,
    estimate_recall,
    estimate_roc_auc,
    estimate_specificity,
)

TARGET = Path(__file__).resolve().parents[3] / "tests" / "oracles" / "cbpe_nannyml.json"
CASES = {  # rows, shape of the scores (beta distribution), threshold
    "even": (500, (1.0, 1.0), 0.5),
    "few flags": (800, (1.5, 5.0), 0.65),
    "sure": (400, (0.4, 0.4), 0.65),
    "small": (12, (2.0, 2.0), 0.5),
}


def main() -> None:
    rng = np.random.default_rng(20_260_302)
    cases = []
    for name, (rows, shape, threshold) in CASES.items():
        scores = rng.beta(*shape, rows)
        calibrated = scores**1.3  # other chances than the scores, in the same order
        flags = scores >= threshold
        cases.append(
            {
                "name": name,
                "threshold": threshold,
                "scores": scores.tolist(),
                "plain": functions(scores, scores, flags),
                "calibrated": functions(scores, calibrated, flags),
            }
        )
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    made = {"nannyml": version("nannyml"), "cases": cases, "estimator": estimator(rng)}
    TARGET.write_text(json.dumps(made) + "\n")


def functions(scores: np.ndarray, chances: np.ndarray, flags: np.ndarray) -> dict[str, float]:
    predicted = flags.astype(int)
    return {
        "auc": float(estimate_roc_auc(chances, scores)),
        "precision": float(estimate_precision(predicted, chances)),
        "recall": float(estimate_recall(predicted, chances)),
        "specificity": float(estimate_specificity(predicted, chances)),
        "accuracy": float(estimate_accuracy(predicted, chances)),
    }


def estimator(rng: np.random.Generator) -> dict[str, object]:
    """One chunk through the estimator, with the confusion matrix."""
    reference, analysis = frame(rng, 2000), frame(rng, 600)
    names = ["roc_auc", "precision", "recall", "specificity", "accuracy", "confusion_matrix"]
    estimate = CBPE(
        metrics=names,
        y_pred="flag",
        y_pred_proba="score",
        y_true="label",
        problem_type="classification_binary",
        chunk_number=1,
        calibrator=NoopCalibrator(),
    )
    estimate.fit(reference)
    found = estimate.estimate(analysis.drop(columns="label")).filter(period="analysis").to_df()
    columns = [*names[:-1], "true_positive", "false_positive", "true_negative", "false_negative"]
    values = {name: float(found[(name, "value")].iloc[0]) for name in columns}
    return {"threshold": 0.65, "scores": analysis["score"].tolist(), "values": values}


def frame(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    scores = rng.beta(1.2, 2.0, rows)
    labels = (rng.random(rows) < scores).astype(int)
    return pd.DataFrame({"score": scores, "flag": (scores >= 0.65).astype(int), "label": labels})


if __name__ == "__main__":
    main()
