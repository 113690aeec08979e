"""What collectors look at, from the command line: with this process's API, and the file the site is read from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fielded.definition.site import site_file
from fielded.doors.serving.probing import open_door
from fielded.services.evidence.collect import Bench
from fielded.world.workplace import Workplace


@contextmanager
def bench_of(workplace: Workplace, site: Path | None) -> Iterator[Bench]:
    """The bench for a workplace, while its API can be asked.

    Args:
        workplace: the deployment at its site.
        site: as `--site` names it.
    """
    with open_door(workplace) as door:
        yield Bench(workplace, door, open_door, site_file(os.environ, Path.cwd(), site))
