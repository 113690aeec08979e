# ruff: noqa: S105, S106 - references to secrets, and made-up ones
"""The parts of a site that say who may call and how it is served; every mistake with its line."""

from pathlib import Path
from textwrap import dedent
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fielded.definition import Site, load_site
from fielded.definition.serving import ROLES, Algorithm, Api, Identity, Oidc, Role
from fielded.words.errors import DefinitionError, Finding

OIDC = """\
identity:
  oidc:
    issuer: https://idp.example.mil/realms/fleet
    audience: fielded
    jwks: {jwks}
"""
PROXY = """\
identity:
  proxy:
    addresses: {addresses}
    secret: {secret}
    roles: {{score: ["*"]}}
"""


def loaded(folder: Path, text: str, **environment: str) -> Site:
    (folder / "site.yaml").write_text(dedent(text))
    return load_site(environment, folder)


def refused(folder: Path, text: str, **environment: str) -> list[Finding]:
    with pytest.raises(DefinitionError) as caught:
        loaded(folder, text, **environment)
    return list(caught.value.findings)


def places(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.where, finding.field) for finding in findings]


def test_without_a_word_nobody_may_call(tmp_path: Path) -> None:
    site = load_site({}, tmp_path)
    assert site.identity == Identity()
    assert (site.environment, site.api) == ("development", Api())
    assert site.api.host == "127.0.0.1"


def test_a_whole_site(tmp_path: Path) -> None:
    site = loaded(
        tmp_path,
        """\
        environment: production
        identity:
          oidc:
            issuer: https://idp.example.mil/realms/fleet
            audience: fielded
            jwks: https://idp.example.mil/realms/fleet/certs
            algorithms: [ES256, EdDSA]
            subject_claim: preferred_username
            roles_claim: realm_access.roles
            roles: {score: [analyst, "GS Analysts"], audit: [isso]}
            leeway_seconds: 0
          proxy:
            addresses: [10.2.0.7, "2001:db8::/64"]
            secret: env:PROXY_SECRET
            roles: {release: ["CN=LYST.ANA.1234567890"], score: ["*"]}
        api: {host: 0.0.0.0, port: 443, workers: 4, rate_per_minute: 600}
        """,
    )
    oidc, proxy = site.identity.oidc, site.identity.proxy
    assert oidc
    assert proxy
    assert (oidc.algorithms, oidc.leeway_seconds, oidc.refresh_seconds) == (("ES256", "EdDSA"), 0, 600)
    assert oidc.roles == {"score": ("analyst", "GS Analysts"), "audit": ("isso",)}
    assert proxy.subject_header == "X-SSL-Client-S-DN"
    assert proxy.roles["release"] == ("CN=LYST.ANA.1234567890",)
    assert (site.api.workers, site.api.rate_per_minute) == (4, 600)


def test_each_role_is_granted_by_its_own_name_where_nothing_is_said() -> None:
    oidc = Oidc(issuer="i", audience="a", jwks="file:keys.json")
    assert oidc.roles == {role: (role,) for role in get_args(Role)}
    assert set(get_args(Role)) == ROLES


def test_grants_cannot_be_changed(tmp_path: Path) -> None:
    site = loaded(tmp_path, OIDC.format(jwks="file:keys.json"))
    assert site.identity.oidc
    with pytest.raises(TypeError):
        site.identity.oidc.roles["score"] = ("everyone",)  # type: ignore[index]


def test_no_algorithm_is_symmetric_or_none() -> None:
    assert not [name for name in get_args(Algorithm) if name.startswith("HS") or name.lower() == "none"]


def test_files_are_relative_to_the_site_file(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "mine.yaml").write_text(
        dedent("""\
        trusted_keys: [file:old/seal.pem, "file:/srv/seal.pem"]
        identity:
          oidc: {issuer: i, audience: a, jwks: file:keys.json}
          proxy: {addresses: [10.0.0.1], secret: file:../proxy, roles: {score: ["*"]}}
          development_token: file:secrets/token
        api: {tls_certificate: tls/cert.pem, tls_key: /run/key.pem}
        """)
    )
    site = load_site({}, tmp_path, away / "mine.yaml")
    assert site.identity.oidc
    assert site.identity.proxy
    assert site.trusted_keys == (f"file:{away / 'old' / 'seal.pem'}", "file:/srv/seal.pem")
    assert site.identity.oidc.jwks == f"file:{away / 'keys.json'}"
    assert site.identity.proxy.secret == f"file:{tmp_path / 'proxy'}"
    assert site.identity.development_token == f"file:{away / 'secrets' / 'token'}"
    assert (site.api.tls_certificate, site.api.tls_key) == (away / "tls" / "cert.pem", Path("/run/key.pem"))


def test_references_that_are_no_files_stay(tmp_path: Path) -> None:
    site = loaded(tmp_path, OIDC.format(jwks="https://idp/certs") + "  development_token: env:TOKEN\n")
    assert site.identity.oidc
    assert (site.identity.oidc.jwks, site.identity.development_token) == ("https://idp/certs", "env:TOKEN")


