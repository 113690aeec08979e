"""Controls of the ledger, of releases and of the site: as they are, and each way to break them is told."""

import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from deltalake import DeltaTable, write_deltalake

from conftest import DAY, DEFINITION, SHIPS, Spare, Store, make_orders
from fielded.decisions.assurance.collector import Collector
from fielded.decisions.assurance.evidence import Evidence
from fielded.decisions.release import acts
from fielded.definition import Site
from fielded.definition.authorization import Authorization
from fielded.services.approve import approve
from fielded.services.ato.site_parts import record_site
from fielded.services.evidence.collect import Bench, collect
from fielded.services.evidence.controls import (
    accounts,
    at_rest,
    audit_protection,
    audit_records,
    change_control,
    configuration,
    cryptography,
    model_integrity,
    transmission,
)
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.promote import promote
from fielded.services.score_day import score_day
from fielded.world.host_state import ClockState
from fielded.world.ledger import EVENTS
from releases import AUTHOR, FIRST, SECOND, another_version, ready

ROLES = {
    AUTHOR: ("release",),
    FIRST: ("release", "review"),
    SECOND: ("release",),
    "os:tester": ("release", "audit"),
}


@pytest.fixture(scope="module")
def built(store: Store, logged: str, tmp_path_factory: pytest.TempPathFactory) -> Spare:
    """Adopted, scored, and a version promoted as it should be; all tests copy it."""
    home = tmp_path_factory.mktemp("controls")
    (home / "deployment").mkdir()
    site = Site(
        root=str(home / "tables"), tracking_uri=store.uri, artifact_root=str(store.artifacts),
        cache=home / "cache", journal_url=f"sqlite:///{home / 'journal'}",
        signing_key=f"file:{home / 'keys' / 'seal.pem'}",
        roles=ROLES,
    )  # fmt: skip
    spare = Spare(home / "deployment", site, store, f"controls_{home.name}", {})
    store.client.create_registered_model(spare.model)
    for version, alias in (("1", "previous"), ("2", "production")):
        source = store.client.get_model_version_download_uri(logged, version)
        kept = mlflow.artifacts.download_artifacts(source, tracking_uri=store.uri, registry_uri=store.uri)
        spare.files[version] = home / "registry" / version
        shutil.copytree(kept, spare.files[version], ignore=shutil.ignore_patterns("registered_model_meta"))
        store.client.create_model_version(spare.model, spare.files[version].as_uri())
        store.client.set_registered_model_alias(spare.model, alias, version)
    spare.define()
    spare.write("silver.orders", make_orders(2000))
    spare.write("reference.ships", SHIPS)
    for version in spare.files:
        approve(spare.open(), version)
    adopt(spare.open())
    score_day(*spare.scorers(), DAY)
    version = another_version(spare)
    ready(spare, version)
    promote(spare.open(), Scorers(spare.open()), version)
    score_day(*spare.scorers(), DAY)
    return spare


@pytest.fixture
def released(built: Spare, tmp_path: Path) -> Spare:
    """A copy of that site; of the registry, which all copies share, the aliases are as they were."""
    home, there = Path(built.site.root).parent, tmp_path / "copy"
    for name in ("tables", "keys", "deployment"):
        shutil.copytree(home / name, there / name)
    site = replace(
        built.site, root=str(there / "tables"), journal_url=f"sqlite:///{there / 'journal'}",
        signing_key=f"file:{there / 'keys' / 'seal.pem'}",
    )  # fmt: skip
    for alias, version in (("production", "3"), ("previous", "2")):
        built.store.client.set_registered_model_alias(built.model, alias, version)
    made = Spare(there / "deployment", site, built.store, built.model, built.files)
    record_site(made.open())
    return made


def looked(spare: Spare, collector: Collector[Bench]) -> Evidence:
    return collect(Bench(spare.open()), collector, f"fielded ato collect --evidence {collector.id}")


