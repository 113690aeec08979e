"""A registry for a rehearsal: an MLflow store in SQLite with versions of the numbers that they have elsewhere."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fielded.words.errors import Refused, Unreachable

_MOST = 10_000  # versions made to reach a number; each takes milliseconds


def make_registry(uri: str, model: str, versions: Mapping[str, Path], aliases: Mapping[str, str]) -> None:
    """Make the store and register a model's versions in it.

    MLflow numbers versions itself, so those below and between the wanted ones are made too, without files.

    Args:
        uri: of the store, which is not there yet.
        model: registered name.
        versions: number -> folder with its files.
        aliases: alias -> number.

    Raises:
        Refused: a version that is no number, or too large a one.
        Unreachable: the store cannot be made.
    """
    from fielded.world.mlflow_parts import MlflowClient, MlflowException  # noqa: PLC0415 - takes more than a second

    odd = [version for version in versions if not version.isdecimal() or int(version) > _MOST]
    if odd:
        raise Refused(f"versions: got {', '.join(odd)}, expected numbers up to {_MOST}: a drill makes as many")
    try:
        with _quiet():
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.create_registered_model(model)
            for number in range(1, max(map(int, versions)) + 1):
                nowhere = Path(uri.removeprefix("sqlite:///")).parent / "nowhere"
                client.create_model_version(model, versions.get(str(number), nowhere).as_uri())
            for alias, version in aliases.items():
                client.set_registered_model_alias(model, alias, version)
    except MlflowException as error:
        raise Unreachable(f"drill: a registry of its own cannot be made ({error.error_code})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MLflow and its migrations tell of each table that they make."""
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow.store.db.utils")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