def test_a_home_that_nobody_has_is_named_with_its_line(tmp_path: Path) -> None:
    text = OIDC.format(jwks="file:~no-such-user/keys.json") + "trusted_keys:\n- file:a\n- file:~no-such-user/b\n"
    assert places(refused(tmp_path, text)) == [
        ("site.yaml:8", "trusted_keys.1"),
        ("site.yaml:5", "identity.oidc.jwks"),
    ]


def test_a_static_token_in_production_is_refused(tmp_path: Path) -> None:
    text = "environment: production\nidentity:\n  development_token: env:TOKEN\n"
    found = refused(tmp_path, text)
    assert places(found) == [("site.yaml:3", "identity.development_token")]
    assert "identity.oidc or identity.proxy" in found[0].next_step
    text = "identity: {development_token: env:TOKEN}\n"
    assert loaded(tmp_path, text).identity.development_token == "env:TOKEN"
    assert places(refused(tmp_path, text, FIELDED_ENVIRONMENT="production")) == [
        ("site.yaml:1", "identity.development_token")
    ]


def test_a_static_token_in_production_is_found_beside_other_mistakes(tmp_path: Path) -> None:
    text = "environment: production\nworkers: 0\nidentity:\n  development_token: 7\n  oidc: none\n"
    assert {field for _, field in places(refused(tmp_path, text))} == {
        "workers",
        "identity.development_token",
        "identity.oidc",
    }


@pytest.mark.parametrize("secret", ["hunter2", "env:1", "env:A B", "env:", "file:", "vault:secret/x", "ENV:A"])
def test_a_secret_itself_is_refused_and_not_shown(tmp_path: Path, secret: str) -> None:
    text = PROXY.format(addresses="[10.0.0.1]", secret=f"'{secret}'") + f"  development_token: '{secret}'\n"
    found = refused(tmp_path, text)
    assert set(places(found)) == {
        ("site.yaml:4", "identity.proxy.secret"),
        ("site.yaml:6", "identity.development_token"),
    }
    assert {finding.got for finding in found} == {"a value that is not shown"}


@pytest.mark.parametrize(
    "jwks",
    [
        "http://idp.example.mil/certs",
        "http://localhost.example.mil/certs",
        "http://localhost:x@evil.example/certs",
        "http://127.0.0.1@evil.example/certs",
        "http://127.0.0.2/certs",
        "https://",
        "https:///certs",
        "https://idp:port/certs",
        "https://idp:70000/certs",
        "https://[::1/certs",
        "ftp://idp.example.mil/certs",
        "keys.json",
        "''",
        "7",
    ],
)
def test_keys_that_somebody_on_the_way_could_change_are_refused(tmp_path: Path, jwks: str) -> None:
    assert places(refused(tmp_path, OIDC.format(jwks=jwks))) == [("site.yaml:5", "identity.oidc.jwks")]


@pytest.mark.parametrize(
    "jwks", ["http://127.0.0.1:8080/certs", "http://localhost/certs", "http://[::1]:80/certs", "https://idp/certs"]
)
def test_keys_over_tls_or_on_this_machine_are_taken(tmp_path: Path, jwks: str) -> None:
    oidc = loaded(tmp_path, OIDC.format(jwks=jwks)).identity.oidc
    assert oidc
    assert oidc.jwks == jwks


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path) -> None:
    found = refused(tmp_path, OIDC.format(jwks="https://me:hunter2@idp/certs"))
    assert places(found) == [("site.yaml:5", "identity.oidc.jwks")]
    assert "hunter2" not in str(found[0])
    journal = refused(tmp_path, "journal_url: postgres:/me:hunter2@db/journal\n")
    assert places(journal) == [("site.yaml:1", "journal_url")]
    assert "hunter2" not in str(journal[0])


@pytest.mark.parametrize("address", ["0.0.0.0/0", "::/0", "10.2.0.7/24", "10.2.0", "proxy.example.mil", "*", "''"])
def test_a_proxy_that_could_be_anybody_is_refused(tmp_path: Path, address: str) -> None:
    text = PROXY.format(addresses=f'[10.0.0.1, "{address}"]', secret="env:S")
    assert places(refused(tmp_path, text)) == [("site.yaml:3", "identity.proxy.addresses.1")]


@pytest.mark.parametrize("field", ["addresses", "roles"])
def test_a_proxy_without_addresses_or_roles_is_refused(tmp_path: Path, field: str) -> None:
    empty = {"addresses": "addresses: []", "roles": "roles: {}"}[field]
    kept = PROXY.format(addresses="[10.0.0.1]", secret="env:S").splitlines()
    text = "\n".join(f"    {empty}" if line.strip().startswith(field) else line for line in kept)
    assert [name for _, name in places(refused(tmp_path, text))] == [f"identity.proxy.{field}"]