def wrong(evidence: Evidence) -> dict[str, str]:
    return {check.name: check.outcome for check in evidence.checks if check.outcome != "held"}


GOOD = (
    accounts.COLLECTOR,
    audit_records.COLLECTOR,
    audit_protection.COLLECTOR,
    audit_protection.RETENTION_COLLECTOR,
    change_control.COLLECTOR,
    configuration.COLLECTOR,
    model_integrity.COLLECTOR,
    cryptography.KEYS,
    cryptography.CRYPTOGRAPHY,
    transmission.CONNECTIONS,
)


def test_a_site_as_it_should_be_has_nothing_wrong(released: Spare) -> None:
    before = len(released.rows("ledger.overrun.events"))
    found = {collector.id: looked(released, collector) for collector in GOOD}
    assert {key: (one.outcome, wrong(one)) for key, one in found.items()} == dict.fromkeys(
        found, ("satisfied", {})
    )
    assert len(released.rows("ledger.overrun.events")) == before, "looking leaves nothing at the site"
    assert released.open().registry.aliases(released.model) == {"production": "3", "previous": "2"}
    facts = found["change-control"].facts
    assert (facts["came_by"], facts["approvals"], facts["approvals_asked"]) == (acts.PROMOTED, 2, 2)
    assert found["audit-records"].facts["rows"] == 4000
    assert found["accounts"].facts["by_role"] == {"audit": 1, "release": 4, "review": 1, "score": 0}
    assert found["audit-retention"].facts["tables"] == 3
    for key in ("accounts", "audit-protection", "change-control", "configuration", "model-integrity", "keys"):
        assert any(check.negative for check in found[key].checks), key


def test_roles_that_manage_nothing_are_told(released: Spare) -> None:
    released.site = replace(released.site, roles={})
    found = wrong(looked(released, accounts.COLLECTOR))
    assert set(found) == {
        "the site names who has which role", "nobody has every role", "the roles as they are now are on record",
    }  # fmt: skip
    released.site = replace(released.site, roles={"os:one": ("score", "review", "audit", "release")})
    record_site(released.open())
    assert wrong(looked(released, accounts.COLLECTOR)) == {"nobody has every role": "failed"}


def test_what_was_adopted_was_decided_elsewhere(spare: Spare) -> None:
    adopt(spare.open())
    found = wrong(looked(spare, change_control.COLLECTOR))
    name = "what is in production was proposed, compared and approved by others"
    assert found == {name: "not checked"}, "what is refused is tried all the same"


def test_an_alias_that_somebody_moved_is_told(released: Spare) -> None:
    released.store.client.set_registered_model_alias(released.model, "production", "1")
    found = wrong(looked(released, change_control.COLLECTOR))
    assert found == {"the registry's alias stands where the ledger says": "failed"}


def test_a_changed_row_and_a_foreign_event_are_told(released: Spare) -> None:
    at = datetime(2026, 3, 2, 1, tzinfo=UTC)
    row = {
        "sequence": 99, "event_id": "forged", "kind": "something", "about": "", "actor": "", "occurred_at": at,
        "details": "{}", "occurred_date": at.date(),
    }  # fmt: skip
    folder = Path(released.site.root, "ledger", "overrun", "events")
    write_deltalake(str(folder), pa.Table.from_pylist([row], schema=EVENTS), mode="append")
    found = wrong(looked(released, audit_records.COLLECTOR))
    assert set(found) == {
        "every event says what was done", "every event says by whom", "events are numbered without a gap",
    }  # fmt: skip
    path = max(folder.with_name("predictions").rglob("*.parquet"), key=lambda item: item.stat().st_size)
    rows = pq.read_table(path, partitioning=None)
    pq.write_table(rows.slice(1), path)
    assert wrong(looked(released, audit_protection.COLLECTOR))["every table is as it was sealed"] == "failed"
    assert wrong(looked(released, audit_protection.RETENTION_COLLECTOR))["no row was taken away"] == "failed"


