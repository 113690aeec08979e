"""`fielded demo`."""

import os
import time
from pathlib import Path

import typer

from fielded.definition import Site, load_deployment
from fielded.definition.site import FILE
from fielded.doors.cli.benches import bench_of
from fielded.doors.cli.options import Json, now
from fielded.doors.cli.release_drill import COMMAND
from fielded.doors.cli.rendering import out, print_json
from fielded.services.demo import example_folder, run_demo
from fielded.services.demo_ato import Means
from fielded.services.release.drill import Plan
from fielded.world.identity import operating_system_user
from fielded.world.workplace import Workplace, open_workplace

app = typer.Typer(add_completion=False)


@app.command()
def demo(as_json: Json = False) -> None:
    """The whole way on made-up but realistic data, in this folder's .fielded/demo (emptied first)."""
    folder = Path(".fielded") / "demo"
    steps = []
    means = Means(
        user=operating_system_user(),
        today=now().date(),
        random_bytes=os.urandom,
        bench=lambda workplace: bench_of(workplace, folder / FILE),
        plan=Plan(command=COMMAND, ticks=time.monotonic, sleep=time.sleep),
    )
    for number, step in enumerate(run_demo(_open, folder, means), start=1):
        steps.append({"step": step.title, "result": step.result})
        if not as_json:
            out.print(f"{number}. {step.title}", markup=False)
            out.print(f"   {step.result}", markup=False)
    if as_json:
        print_json(steps)
        return
    example = os.path.relpath(example_folder())
    out.print(f"Look around: fielded audit find SUBJECT --site {folder}/site.yaml -d {example}", markup=False)


def _open(deployment: Path, site: Site) -> Workplace:
    return open_workplace(
        load_deployment(deployment), site, user=operating_system_user(), clock=now, random_bytes=os.urandom
    )
