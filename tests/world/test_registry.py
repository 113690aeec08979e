"""The registry on a real MLflow store, and what is said where it is gone."""

import contextlib
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest

from conftest import NOWHERE
from fielded.definition import Site
from fielded.words.digests import folder_listing
from fielded.words.errors import Unreachable, WrongUse
from fielded.world.registry import ArtifactGone, NotRegistered, RegisteredVersion, Registry


@pytest.fixture
def kept(store: Any, logged: str, tmp_path: Path) -> SimpleNamespace:
    """A model of the test's own: versions 1 (previous) and 2 (production), their files, and a site."""
    name = f"kept_{tmp_path.parent.name}_{tmp_path.name}"
    store.client.create_registered_model(name)
    files = {}
    for version, alias in (("1", "previous"), ("2", "production")):
        source = store.client.get_model_version_download_uri(logged, version)
        files[version] = tmp_path / "registry" / version
        # MLflow leaves a note in the registry's own folder when another test loads the model by its name.
        note = shutil.ignore_patterns("registered_model_meta")
        shutil.copytree(source.removeprefix("file://"), files[version], ignore=note)
        store.client.create_model_version(name, files[version].as_uri())
        store.client.set_registered_model_alias(name, alias, version)
    site = Site(
        root=str(tmp_path), tracking_uri=store.uri, artifact_root="none", cache=tmp_path / "cache", **NOWHERE
    )
    return SimpleNamespace(model=name, files=files, site=site, store=store)


@pytest.fixture
def registry(kept: Any) -> Registry:
    return Registry(kept.site)


def test_an_alias_is_resolved_to_a_concrete_version(kept: Any, registry: Registry) -> None:
    assert registry.resolve(kept.model, "production") == RegisteredVersion(kept.model, "2")
    assert registry.resolve(kept.model, "previous") == RegisteredVersion(kept.model, "1")
    assert str(registry.resolve(kept.model, "production")) == f"model {kept.model} version 2"
    assert registry.aliases(kept.model) == {"production": "2", "previous": "1"}
    assert registry.versions(kept.model) == [RegisteredVersion(kept.model, version) for version in ("1", "2")]
    assert registry.version(kept.model, "1") == RegisteredVersion(kept.model, "1")


def test_an_alias_that_was_moved_stands_for_the_other_version(kept: Any, registry: Registry) -> None:
    registry.point(kept.model, "production", "1")
    assert registry.resolve(kept.model, "production").version == "1"
    assert kept.store.client.get_model_version_by_alias(kept.model, "production").version in (1, "1")


def test_versions_are_in_the_order_of_numbers_not_of_texts(kept: Any, registry: Registry) -> None:
    for _ in range(8):
        kept.store.client.create_model_version(kept.model, kept.files["1"].as_uri())
    assert [item.version for item in registry.versions(kept.model)] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda registry, model: registry.resolve(model, "staging"), "staging"),
        (lambda registry, _: registry.resolve("nobody", "production"), "nobody"),
        (lambda registry, model: registry.version(model, "99"), "99"),
        (lambda registry, model: registry.version(model, "latest"), "latest"),
        (lambda registry, _: registry.version("nobody", "1"), "nobody"),
        (lambda registry, model: registry.point(model, "production", "99"), "99"),
    ],
    ids=["alias", "model of alias", "version", "no number", "model of version", "alias to version"],
)
def test_what_is_not_registered_is_named(
    kept: Any, registry: Registry, ask: Callable[[Registry, str], object], named: str
) -> None:
    with pytest.raises(NotRegistered, match=named) as caught:
        ask(registry, kept.model)
    assert isinstance(caught.value, WrongUse)
    assert caught.value.exit_code == 2


def test_a_deleted_version_is_not_registered(kept: Any, registry: Registry) -> None:
    kept.store.client.delete_model_version(kept.model, "1")
    with pytest.raises(NotRegistered):
        registry.version(kept.model, "1")
    with pytest.raises(NotRegistered):
        registry.resolve(kept.model, "previous")


def test_a_model_that_nobody_registered_has_no_versions_and_no_aliases(registry: Registry) -> None:
    assert registry.versions("nobody") == []
    assert registry.aliases("nobody") == {}


