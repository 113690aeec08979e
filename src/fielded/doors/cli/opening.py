"""Opening a workplace from the command line. Apart from `options`, because it brings MLflow with it."""

import os
from pathlib import Path

from fielded.doors.cli.options import load, now
from fielded.world.identity import operating_system_user
from fielded.world.workplace import Workplace, open_workplace


def open_from(folder: Path, site_file: Path | None) -> Workplace:
    """The workplace for a deployment folder, for the user the operating system knows."""
    deployment, site = load(folder, site_file)
    return open_workplace(deployment, site, user=operating_system_user(), clock=now, random_bytes=os.urandom)