def test_the_log_s_own_parquet_files_are_no_data(released: Spare) -> None:
    """A table with many commits has checkpoints in its log; what is tried is tried on a data file."""
    workplace = released.open()
    DeltaTable(workplace.tables.uri(workplace.ledger.events)).create_checkpoint()
    assert "an event whose actor was changed is found" not in wrong(looked(released, audit_protection.COLLECTOR))


def test_a_log_that_was_cut_is_told(released: Spare) -> None:
    log = Path(released.site.root, "ledger", "overrun", "quarantine", "_delta_log")
    (log / f"{1:020}.json").unlink()
    found = wrong(looked(released, audit_protection.RETENTION_COLLECTOR))
    assert found["every table's log is there from its first version on"] == "failed"


def test_the_period_is_the_definitions(released: Spare) -> None:
    assert looked(released, audit_protection.PERIOD).outcome == "not checked"
    released.define(DEFINITION + "ato: {parameters: {au-11_odp: three years}}\n")
    period = looked(released, audit_protection.PERIOD)
    assert (period.outcome, period.facts["period"]) == ("satisfied", "three years")


def test_copies_lie_elsewhere_and_agree(released: Spare, tmp_path: Path) -> None:
    assert looked(released, audit_protection.COPIES).outcome == "not satisfied"
    released.site = replace(released.site, checkpoints=tmp_path / "copies")
    record_site(replace(released.open(), user="os:another"))
    score_day(*released.scorers(), DAY + timedelta(days=1))
    found = looked(released, audit_protection.COPIES)
    assert found.facts["copies"] > 0
    assert wrong(found)["it is another system"] == "not checked", "both lie on one disk here"


def test_a_key_that_others_can_read_is_told(released: Spare) -> None:
    key = Path(released.site.signing_key.removeprefix("file:"))
    key.chmod(0o644)
    name = "the key that seals is its keeper's alone"
    assert wrong(looked(released, cryptography.KEYS)) == {name: "failed"}
    assert wrong(looked(released, audit_protection.COLLECTOR)) == {name: "failed"}


def test_another_definition_than_that_on_record_is_told(released: Spare) -> None:
    released.define(DEFINITION.replace("threshold: 0.65", "threshold: 0.66"))
    found = wrong(looked(released, configuration.COLLECTOR))
    assert found == {
        "the definition is on record with its text": "failed",
        "the newest rows were scored under it": "not checked",
    }  # fmt: skip
    assert looked(released, configuration.ENVIRONMENT).outcome == "not checked"
    released.site = replace(released.site, environment="production")
    assert looked(released, configuration.ENVIRONMENT).outcome == "satisfied"
    assert wrong(looked(released, configuration.COLLECTOR))["the site's parts are on record"] == "failed"


def test_changed_files_of_the_model_are_told(released: Spare) -> None:
    folder = released.files["1"]  # version 3 is made of its files
    file = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    try:
        file.write_bytes(content + b" ")
        found = looked(released, model_integrity.COLLECTOR)
    finally:
        file.write_bytes(content)
    assert found.outcome == "not satisfied"
    assert "the registry's files have the approved digest" in wrong(found) or "looked" in wrong(found)


def test_software_is_compared_with_its_record() -> None:
    class Bare:
        workplace = None

    found = model_integrity.look_at_software(Bare())  # type: ignore[arg-type]
    assert found.checks[0].outcome in ("held", "not checked")
    assert found.checks[0].outcome == "held" or found.facts["files"] == 0


