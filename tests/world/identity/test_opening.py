# ruff: noqa: S105, S106 - references to secrets, and made-up ones
"""What a site says about identity is opened whole, or the service does not start; nothing falls back."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fielded.definition import Site
from fielded.definition.serving import Identity, Proxy
from fielded.words.errors import WrongUse
from fielded.world.identity import Caller, Credentials, SeveralAuthenticators, Unauthenticated, open_authenticator
from forged_tokens import SUBJECT, Forged, forged_tokens, make_provider

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROVIDER = make_provider()
TOKEN = "development-token-of-a-site"
SECRET = "proxy-secret-of-32-characters-00"
ALL = frozenset({"score", "review", "audit", "release"})
PROXY = Proxy(addresses=("10.2.0.7",), secret="env:PROXY_SECRET", roles={"score": ("*",)})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVELOPMENT_TOKEN", TOKEN)
    monkeypatch.setenv("PROXY_SECRET", SECRET)


def site(folder: Path, environment: Any = "development", **identity: Any) -> Site:
    if identity.pop("oidc", False):
        (folder / "keys.json").write_bytes(PROVIDER.jwks())
        identity["oidc"] = PROVIDER.oidc(f"file:{folder / 'keys.json'}")
    return Site(
        root=str(folder),
        tracking_uri="sqlite:///x.db",
        artifact_root=str(folder),
        cache=folder,
        environment=environment,
        journal_url=f"sqlite:///{folder}",
        signing_key="file:seal.pem",
        identity=Identity(**identity),
    )


def opened(folder: Path, environment: str = "development", **identity: Any) -> SeveralAuthenticators:
    return open_authenticator(site(folder, environment, **identity), lambda: NOW)


def brought(peer: str = "192.0.2.7", **headers: str) -> Credentials:
    return Credentials({name.replace("_", "-"): (value,) for name, value in headers.items()}, peer)


def refused(authenticator: SeveralAuthenticators, credentials: Credentials) -> str:
    with pytest.raises(Unauthenticated) as caught:
        authenticator.authenticate(credentials)
    return caught.value.reason


def message(folder: Path, environment: str = "development", **identity: Any) -> str:
    with pytest.raises(WrongUse) as caught:
        opened(folder, environment, **identity)
    return str(caught.value)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_site_without_a_way_of_telling_does_not_start(tmp_path: Path, environment: str) -> None:
    said = message(tmp_path, environment)
    assert "identity.oidc or identity.proxy" in said
    assert ("identity.development_token: env:NAME" in said) == (environment == "development")


def test_a_static_token_in_production_does_not_start_beside_a_provider_either(tmp_path: Path) -> None:
    assert "production" in message(tmp_path, "production", development_token="env:DEVELOPMENT_TOKEN")
    assert "production" in message(tmp_path, "production", development_token="env:DEVELOPMENT_TOKEN", oidc=True)


def test_a_static_token_has_every_role_and_is_announced_loudly(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, development_token="env:DEVELOPMENT_TOKEN")
    caller = authenticator.authenticate(brought(authorization=f"Bearer {TOKEN}"))
    assert caller == Caller("development", ALL, "192.0.2.7", "development token")
    assert len(authenticator.notices) == 1
    assert "STATIC TOKEN" in authenticator.notices[0]
    assert TOKEN not in authenticator.notices[0]
    assert not authenticator.refresh(force=True)


def test_any_other_static_token_is_refused(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, development_token="env:DEVELOPMENT_TOKEN")
    for token in (TOKEN[:-1], TOKEN + "x", TOKEN.upper(), PROVIDER.token(NOW)):
        assert refused(authenticator, brought(authorization=f"Bearer {token}")) == "token"
    assert refused(authenticator, brought(authorization=TOKEN)) == "malformed"
    assert refused(authenticator, brought(authorization="")) == "malformed"
    assert refused(authenticator, brought()) == "missing"


def test_a_provider_and_a_proxy_may_stand_in_production_without_a_notice(tmp_path: Path) -> None:
    assert opened(tmp_path, "production", oidc=True).notices == ()
    assert opened(tmp_path, "production", proxy=PROXY).notices == ()
    assert opened(tmp_path, "production", oidc=True, proxy=PROXY).notices == ()


def test_a_provider_and_a_static_token_stand_beside_each_other_in_development(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, development_token="env:DEVELOPMENT_TOKEN", oidc=True)
    assert authenticator.authenticate(brought(authorization=f"Bearer {TOKEN}")).name == "development"
    by_token = authenticator.authenticate(brought(authorization=f"Bearer {PROVIDER.token(NOW)}"))
    assert by_token.name == f"oidc:{SUBJECT}"
    assert refused(authenticator, brought(authorization="Bearer guess")) == "malformed"


@pytest.mark.parametrize("case", forged_tokens(PROVIDER, NOW), ids=lambda case: case.name)
def test_no_way_makes_up_for_a_forged_token(tmp_path: Path, case: Forged) -> None:
    (tmp_path / "t").write_text(TOKEN)
    authenticator = opened(tmp_path, oidc=True, proxy=PROXY, development_token=f"file:{tmp_path / 't'}")
    for peer in ("192.0.2.7", "10.2.0.7"):
        assert refused(authenticator, Credentials({"authorization": case.authorization}, peer)) == case.reason


def certificate(peer: str = "10.2.0.7", **more: str) -> Credentials:
    sent = {"fielded_proxy_secret": SECRET, "x_ssl_client_verify": "SUCCESS", "x_ssl_client_s_dn": "CN=A"}
    return brought(peer, **{**sent, "x_forwarded_for": "203.0.113.9", **more})


def test_a_certificate_is_believed_where_there_is_a_proxy(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True, proxy=PROXY)
    caller = authenticator.authenticate(certificate())
    assert caller == Caller("cert:CN=A", frozenset({"score"}), "203.0.113.9", "certificate")


def test_certificate_headers_from_anybody_else_are_refused_beside_a_good_token(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True, proxy=PROXY)
    good = f"Bearer {PROVIDER.token(NOW)}"
    assert refused(authenticator, certificate("192.0.2.7")) == "proxy"
    assert refused(authenticator, certificate("192.0.2.7", authorization=good)) == "proxy"
    assert refused(authenticator, certificate(authorization=good, fielded_proxy_secret="guess")) == "proxy"
    assert refused(authenticator, brought(x_ssl_client_s_dn="CN=A", authorization=good)) == "proxy"
    assert refused(authenticator, brought(x_ssl_client_verify="NONE", authorization=good)) == "proxy"


def test_a_certificate_and_a_token_at_once_are_refused(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True, proxy=PROXY)
    good = f"Bearer {PROVIDER.token(NOW)}"
    assert refused(authenticator, certificate(authorization=good)) == "malformed"
    assert refused(authenticator, certificate(authorization=good, x_ssl_client_verify="NONE")) == "malformed"
    assert refused(authenticator, certificate(authorization=good, x_ssl_client_s_dn="")) == "malformed"


def test_the_proxy_may_pass_on_a_token_of_a_caller_without_a_certificate(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True, proxy=PROXY)
    passed = {"x_ssl_client_verify": "NONE", "x_ssl_client_s_dn": ""}
    caller = authenticator.authenticate(certificate(authorization=f"Bearer {PROVIDER.token(NOW)}", **passed))
    assert caller == Caller(f"oidc:{SUBJECT}", ALL, "203.0.113.9", "oidc")
    assert refused(authenticator, certificate(**passed)) == "certificate"
    assert refused(authenticator, certificate(authorization="Bearer a.b.c", **passed)) == "malformed"


def test_a_forwarded_address_counts_from_the_proxy_only(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True, proxy=PROXY)
    good = f"Bearer {PROVIDER.token(NOW)}"
    for peer in ("192.0.2.7", "10.2.0.7"):  # the second without the proxy's secret
        sent = brought(peer, authorization=good, x_forwarded_for="203.0.113.9")
        assert authenticator.authenticate(sent).client_address == peer


def test_without_a_proxy_certificate_headers_mean_nothing(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", oidc=True)
    assert refused(authenticator, certificate()) == "missing"
    caller = authenticator.authenticate(certificate(authorization=f"Bearer {PROVIDER.token(NOW)}"))
    assert (caller.name, caller.client_address) == (f"oidc:{SUBJECT}", "10.2.0.7")


def test_a_token_where_only_certificates_are_taken_is_refused(tmp_path: Path) -> None:
    authenticator = opened(tmp_path, "production", proxy=PROXY)
    assert refused(authenticator, brought(authorization=f"Bearer {PROVIDER.token(NOW)}")) == "malformed"
    assert refused(authenticator, brought()) == "missing"


@pytest.mark.parametrize("secret", ["tiny-one", "x" * 15, "with a space in the middle", "ümlaut" * 4, "tab\t" * 5])
def test_a_secret_that_is_weak_or_cannot_travel_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("PROXY_SECRET", secret)
    monkeypatch.setenv("DEVELOPMENT_TOKEN", secret)
    for field, identity in (
        ("identity.proxy.secret", {"proxy": PROXY}),
        ("identity.development_token", {"development_token": "env:DEVELOPMENT_TOKEN"}),
    ):
        said = message(tmp_path, **identity)
        assert field in said
        assert "env:" in said
        assert secret not in said


def test_a_secret_or_key_file_that_is_not_there_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROXY_SECRET")
    assert "env:PROXY_SECRET" in message(tmp_path, proxy=PROXY)
    nowhere = f"file:{tmp_path / 'nowhere'}"
    assert nowhere in message(tmp_path, development_token=nowhere)
    wanting = site(tmp_path, oidc=True)
    (tmp_path / "keys.json").unlink()
    with pytest.raises(WrongUse, match=r"keys\.json"):
        open_authenticator(wanting, lambda: NOW)


def test_opening_logs_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        opened(tmp_path, oidc=True, proxy=PROXY, development_token="env:DEVELOPMENT_TOKEN")
    assert TOKEN not in caplog.text
    assert SECRET not in caplog.text
