"""What NannyML says of made rows: values that tests/decisions/monitoring/test_drift_oracle.py holds ours against.

NannyML asks for an older pandas than fielded has, so it runs in an environment of its own; its answers are kept:

    uv venv /tmp/nannyml && uv pip install --python /tmp/nannyml/bin/python "nannyml==0.13.1" statsmodels
    /tmp/nannyml/bin/python bench/monitoring/oracles/drift_nannyml.py > tests/oracles/drift_nannyml.json
"""

import json
import sys
from importlib.metadata import version

GOLDEN = 0.6180339887498949
ROWS = (2000, 500)  # of the reference, of the window
KINDS = ("engine", "hull", "radar", "valve", "pump", "crane")


def made(count: int, moved: float) -> dict[str, list]:
    """Rows made of the golden section, without chance: the same on every machine and in every version of NumPy."""
    shares = [(number * GOLDEN) % 1.0 for number in range(1, count + 1)]
    others = [(number * GOLDEN * GOLDEN) % 1.0 for number in range(1, count + 1)]
    return {
        "hours": [100.0 * share * share + 20.0 * moved for share in shares],
        "age": [float(int(59 * share) + int(10 * moved)) for share in others],
        "month": [float(int(12 * share ** (1 + moved)) + 1) for share in shares],
        "kind": [KINDS[int(len(KINDS) * share ** (1 + moved))] for share in others],
        "score": [share**2 * (1 - moved) + moved * share for share in others],
    }


WINDOWS = {"quiet": 0.0, "moved": 0.5}
NUMBERS = ("hours", "age", "month", "score")


def main() -> None:
    import nannyml
    import pandas as pd

    reference = pd.DataFrame(made(ROWS[0], 0.0))
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=[*NUMBERS, "kind"],
        continuous_methods=["kolmogorov_smirnov", "wasserstein"],
        categorical_methods=["chi2", "jensen_shannon"],
        chunk_number=1,
        computation_params={  # exact, not from NannyML's own bins
            "kolmogorov_smirnov": {"calculation_method": "exact"},
            "wasserstein": {"calculation_method": "exact"},
        },
    ).fit(reference)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, moved in WINDOWS.items():
        frame = calculator.calculate(pd.DataFrame(made(ROWS[1], moved))).filter(period="analysis").to_df()
        methods = dict.fromkeys(NUMBERS, ("kolmogorov_smirnov", "wasserstein"))
        methods["kind"] = ("chi2", "jensen_shannon")
        found[name] = {
            column: {method: float(frame[(column, method, "value")].iloc[0]) for method in asked}
            for column, asked in methods.items()
        }
    text = json.dumps({"nannyml": version("nannyml"), "windows": found}, indent=1, sort_keys=True)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
