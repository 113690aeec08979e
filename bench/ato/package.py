"""How long readiness, evidence and the package of the demo take, and whether NIST's schemas take its OSCAL.

python bench/ato/package.py [--write]          a demo of its own, then each command as a process of its own
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- package: written by make bench-ato -->", "<!-- end of package -->"
MAIN = [sys.executable, "-c", "from fielded.doors.cli import main; main()"]
DEPLOYMENT = ROOT / "examples" / "maintenance_overrun"
OUTCOMES = ("satisfied", "attested", "not satisfied", "not checked")
PACKAGE_SECONDS = 60  # that the package of the demo may take


@dataclass(frozen=True)
class Timed:
    """A command that ended.

    Attributes:
        seconds: of the whole process.
        code: exit code.
        told: what it printed as JSON; None where it printed none.
    """

    seconds: float
    code: int
    told: Any


def run(folder: Path, *arguments: str) -> Timed:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDED_")}
    environment["FIELDED_SITE"] = str(folder / ".fielded" / "demo" / "site.yaml")
    began = time.perf_counter()
    done = subprocess.run(
        [*MAIN, *arguments, "-d", str(DEPLOYMENT), "--json"] if arguments[0] != "demo" else [*MAIN, "demo"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode > 1:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    try:
        return Timed(seconds, done.returncode, json.loads(done.stdout))
    except ValueError:
        return Timed(seconds, done.returncode, None)


def measured(folder: Path) -> list[tuple[str, str, str]]:
    """What is measured, what must be, and what was."""
    demo = run(folder, "demo")
    ready = run(folder, "ready")
    collect = run(folder, "ato", "collect", "--all")
    package = run(folder, "ato", "package", "--out", "package")
    again = run(folder, "ato", "package", "--out", "again")
    schemas = next((ROOT / ".oscal").glob("*.whl"), None)
    verify = run(folder, "ato", "verify", package.told["path"], *(["--schemas", str(schemas)] if schemas else []))
    outcomes = [one["outcome"] for one in collect.told]
    counts = package.told["counts"]
    said = counts["sentences"]
    same = package.told["sha256"] == again.told["sha256"]
    valid = "not looked at" if schemas is None else f"{len(verify.told['findings'])} faults"
    remade, passed = verify.told["counts"]["sentences"], ready.told["counts"]["passed"]
    whole = ready.seconds + collect.seconds + package.seconds
    return [
        ("package for the demo", f"under {PACKAGE_SECONDS} s", f"{package.seconds:.1f} s"),
        ("the same with all of its evidence collected anew", "", f"{whole:.1f} s"),
        ("share of that which is collecting", "", f"{(ready.seconds + collect.seconds) / whole:.0%}"),
        ("built twice", "the same bytes", "the same bytes" if same else "other bytes"),
        ("OSCAL against NIST's schemas, references, sentences", "no fault", valid),
        ("sentences made anew by verify", "all", f"{remade:,} in {verify.seconds:.1f} s"),
        ("sentences evidenced / attested / not evidenced", "", " / ".join(f"{said[name]:,}" for name in said)),
        ("readiness of the demo", "12 of 12", f"{passed} of {len(ready.told['items'])}"),
        ("evidence satisfied / attested / not satisfied / not checked", "",
         " / ".join(str(outcomes.count(name)) for name in OUTCOMES)),
        ("package beside the whole demo", "", f"{package.seconds / demo.seconds:.1%} of its time"),
    ]  # fmt: skip


def table(rows: list[tuple[str, str, str]]) -> str:
    lines = [f"| {what} | {must} | {got} |" for what, must, got in rows]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return "\n".join(
        ["| | must | measured |", "|---|---|---|", *lines, "", f"Each a process of its own; {machine}."]
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fielded-bench-") as folder:
        text = table(measured(Path(folder)))
    print(text)
    if asked.write:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