class TestDownload:
    def test_gives_the_registrys_files_and_no_other(self, kept: Any, registry: Registry, tmp_path: Path) -> None:
        into = registry.download(RegisteredVersion(kept.model, "2"), tmp_path / "into")
        assert folder_listing(into) == folder_listing(kept.files["2"])

    def test_gives_the_same_files_whatever_mlflow_adds(
        self, kept: Any, registry: Registry, store: Any, tmp_path: Path
    ) -> None:
        """MLflow writes a file about the download beside a model that it loads by name."""
        plain = registry.download(RegisteredVersion("shared", "2"), tmp_path / "plain")
        added = mlflow.artifacts.download_artifacts(
            "models:/shared/2", dst_path=str(tmp_path / "by_name"), tracking_uri=store.uri, registry_uri=store.uri
        )
        extra = set(folder_listing(Path(added))) - set(folder_listing(plain))
        assert extra <= {"registered_model_meta"}
        (kept.files["2"] / "registered_model_meta").write_text("model_name: x\n")
        again = registry.download(RegisteredVersion(kept.model, "2"), tmp_path / "again")
        assert "registered_model_meta" not in folder_listing(again)

    @pytest.mark.parametrize("lost", ["folder", "MLmodel"])
    def test_files_that_are_gone_are_artifact_gone_and_nothing_is_left_lying(
        self, kept: Any, registry: Registry, tmp_path: Path, lost: str
    ) -> None:
        if lost == "folder":
            shutil.rmtree(kept.files["2"])
        else:
            (kept.files["2"] / "MLmodel").unlink()
        (tmp_path / "here").mkdir()
        with pytest.raises(ArtifactGone, match=f"{kept.model} version 2") as caught:
            registry.download(RegisteredVersion(kept.model, "2"), tmp_path / "here" / "into")
        assert caught.value.exit_code == 3
        assert list((tmp_path / "here").iterdir()) == []

    def test_no_global_of_mlflow_is_set(self, kept: Any, tmp_path: Path) -> None:
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri("file:///nowhere")
        try:
            other = Registry(kept.site)
            other.resolve(kept.model, "production")
            other.download(RegisteredVersion(kept.model, "2"), tmp_path / "into")
            assert mlflow.get_tracking_uri() == "file:///nowhere"
        finally:
            mlflow.set_tracking_uri(before)


SECRETS = ("hunter2", "t0ken")


class TestGone:
    @pytest.fixture
    def site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        return Site(
            root=str(tmp_path),
            tracking_uri="sqlite://",
            artifact_root=str(tmp_path),
            cache=tmp_path / "cache",
            **NOWHERE,
        )

    @pytest.mark.parametrize(
        "ask",
        [
            lambda registry: registry.resolve("m", "production"),
            lambda registry: registry.version("m", "1"),
            lambda registry: registry.versions("m"),
            lambda registry: registry.aliases("m"),
            lambda registry: registry.point("m", "production", "1"),
        ],
        ids=["resolve", "version", "versions", "aliases", "point"],
    )
    @pytest.mark.parametrize(
        "uri",
        ["http://operator:hunter2@127.0.0.1:9/mlflow", "http://127.0.0.1:9/mlflow?access=t0ken#t0ken"],
        ids=["password", "query"],
    )
    def test_a_server_that_does_not_answer_is_unreachable_and_no_secret_is_told(
        self, site: Site, uri: str, ask: Callable[[Registry], object]
    ) -> None:
        with pytest.raises(Unreachable) as caught:
            ask(Registry(replace(site, tracking_uri=uri)))
        assert "127.0.0.1:9/mlflow" in str(caught.value)
        assert "tracking_uri" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in SECRETS)

    def test_a_server_that_takes_the_question_and_never_answers_is_not_waited_for(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fielded.world.registry._ASK_SECONDS", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            uri = f"http://operator:hunter2@127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(Unreachable, match=r"127\.0\.0\.1.*no answer for 0\.3 s.*tracking_uri") as caught:
                Registry(replace(site, tracking_uri=uri)).aliases("m")
        assert not any(secret in str(caught.value) for secret in SECRETS)

    @pytest.mark.parametrize("kind", ["damaged", "unknown", "no driver"])
    def test_a_store_that_cannot_be_opened_is_unreachable(self, site: Site, tmp_path: Path, kind: str) -> None:
        (tmp_path / "damaged.db").write_text("this is no database " * 500)
        uri = {
            "damaged": f"sqlite:///{tmp_path / 'damaged.db'}",
            "unknown": "carrier-pigeon://operator:hunter2@coop",
            "no driver": "mssql+pyodbc://operator:hunter2@host/db?password=t0ken",
        }[kind]
        registry = Registry(replace(site, tracking_uri=uri))  # nothing is opened before it is needed
        with pytest.raises(Unreachable, match="cannot be opened") as caught:
            registry.resolve("any", "production")
        assert not any(secret in str(caught.value) for secret in SECRETS)

    def test_a_store_that_goes_away_while_in_use_is_unreachable(self, kept: Any, tmp_path: Path) -> None:
        with copied_store(kept, tmp_path) as (registry, database):
            assert registry.resolve(kept.model, "production").version == "2"
            database.write_bytes(b"overwritten by somebody " * 10_000)
            with pytest.raises(Unreachable):
                registry.resolve(kept.model, "production")


@contextlib.contextmanager
def copied_store(kept: Any, folder: Path) -> Iterator[tuple[Registry, Path]]:
    database = folder / "copied.db"
    shutil.copy(kept.site.tracking_uri.removeprefix("sqlite:///"), database)
    yield Registry(replace(kept.site, tracking_uri=f"sqlite:///{database}")), database
