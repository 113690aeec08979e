"""The MLflow model registry: aliases to concrete versions, and the files of a version.

Clients are built with their URIs; no MLflow global is set. MLflow is imported and the store opened when they are
first asked for something: looking a score up, draining, and a rollback to a version that every API holds ready do
not wait for that.
"""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from fielded.definition.site import Site
from fielded.words.deadline import within
from fielded.words.errors import Unreachable, WrongUse

# MLflow writes this beside a downloaded model; it is about the download, not part of the artifact.
_WRITTEN_BY_DOWNLOAD = "registered_model_meta"
_ASK_SECONDS = (
    20.0  # for one question, with the start of MLflow; a server that hangs would be waited for for minutes
)

Told = TypeVar("Told")


class NotRegistered(WrongUse):
    """The registry has no such model, alias or version."""


class ArtifactGone(Unreachable):
    """The registry knows the version, but its files cannot be had."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One concrete version of a registered model.

    Attributes:
        name: registered name.
        version: concrete version, as MLflow writes it ("3").
    """

    name: str
    version: str

    def __str__(self) -> str:
        return f"model {self.name} version {self.version}"


class Registry:
    """The registry of a site.

    Args:
        site: for its tracking URI.
    """

    def __init__(self, site: Site) -> None:
        self._uri = site.tracking_uri

    @cached_property
    def _client(self) -> Any:
        try:
            return _mlflow().MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        except Exception as error:  # a store raises whatever its driver raises, or lacks the driver
            raise Unreachable(f"registry: {_kind(self._uri)} cannot be opened ({type(error).__name__})") from error

    def resolve(self, name: str, alias: str) -> RegisteredVersion:
        """The concrete version an alias stands for now. Asked once a run.

        Raises:
            NotRegistered: no such model or alias.
            Unreachable: the registry does not answer.
        """
        try:
            found = self._ask(lambda client: client.get_model_version_by_alias(name, alias))
        except _mlflow().MlflowException as error:
            if _absent(error):
                raise NotRegistered(
                    f"model {name}: got no alias `{alias}`, expected one in {_kind(self._uri)}. "
                    "Register the model and set the alias"
                ) from None
            raise self._unreachable(error) from error
        return RegisteredVersion(name, str(found.version))

    def version(self, name: str, version: str) -> RegisteredVersion:
        """A version by its number.

        Raises:
            NotRegistered: there is none, or it was deleted.
        """
        try:
            found = self._ask(lambda client: client.get_model_version(name, version))
        except _mlflow().MlflowException as error:
            if _absent(error):
                raise NotRegistered(f"model {name}: got no version {version}, expected one") from None
            raise self._unreachable(error) from error
        return RegisteredVersion(name, str(found.version))

    def versions(self, name: str) -> list[RegisteredVersion]:
        """All versions of a model, oldest first."""
        try:
            found = self._ask(lambda client: client.search_model_versions(f"name = '{name}'"))
        except _mlflow().MlflowException as error:
            raise self._unreachable(error) from error
        return [RegisteredVersion(name, str(item.version)) for item in sorted(found, key=lambda v: int(v.version))]

    def first_registered(self, name: str) -> datetime | None:
        """When the first version of a model was registered, UTC; None where none ever was.

        Where the first was deleted, that is when the model itself was: no later than the version, and all that is
        known of it.

        Raises:
            Unreachable: the registry does not answer.
        """
        try:
            found = self._ask(lambda client: client.search_model_versions(f"name = '{name}'"))
            times = {int(item.version): int(item.creation_timestamp) for item in found}
            if 1 not in times:
                times[0] = int(self._ask(lambda client: client.get_registered_model(name)).creation_timestamp)
        except _mlflow().MlflowException as error:
            if _absent(error):
                return None
            raise self._unreachable(error) from error
        return datetime.fromtimestamp(min(times.values()) / 1000, UTC)  # MLflow counts milliseconds

    def in_stage(self, name: str, stage: str) -> list[RegisteredVersion]:
        """Versions in one of MLflow's deprecated stages: read only to move off them."""
        try:
            found = self._ask(lambda client: client.search_model_versions(f"name = '{name}'"))
        except _mlflow().MlflowException as error:
            raise self._unreachable(error) from error
        return [RegisteredVersion(name, str(item.version)) for item in found if item.current_stage == stage]

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> concrete version."""
        try:
            found = self._ask(lambda client: client.get_registered_model(name))
            return {alias: str(version) for alias, version in found.aliases.items()}
        except _mlflow().MlflowException as error:
            if _absent(error):
                return {}
            raise self._unreachable(error) from error

    def point(self, name: str, alias: str, version: str) -> None:
        """Set an alias. Who did it and why is the ledger's to know: MLflow keeps neither."""
        try:
            self._ask(lambda client: client.set_registered_model_alias(name, alias, version))
        except _mlflow().MlflowException as error:
            if _absent(error):
                raise NotRegistered(f"model {name}: got no version {version}, expected one") from None
            raise self._unreachable(error) from error

    def download(self, model: RegisteredVersion, into: Path) -> Path:
        """Copy the version's files into the folder `into`, which must not exist yet.

        Raises:
            NotRegistered: there is no such version.
            Unreachable: the registry does not answer.
            ArtifactGone: the files are not where the registry says.
        """
        source = self._source(model)
        landing = into.with_name(f"{into.name}.landing")
        try:
            landing.mkdir(parents=True)
            got = _mlflow().download_artifacts(
                artifact_uri=source, dst_path=str(landing), tracking_uri=self._uri, registry_uri=self._uri
            )
            folder = Path(got)
            if not (folder / "MLmodel").is_file():
                raise ArtifactGone(f"{model}: got files without MLmodel, expected an MLflow model")
            (folder / _WRITTEN_BY_DOWNLOAD).unlink(missing_ok=True)
            shutil.copytree(folder, into)
        except _mlflow().MlflowException as error:
            raise ArtifactGone(f"{model}: its files are not where the registry says") from error
        except OSError as error:
            raise ArtifactGone(
                f"{model}: its files cannot be read ({error.strerror or type(error).__name__})"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(landing)
        return into

    def _source(self, model: RegisteredVersion) -> str:
        try:
            return str(self._ask(lambda client: client.get_model_version_download_uri(model.name, model.version)))
        except _mlflow().MlflowException as error:
            if _absent(error):
                raise NotRegistered(f"model {model.name}: got no version {model.version}, expected one") from None
            raise self._unreachable(error) from error

    def _ask(self, question: Callable[[Any], Told]) -> Told:
        """What the registry answers, in bounded time: MLflow's own patience is minutes.

        Raises:
            Unreachable: it cannot be opened, or does not answer in time.
            mlflow.exceptions.MlflowException: whatever it answered instead.
        """
        try:
            return within(_ASK_SECONDS, lambda: question(self._client))
        except TimeoutError as error:
            raise Unreachable(f"registry: {_kind(self._uri)}: {error}. Check tracking_uri") from None

    def _unreachable(self, error: Any) -> Unreachable:
        return Unreachable(
            f"registry: {_kind(self._uri)} does not answer ({error.error_code}). Check tracking_uri"
        )


def _absent(error: Any) -> bool:
    return error.error_code in _mlflow().ABSENT


def _mlflow() -> Any:
    from fielded.world import mlflow_parts  # noqa: PLC0415 - see the module's opening

    return mlflow_parts


def _kind(uri: str) -> str:
    """A registry URI without what may be secret in it."""
    scheme, _, rest = uri.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if rest else scheme
