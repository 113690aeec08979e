# ruff: noqa: S105, S106 - references to secrets, and made-up ones
"""A certificate's subject is believed from the trusted proxy and from nobody else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.definition.serving import Proxy
from fielded.world.identity import Caller, Credentials, Unauthenticated
from fielded.world.identity.proxy import ProxyAuthenticator

SECRET = "proxy-secret-of-32-characters-00"
SUBJECT = "CN=LYST.ANA.1234567890,OU=USN,OU=PKI,OU=DoD,O=U.S. Government,C=US"
PEER = "10.2.0.7"
SETTINGS = Proxy(
    addresses=("10.2.0.0/28", "2001:db8::/64"),
    secret="env:PROXY_SECRET",
    roles={"score": ("*",), "release": (SUBJECT,), "audit": ("CN=ISSO",)},
)
PROXY = ProxyAuthenticator(SETTINGS, SECRET)


def from_proxy(peer: str = PEER, **headers: Any) -> Credentials:
    """What the proxy sends; a changed header is a text, a tuple of texts, or None where it is left out."""
    sent = {
        "fielded-proxy-secret": SECRET,
        "x-ssl-client-verify": "SUCCESS",
        "x-ssl-client-s-dn": SUBJECT,
        "x-forwarded-for": "203.0.113.9",
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {
        name: (value,) if isinstance(value, str) else value for name, value in sent.items() if value is not None
    }
    return Credentials(fields, peer)


def refused(credentials: Credentials) -> str:
    with pytest.raises(Unauthenticated) as caught:
        PROXY.authenticate(credentials)
    assert SECRET not in str(caught.value)
    return caught.value.reason


def test_a_verified_certificate_is_known_by_its_subject() -> None:
    assert PROXY.authenticate(from_proxy()) == Caller(
        f"cert:{SUBJECT}", frozenset({"score", "release"}), "203.0.113.9", "certificate"
    )
    other = PROXY.authenticate(from_proxy(x_ssl_client_s_dn="CN=OTHER"))
    assert (other.name, other.roles) == ("cert:CN=OTHER", {"score"})


@pytest.mark.parametrize("peer", ["10.2.0.7", "10.2.0.15", "2001:db8::1", "::ffff:10.2.0.7"])
def test_the_proxy_may_have_several_addresses(peer: str) -> None:
    assert PROXY.authenticate(from_proxy(peer)).name == f"cert:{SUBJECT}"


@pytest.mark.parametrize(
    "peer", ["10.2.0.16", "10.3.0.7", "2001:db9::1", "127.0.0.1", "::1", "", "proxy", "testclient"]
)
def test_the_secret_from_another_address_is_not_enough(peer: str) -> None:
    assert refused(from_proxy(peer)) == "proxy"


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", SECRET[:-1], SECRET + "0", SECRET.upper(), (SECRET, SECRET), "ß" * 32, "\ud800"]
)
def test_the_address_without_the_secret_is_not_enough(secret: Any) -> None:
    assert refused(from_proxy(fielded_proxy_secret=secret)) == "proxy"


@pytest.mark.parametrize("header", ["fielded-proxy-secret", "x-ssl-client-verify", "x-ssl-client-s-dn"])
def test_one_of_its_headers_from_anybody_else_is_refused(header: str) -> None:
    for value in (SECRET, "SUCCESS", SUBJECT, "NONE", ""):
        assert refused(Credentials({header: (value,)}, "203.0.113.9")) == "proxy"


def test_a_request_without_its_headers_is_somebody_elses() -> None:
    assert not PROXY.speaks_in(Credentials({"x-forwarded-for": ("203.0.113.9",)}, PEER))
    assert refused(Credentials({}, PEER)) == "missing"


@pytest.mark.parametrize(
    "verified", [None, "NONE", "FAILED:certificate has expired", "success", "SUCCESS ", "1", ""]
)
def test_a_certificate_that_was_not_verified_is_refused(verified: str | None) -> None:
    assert refused(from_proxy(x_ssl_client_verify=verified)) == "certificate"


@pytest.mark.parametrize("subject", [None, "", " "])
def test_a_certificate_without_a_subject_is_refused(subject: str | None) -> None:
    assert refused(from_proxy(x_ssl_client_s_dn=subject)) == "certificate"


@pytest.mark.parametrize(
    "changed",
    [
        {"x_ssl_client_s_dn": (SUBJECT, "CN=ISSO")},
        {"x_ssl_client_s_dn": (SUBJECT, SUBJECT)},
        {"x_ssl_client_s_dn": ("", SUBJECT)},
        {"x_ssl_client_verify": ("SUCCESS", "SUCCESS")},
        {"x_ssl_client_verify": ("NONE", "SUCCESS")},
        {"x_ssl_client_s_dn": "CN=A\nCN=ISSO"},
        {"x_ssl_client_s_dn": "CN=A\x00"},
        {"x_ssl_client_s_dn": "CN=A\u202e"},
        {"x_ssl_client_s_dn": f" {SUBJECT}"},
        {"x_ssl_client_s_dn": "C" * 1025},
    ],
)
def test_a_header_that_can_be_read_in_two_ways_is_refused(changed: dict[str, Any]) -> None:
    assert refused(from_proxy(**changed)) == "malformed"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (("198.51.100.1, 198.51.100.2", "203.0.113.9"), "203.0.113.9"),
        ("198.51.100.1,203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.9:50123", "203.0.113.9"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("[2001:db8::9]:50123", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", PEER),
        ("203.0.113.9,", PEER),
        ("203.0.113.999", PEER),
        ("' OR 1=1 --", PEER),
        ("203.0.113.9:http", PEER),
        ("", PEER),
        (None, PEER),
    ],
)
def test_the_address_is_the_last_one_that_the_proxy_saw(forwarded: Any, address: str) -> None:
    assert PROXY.authenticate(from_proxy(x_forwarded_for=forwarded)).client_address == address


def test_other_header_names_may_be_set() -> None:
    settings = Proxy(
        addresses=("10.2.0.7",),
        secret="env:S",
        subject_header="X-Client-Cert-Subject",
        verified_header="X-Client-Cert-Ok",
        verified_value="1",
        forwarded_header="X-Real-IP",
        roles={"audit": ("*",)},
    )
    headers = {
        "fielded-proxy-secret": (SECRET,),
        "x-client-cert-subject": ("CN=A",),
        "x-client-cert-ok": ("1",),
        "x-real-ip": ("203.0.113.9",),
        "x-ssl-client-s-dn": ("CN=B",),
    }
    caller = ProxyAuthenticator(settings, SECRET).authenticate(Credentials(headers, PEER))
    assert caller == Caller("cert:CN=A", frozenset({"audit"}), "203.0.113.9", "certificate")


def test_it_has_no_keys_to_read() -> None:
    assert not PROXY.refresh(force=True)


@given(
    st.lists(st.text(max_size=30), max_size=3), st.lists(st.text(max_size=30), max_size=2), st.text(max_size=20)
)
def test_whatever_is_sent_only_good_headers_of_the_proxy_are_believed(
    subjects: list[str], forwarded: list[str], peer: str
) -> None:
    changed = from_proxy(peer, x_ssl_client_s_dn=tuple(subjects), x_forwarded_for=tuple(forwarded))
    assert refused(changed) == "proxy"
    credentials = Credentials(changed.headers, PEER)
    try:
        caller = PROXY.authenticate(credentials)
    except Unauthenticated as refusal:
        assert refusal.reason in {"certificate", "malformed"}  # noqa: PT017
    else:
        assert [caller.name] == [f"cert:{subject}" for subject in subjects]
        assert caller.name.isprintable()
