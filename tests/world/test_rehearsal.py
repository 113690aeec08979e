"""The copy of a site: a table as it was at a version, a site of its own, versions with their numbers."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

from conftest import NOWHERE, Spare, World
from fielded.decisions.release.acts import Pinned
from fielded.definition.serving import Api, Identity, Oidc, Proxy
from fielded.definition.site import Site
from fielded.services.approve import approved_digest
from fielded.words.errors import Refused, Unreachable
from fielded.world.ledger import Event
from fielded.world.registry import NotRegistered, RegisteredVersion, Registry
from fielded.world.registry_copy import make_registry
from fielded.world.rehearsal import copy_site, copy_table, rehearsal_folder, replaced_of


def record(world: World, count: int) -> None:
    workplace = world.open()
    for number in range(count):
        event = Event(
            kind="noted", about=f"thing {number}", actor="os:tester", occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
            details={},
        )  # fmt: skip
        workplace.ledger.record(event, workplace.random_bytes)


def test_a_table_is_copied_as_it_was_and_counts_go_on_from_there(world: World, tmp_path: Path) -> None:
    record(world, 3)
    workplace = world.open()
    pinned = workplace.tables.pin(workplace.ledger.events)
    record(world, 2)  # after it was looked at
    (Path(pinned.uri) / "_delta_log" / "_last_checkpoint").write_text('{"version":999,"size":1}')
    copy_table(Path(pinned.uri), tmp_path / "copy", pinned.version)
    copied = DeltaTable(tmp_path / "copy")
    assert copied.version() == pinned.version
    assert copied.transaction_version("events") == pinned.table.transaction_version("events")
    assert copied.to_pyarrow_table().num_rows == pinned.table.to_pyarrow_table().num_rows
    assert copied.metadata().id == pinned.table.metadata().id


def test_what_a_rehearsal_has_otherwise_is_told_without_hosts_or_secrets(tmp_path: Path) -> None:
    roles = {"score": ("*",)}
    site = Site(
        root=str(tmp_path), tracking_uri="https://user:word@registry.example.mil", artifact_root="x",
        cache=tmp_path, environment="production", signing_key="aws-kms:arn",
        journal_url="postgresql://user:word@db.example.mil/x", checkpoints=tmp_path,
        identity=Identity(
            oidc=Oidc(issuer="https://login.example.mil", audience="x", jwks="https://login.example.mil/keys"),
            proxy=Proxy(addresses=("10.0.0.1",), secret="env:X", roles=roles),  # noqa: S106 - a reference
        ),
        api=Api(rate_per_minute=60, tls_certificate=tmp_path / "c.pem", tls_key=tmp_path / "k.pem"),
    )  # fmt: skip
    told = "\n".join(replaced_of(site))
    for word in (
        "registry (https)", "PostgreSQL", "identity (oidc, proxy)", "TLS", "rate_per_minute 60", "signing key",
        "environment production", "folder of checkpoints", "network",
    ):  # fmt: skip
        assert word in told
    assert "example.mil" not in told
    assert "word" not in told
    embedded = Site(root="x", tracking_uri="sqlite:///x", artifact_root="x", cache=tmp_path, **NOWHERE)
    assert len(list(replaced_of(embedded))) == 3


def test_the_copys_site_lies_wholly_in_its_folder_and_keeps_what_decides_how_it_serves(
    spare: Spare, tmp_path: Path
) -> None:
    site = replace(
        spare.site, roles={"os:tester": ("release",)}, environment="production", workers=3,
        api=Api(max_in_flight=77, rate_per_minute=5, stop_seconds=9),
    )  # fmt: skip
    workplace = replace(spare.open(), site=site)
    folder = tmp_path / "folder"
    folder.mkdir()
    pinned = [
        Pinned(version, approved_digest(workplace.ledger, RegisteredVersion(spare.model, version)))
        for version in ("1", "2")
    ]
    made = copy_site(workplace, folder, pinned, {"production": pinned[1], "previous": pinned[0]}, workers=2)
    copied = made.site
    for place in (copied.root, copied.cache, copied.artifact_root, copied.tracking_uri, copied.journal_url,
                  copied.signing_key, copied.identity.development_token):  # fmt: skip
        assert str(folder) in str(place)
    assert (copied.roles, copied.workers, copied.api.max_in_flight) == ({"os:tester": ("release",)}, 3, 77)
    assert (copied.api.workers, copied.api.host, copied.api.rate_per_minute) == (2, "127.0.0.1", 0)
    assert made.deployment.sha256 == workplace.deployment.sha256
    assert made.sampled == frozenset()
    assert Registry(copied).aliases(spare.model) == {"production": "2", "previous": "1"}
    assert (folder / "token").stat().st_mode & 0o077 == 0
    assert made.token not in made.site_file.read_text()


def test_versions_have_their_numbers_and_those_between_have_no_files(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "MLmodel").write_text("flavors: {}")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make_registry(uri, "m", {"3": files, "5": files}, {"production": "5"})
    site = Site(root="x", tracking_uri=uri, artifact_root="x", cache=tmp_path, **NOWHERE)
    registry = Registry(site)
    assert registry.resolve("m", "production").version == "5"
    assert (registry.download(RegisteredVersion("m", "3"), tmp_path / "got") / "MLmodel").is_file()
    with pytest.raises(Unreachable):
        registry.download(RegisteredVersion("m", "4"), tmp_path / "nothing")
    with pytest.raises(NotRegistered):
        registry.version("m", "6")
    with pytest.raises(Refused, match="expected numbers"):
        make_registry(uri, "m", {"v7": files}, {})


def test_the_folder_is_its_owners_and_goes_also_after_an_error(spare: Spare, tmp_path: Path) -> None:
    def fail() -> None:
        with rehearsal_folder(spare.site, tmp_path / "else") as folder:
            assert folder.parent == tmp_path / "else"
            assert folder.stat().st_mode & 0o077 == 0
            (folder / "rows").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list((tmp_path / "else").iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unreachable), rehearsal_folder(spare.site, tmp_path / "file"):
        pass
