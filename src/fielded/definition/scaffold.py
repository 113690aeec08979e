"""A new deployment folder with its blanks marked."""

import re
from importlib import resources
from pathlib import Path

from fielded.definition.loading import FILE
from fielded.words.errors import WrongUse


def new_deployment(parent: Path, name: str) -> Path:
    """Write a folder `name` under `parent` with a deployment.yaml and a population.py to fill in.

    Raises:
        WrongUse: the name is not one a deployment can have, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise WrongUse(
            f"name: got {name!r}, expected lower-case letters, digits and _, such as maintenance_overrun"
        )
    folder = parent / name
    if folder.exists():
        raise WrongUse(f"name: got {folder}, which is there already, expected a new folder. Nothing was changed")
    folder.mkdir(parents=True)
    template = resources.files("fielded.definition") / "template"
    (folder / FILE).write_text((template / FILE).read_text(encoding="utf-8").format(name=name), encoding="utf-8")
    population = (template / "population.py").read_text(encoding="utf-8")
    (folder / "population.py").write_text(population, encoding="utf-8")
    return folder
