"""The command line. Exit codes: 0 done, 1 a gate or check said no, 2 wrong use or definition, 3 out of reach."""

import sys

from fielded.doors.cli.app import build
from fielded.doors.cli.rendering import render_error
from fielded.words.errors import FieldedError


def main() -> None:
    """Run the command named on the command line; the one place that turns an error into an exit code."""
    try:
        build(sys.argv[1:])()
    except FieldedError as error:
        render_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - a fault of ours; its stack may hold a row's values
        sys.stderr.write(f"fielded: unexpected {type(error).__name__}; please report it\n")
        sys.exit(70)


__all__ = ["main"]
