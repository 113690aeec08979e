"""How much memory a model takes while it is loaded, measured in a process of its own.

Memory that a process has given back to its allocator hides what is loaded next, and the peak of a process that has
done other work is that work's. So a fresh one imports what every model needs, looks, loads, and looks again.
"""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from fielded.definition.deployment import ModelRef
from fielded.words.errors import Unreachable

_STATUS = Path("/proc/self/status")
_SECONDS = 600.0
_KIB_A_MIB = 1024


def loading_memory(folder: Path, ref: ModelRef) -> float | None:
    """What loading a model and scoring its input example adds to a process at its peak, in MiB.

    Args:
        folder: verified files of a version.
        ref: see `world.models.load_model`.

    Returns:
        None where the operating system does not tell a process its peak.

    Raises:
        Unreachable: the process could not be started, or ended without an answer.
    """
    asked = json.dumps({"folder": str(folder), "ref": asdict(ref)})
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-m", __name__],
            input=asked,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        found: float | None = json.loads(done.stdout.splitlines()[-1])["mib"]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        raise Unreachable(
            f"memory of a model: could not be measured in a process of its own ({type(error).__name__})"
        ) from None
    return found


def _measure(asked: str) -> float | None:
    # What every model needs is no model's own growth; none of it is needed by whoever only calls.
    import mlflow.sklearn  # noqa: F401, PLC0415
    import sklearn.ensemble  # noqa: F401, PLC0415

    from fielded.world.models import load_model  # noqa: PLC0415

    given = json.loads(asked)
    ref = TypeAdapter(ModelRef).validate_python(given["ref"])
    before = _kib("VmRSS")
    loaded = load_model(Path(given["folder"]), ref)
    after = _kib("VmHWM")
    del loaded
    return None if before is None or after is None else max(after - before, 0) / _KIB_A_MIB


def _kib(field: str) -> int | None:
    """A line of Linux's own account of this process."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith(f"{field}:")), None)
    return None if found is None else int(found)


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"mib": _measure(sys.stdin.read())}) + "\n")