@pytest.mark.parametrize(
    "header",
    [
        "subject_header: X-SSL-Client-Verify",
        "subject_header: authorization",
        "verified_header: fielded-proxy-secret",
        "forwarded_header: x-ssl-client-s-dn",
    ],
)
def test_a_header_with_two_meanings_is_refused(tmp_path: Path, header: str) -> None:
    text = PROXY.format(addresses="[10.0.0.1]", secret="env:S") + f"    {header}\n"
    assert places(refused(tmp_path, text)) == [("site.yaml:2", "identity.proxy")]


@pytest.mark.parametrize("header", ["subject_header: 'X Subject'", "verified_header: ''", "verified_value: ''"])
def test_a_header_that_cannot_be_is_refused(tmp_path: Path, header: str) -> None:
    text = PROXY.format(addresses="[10.0.0.1]", secret="env:S") + f"    {header}\n"
    name = header.partition(":")[0]
    assert places(refused(tmp_path, text)) == [("site.yaml:6", f"identity.proxy.{name}")]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("issuer: ''", "issuer"),
        ("audience: ''", "audience"),
        ("algorithms: []", "algorithms"),
        ("algorithms: [HS256, RS256]", "algorithms.0"),
        ("algorithms: [RS256, none]", "algorithms.1"),
        ("roles: {}", "roles"),
        ("roles: {admin: [x]}", "roles.admin"),
        ("roles: {score: [x, '']}", "roles.score.1"),
        ("leeway_seconds: 301", "leeway_seconds"),
        ("leeway_seconds: -1", "leeway_seconds"),
        ("refresh_seconds: 0", "refresh_seconds"),
        ("verify: false", "verify"),
    ],
)
def test_a_mistake_in_the_provider_is_named_with_its_line(tmp_path: Path, line: str, field: str) -> None:
    name = line.partition(":")[0]
    lines = [item for item in OIDC.format(jwks="file:k").splitlines() if item.strip().partition(":")[0] != name]
    found = refused(tmp_path, "\n".join([*lines, f"    {line}"]))
    assert places(found) == [(f"site.yaml:{len(lines) + 1}", f"identity.oidc.{field}")]


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    assert places(refused(tmp_path, "api:\n  tls_certificate: a.pem\n")) == [("site.yaml:1", "api")]
    assert places(refused(tmp_path, "api:\n  tls_key: a.pem\n")) == [("site.yaml:1", "api")]


def test_parts_are_not_set_by_variables(tmp_path: Path) -> None:
    for variable in ("FIELDED_IDENTITY", "FIELDED_API", "FIELDED_TRUSTED_KEYS"):
        with pytest.raises(DefinitionError) as caught:
            load_site({variable: "x"}, tmp_path)
        assert [finding.field for finding in caught.value.findings] == [variable]


@given(
    st.text(max_size=30)
    | st.sampled_from(["http://", "https://"]).flatmap(lambda s: st.text(max_size=20).map(s.__add__))
)
def test_any_place_of_keys_is_taken_or_refused(place: str) -> None:
    given_settings = {"issuer": "i", "audience": "a", "jwks": place}
    try:
        oidc = TypeAdapter(Oidc).validate_python(given_settings)
    except ValidationError as error:
        assert [item["loc"] for item in error.errors()] == [("jwks",)]  # noqa: PT017
    else:
        assert (
            oidc.jwks.startswith(("https://", "file:")) or "//127.0.0.1" in oidc.jwks or "localhost" in oidc.jwks
        )


def test_variables_that_kubernetes_makes_for_a_service_are_none_of_ours(tmp_path: Path) -> None:
    made = {
        "FIELDED_SERVICE_HOST": "10.0.0.1",
        "FIELDED_SERVICE_PORT": "8443",
        "FIELDED_SERVICE_PORT_HTTPS": "8443",
        "FIELDED_PORT": "tcp://10.0.0.1:8443",
        "FIELDED_PORT_8443_TCP": "tcp://10.0.0.1:8443",
        "FIELDED_PORT_8443_TCP_ADDR": "10.0.0.1",
        "FIELDED_API_SERVICE_HOST": "10.0.0.2",
    }
    assert load_site(made, tmp_path) == load_site({}, tmp_path)
    with pytest.raises(DefinitionError, match="FIELDED_ROOTS"):
        load_site({**made, "FIELDED_ROOTS": "x"}, tmp_path)


def test_a_variable_that_the_site_refers_to_is_not_taken_for_a_field(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text('identity: {development_token: "env:FIELDED_TOKEN"}\n')
    site = load_site({"FIELDED_TOKEN": "sixteen characters"}, tmp_path)
    assert site.identity.development_token == "env:FIELDED_TOKEN"
    with pytest.raises(DefinitionError, match="FIELDED_TOKENS"):
        load_site({"FIELDED_TOKENS": "sixteen characters"}, tmp_path)
