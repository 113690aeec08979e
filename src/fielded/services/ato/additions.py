"""Files that the site's authorization names: overlays and further controls, read and never invented."""

import json
from pathlib import Path
from typing import Any

from fielded.decisions.ato.overlays import Addition, read_addition
from fielded.definition.authorization import Authorization
from fielded.words.errors import WrongUse


def additions_of(authorization: Authorization) -> tuple[Addition, ...]:
    """What the site's files add to the baseline, in their order.

    Raises:
        WrongUse: a file is missing, or no OSCAL profile or catalog.
    """
    return tuple(
        read_addition(read_json(path, f"authorization.additions.{place}"), path.name)
        for place, path in enumerate(authorization.additions)
    )


def read_json(path: Path, field: str) -> Any:
    """The JSON value in a file that the site names.

    Raises:
        WrongUse: it is not there, or holds none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse(
            f"{field}: got {path.name}, which cannot be read ({error.strerror}), expected a file"
        ) from None
    except ValueError:
        raise WrongUse(f"{field}: got {path.name}, which is no JSON, expected OSCAL in JSON") from None