def test_the_module_is_seen_by_what_it_refuses(released: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    named = replace(released.site, authorization=Authorization(fips_module="A module, certificate 0000"))
    for refuses, environment, outcome in (
        (True, "production", "satisfied"),
        (False, "production", "not satisfied"),
        (False, "development", "not checked"),
    ):
        monkeypatch.setattr(cryptography, "module_refuses_unapproved", lambda refuses=refuses: refuses)
        released.site = replace(named, environment=environment)
        assert looked(released, cryptography.MODULE).outcome == outcome


def test_the_clock_is_the_kernels_word(released: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    for state, outcome in ((ClockState(True, 0.002), "satisfied"), (ClockState(False, 16.0), "not checked"),
                           (None, "not checked")):  # fmt: skip
        monkeypatch.setattr(audit_records, "clock_state", lambda state=state: state)
        assert looked(released, audit_records.CLOCK).outcome == outcome


def test_disks_and_rights_are_looked_at(released: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(released.site.root)
    for seen, outcome in ((True, "satisfied"), (False, "not checked"), (None, "not checked")):
        monkeypatch.setattr(at_rest, "encrypted_disk", lambda _path, seen=seen: seen)
        assert looked(released, at_rest.DISKS).outcome == outcome
    monkeypatch.setattr(at_rest, "open_to_others", lambda path: (path == root, False))
    assert wrong(looked(released, at_rest.COLLECTOR)) == {"nobody else can read it": "failed"}
    monkeypatch.setattr(at_rest, "open_to_others", lambda _path: (False, False))
    assert looked(released, at_rest.COLLECTOR).outcome == "satisfied"


def test_connections_without_tls_are_told(released: Spare) -> None:
    for url, outcome in (
        ("postgresql://ledger.example.mil/journal", "not satisfied"),
        ("postgresql://ledger.example.mil/journal?sslmode=verify-full", "satisfied"),
        ("postgresql://localhost/journal", "satisfied"),
    ):
        site = replace(released.site, journal_url=url)
        found = transmission.look_at_connections(Bench(replace(released.open(), site=site)))
        assert Evidence(
            id="", title="", checks=found.checks, command="", tool="", by="", at=datetime.now(UTC), scope={},
            valid_until=None,
        ).outcome == outcome, url  # fmt: skip
        assert "example" not in str(found.facts), "no host is told"


def test_tls_is_asked_of_what_listens(released: Spare, tmp_path: Path) -> None:
    name = "the API speaks TLS"
    assert wrong(looked(released, transmission.COLLECTOR)) == {name: "not checked"}
    beyond = replace(released.site, api=replace(released.site.api, host="0.0.0.0"))  # noqa: S104 - to see it refused
    assert wrong(of_site(released, beyond)) == {name: "failed"}
    certificate, key = self_signed(tmp_path)
    for secured, outcome in ((True, "satisfied"), (False, "not satisfied")):
        with listening(certificate, key, secured=secured) as port:
            api = replace(released.site.api, port=port, tls_certificate=certificate, tls_key=key)
            found = of_site(released, replace(released.site, api=api))
            assert set(wrong(found).values()) <= {"not checked"} if secured else wrong(found)
            assert found.facts["version"] in (("TLSv1.2", "TLSv1.3") if secured else ("",))
            assert found.outcome in (outcome, "not checked")
    api = replace(released.site.api, port=1, tls_certificate=certificate, tls_key=key)
    assert of_site(released, replace(released.site, api=api)).outcome == "not checked", "nothing answers"


def of_site(spare: Spare, site: object) -> Evidence:
    workplace = replace(spare.open(), site=site)  # type: ignore[arg-type]
    return collect(Bench(workplace), transmission.COLLECTOR, "fielded ato collect")


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, file = folder / "tls.pem", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    file.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return certificate, file


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_told: object) -> None:
        pass


class Quiet(HTTPServer):
    def handle_error(self, *_of: object) -> None:
        """A handshake that is refused is no error here."""


@contextmanager
def listening(certificate: Path, key: Path, *, secured: bool) -> Iterator[int]:
    server = Quiet(("127.0.0.1", 0), Alive)
    if secured:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    serving: Callable[[], None] = server.serve_forever
    thread = threading.Thread(target=serving, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
