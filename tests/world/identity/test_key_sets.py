"""Keys are read, renewed and withdrawn; a provider that fails takes nothing away and gives nothing in."""

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from fielded.words.errors import WrongUse
from fielded.world.identity import Credentials, Unauthenticated
from fielded.world.identity.key_sets import (
    MAX_KEY_SET_BYTES,
    MAX_KEYS,
    KeysNotRead,
    KeySource,
    fetch_url,
    parse_key_set,
)
from fielded.world.identity.oidc import OidcAuthenticator
from forged_tokens import b64, jwk, jwks, make_key, make_provider

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROVIDER = make_provider()
OPEN = jwk(make_key("open"), kid="open")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


Answer = Callable[[BaseHTTPRequestHandler], None]


def sends(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return answer


class Handler(BaseHTTPRequestHandler):
    answer: ClassVar[Answer]
    paths: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        try:
            type(self).answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """A real one on this machine, whose next answer the test chooses."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.handler = type("Chosen", (Handler,), {"paths": [], "answer": sends(PROVIDER.jwks())})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.place = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answers(self, answer: Answer) -> None:
        self.handler.answer = staticmethod(answer)

    @property
    def asked(self) -> int:
        return len(self.handler.paths)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.answers(sends(PROVIDER.jwks()))
    yield server
    server.stop()


def source_of(place: str, clock: Clock, **more: Any) -> KeySource:
    return KeySource(place, refresh_seconds=600, clock=clock, **more)


def not_read(call: Callable[[], object]) -> str:
    with pytest.raises(KeysNotRead) as caught:
        call()
    return caught.value.reason


def token_of(kid: str, alg: str) -> Credentials:
    return Credentials({"authorization": (f"Bearer {PROVIDER.token(NOW, kid=kid, alg=alg)}",)}, "192.0.2.7")


def test_a_new_key_is_found_when_a_token_names_it(server: Server) -> None:
    clock = Clock()
    server.answers(sends(PROVIDER.jwks("rsa")))
    source = source_of(server.place, clock)
    authenticator = OidcAuthenticator(PROVIDER.oidc(server.place), source, clock)
    assert authenticator.refresh()
    server.answers(sends(PROVIDER.jwks("rsa", "ec")))
    clock.later(11)
    with pytest.raises(Unauthenticated, match="unknown_key"):
        authenticator.authenticate(token_of("ec", "ES256"))
    assert authenticator.refresh(force=True)
    assert authenticator.authenticate(token_of("ec", "ES256")).roles


def test_a_withdrawn_key_is_believed_no_longer(server: Server) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    authenticator = OidcAuthenticator(PROVIDER.oidc(server.place), source, clock)
    assert authenticator.refresh()
    assert authenticator.authenticate(token_of("rsa", "RS256")).roles
    server.answers(sends(PROVIDER.jwks("ec", "ed")))
    clock.later(601)
    assert authenticator.authenticate(token_of("ec", "ES256")).roles
    assert authenticator.refresh()  # they are old; nobody forces anything
    with pytest.raises(Unauthenticated, match="unknown_key"):
        authenticator.authenticate(token_of("rsa", "RS256"))
    assert authenticator.authenticate(token_of("ec", "ES256")).roles


def test_keys_are_read_when_they_are_old_and_not_before(server: Server) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    assert source.refresh()
    clock.later(599)
    assert not source.refresh()
    assert server.asked == 1
    clock.later(1)
    assert source.refresh()
    assert server.asked == 2


def test_the_provider_is_not_asked_more_often_than_every_ten_seconds(server: Server) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    assert source.refresh(force=True)
    for _ in range(50):
        clock.later(0.1)
        assert source.refresh(force=True)  # read so shortly before that the keys are as new
    assert server.asked == 1
    clock.later(5)
    assert source.refresh(force=True)
    assert server.asked == 2


def test_a_provider_that_fails_is_not_asked_more_often_either(server: Server) -> None:
    clock = Clock()
    server.answers(sends(b"down", 503))
    source = source_of(server.place, clock)
    for _ in range(20):
        assert not source.refresh(force=True)
        assert not source.refresh()
    assert server.asked == 1
    clock.later(10)
    server.answers(sends(PROVIDER.jwks()))
    assert source.refresh()
    assert source.keys.keys


def test_a_clock_that_is_set_back_does_not_stop_the_reading(server: Server) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    assert source.refresh()
    clock.later(-86_400)
    assert source.refresh()
    assert server.asked == 2


def test_threads_that_ask_at_once_share_one_reading(server: Server) -> None:
    begun, go = threading.Event(), threading.Event()

    def held(request: BaseHTTPRequestHandler) -> None:
        begun.set()
        go.wait(5)
        sends(PROVIDER.jwks())(request)

    server.answers(held)
    source = source_of(server.place, Clock())
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(source.refresh(force=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(5)
    go.set()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert server.asked == 1


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65_536)


BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "a fault": (sends(b"a fault", 500), "status 500"),
    "not found": (sends(PROVIDER.jwks(), 404), "status 404"),
    "no content": (sends(b"", 204), "status 204"),
    "another host": (sends(b"", 302, Location="https://evil.example/keys"), "redirected"),
    "a file": (sends(b"", 301, Location="file:///etc/passwd"), "redirected"),
    "too large": (sends(b" " * (MAX_KEY_SET_BYTES + 1)), "too large"),
    "endless": (endless, "too large"),
    "half an answer": (sends(PROVIDER.jwks()[:300]), "not JSON"),
    "HTML": (sends(b"<html>Sign in</html>"), "not JSON"),
    "nothing": (sends(b""), "not JSON"),
    "no set": (sends(b'{"error": "no"}'), "not a key set"),
    "no HTTP": (lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n"), "no answer"),
    "hung up": (lambda request: request.connection.close(), "no answer"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_leaves_the_keys_and_is_logged_by_reason(
    server: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    assert source.refresh()
    held = source.keys
    answer, reason = BAD_ANSWERS[name]
    server.answers(answer)
    clock.later(601)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        assert not source.refresh()
    assert source.keys is held
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("fielded.identity", "WARNING", f"key set not read: {reason}")
    ]


@pytest.mark.parametrize("answer", [b'{"keys": []}', PROVIDER.jwks("small", "enc", "ops")])
def test_a_set_without_a_usable_key_withdraws_those_that_are_held(
    server: Server, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = source_of(server.place, clock)
    assert source.refresh()
    server.answers(sends(answer))
    clock.later(601)
    assert source.refresh()
    assert source.keys.keys == ()
    assert "no token is believed" in caplog.text
    server.answers(sends(PROVIDER.jwks()))
    clock.later(601)
    assert source.refresh()
    assert source.keys.keys


def test_keys_of_a_provider_that_is_silent_for_long_are_believed_no_more(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    source = source_of(server.place, clock, keep_seconds=3600)
    assert source.refresh()
    server.answers(sends(b"a fault", 500))
    clock.later(3599)
    assert not source.refresh()
    assert source.keys.keys
    clock.later(1)
    assert source.keys.keys == ()
    clock.later(601)
    assert not source.refresh()
    assert [record.levelname for record in caplog.records if "keys expired" in record.getMessage()] == ["ERROR"]
    server.answers(sends(PROVIDER.jwks()))
    clock.later(601)
    assert source.refresh()
    assert source.keys.keys


def test_a_redirect_is_not_followed_to_the_same_host_either(server: Server) -> None:
    server.answers(sends(b"", 307, Location="/other"))
    assert not_read(lambda: fetch_url(server.place)) == "redirected"
    assert server.handler.paths == ["/keys"]


def test_a_silent_provider_is_given_up(server: Server) -> None:
    go = threading.Event()

    def silence(_: BaseHTTPRequestHandler) -> None:
        go.wait(5)

    server.answers(silence)
    begun = time.monotonic()
    assert not_read(lambda: fetch_url(server.place, silence_seconds=0.2)) == "too slow"
    assert time.monotonic() - begun < 3
    go.set()


def test_a_provider_that_sends_drop_by_drop_is_given_up(server: Server) -> None:
    stop = threading.Event()

    def drops(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not stop.wait(0.02):
            request.wfile.write(b" ")

    server.answers(drops)
    begun = time.monotonic()
    assert not_read(lambda: fetch_url(server.place, silence_seconds=2, answer_seconds=0.3)) == "too slow"
    assert time.monotonic() - begun < 3
    stop.set()


def test_a_provider_that_is_gone_leaves_the_keys(caplog: pytest.LogCaptureFixture) -> None:
    server, clock = Server(), Clock()
    source = source_of(server.place, clock)
    authenticator = OidcAuthenticator(PROVIDER.oidc(server.place), source, clock)
    assert source.refresh()
    server.stop()
    clock.later(601)
    assert not authenticator.refresh()
    assert "key set not read: no answer" in caplog.text
    clock.now = NOW
    assert authenticator.authenticate(token_of("rsa", "RS256")).roles


def test_a_proxy_variable_does_not_send_this_machines_keys_elsewhere(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch_url(server.place) == PROVIDER.jwks()


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(context)
    try:
        assert not_read(lambda: fetch_url(server.place)) == "certificate not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch_url(server.place) == PROVIDER.jwks()
        elsewhere = server.place.replace("127.0.0.1", "localhost")  # the certificate is for the address
        assert not_read(lambda: fetch_url(elsewhere)) == "certificate not trusted"
    finally:
        server.stop()


def write_certificate(folder: Path) -> Path:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.mil")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "idp.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return file


def test_a_file_is_read_again_when_it_is_old(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.json", Clock()
    file.write_bytes(PROVIDER.jwks("rsa"))
    source = source_of(f"file:{file}", clock)
    source.read_first()
    assert [key.kid for key in source.keys.keys] == ["rsa"]
    file.write_bytes(PROVIDER.jwks("ec"))
    clock.later(600)
    assert source.refresh()
    assert [key.kid for key in source.keys.keys] == ["ec"]
    file.unlink()
    clock.later(600)
    assert not source.refresh()
    assert [key.kid for key in source.keys.keys] == ["ec"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", PROVIDER.jwks("small")])
def test_a_file_without_keys_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WrongUse, match=r"identity\.oidc\.jwks.*keys\.json"):
        source_of(f"file:{file}", Clock()).read_first()


def test_a_provider_that_does_not_answer_does_not_stop_the_start(server: Server) -> None:
    clock = Clock()
    server.answers(sends(b"", 503))
    source = source_of(server.place, clock)
    source.read_first()
    authenticator = OidcAuthenticator(PROVIDER.oidc(server.place), source, clock)
    with pytest.raises(Unauthenticated, match="unknown_key"):
        authenticator.authenticate(token_of("rsa", "RS256"))
    server.answers(sends(PROVIDER.jwks()))
    clock.later(10)
    assert authenticator.refresh(force=True)
    assert authenticator.authenticate(token_of("rsa", "RS256")).roles


def kept(*keys: dict[str, Any]) -> list[tuple[str | None, set[str]]]:
    return [(key.kid, set(key.algorithms)) for key in parse_key_set(jwks(OPEN, *keys)).keys[1:]]


def test_a_key_checks_what_its_kind_can_and_no_more_than_it_says() -> None:
    rsa = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    key, curve, edwards = make_key("rsa"), make_key("p384", "P-384"), make_key("ed", "Ed25519")
    assert kept(jwk(key, kid="a")) == [("a", rsa)]
    assert kept(jwk(key, kid="a", alg="RS512", use="sig")) == [("a", {"RS512"})]
    assert kept(jwk(key)) == [(None, rsa)]
    assert kept(jwk(curve, kid="b", key_ops=["verify", "sign"])) == [("b", {"ES384"})]
    assert kept(jwk(edwards, kid="c")) == [("c", {"EdDSA"})]


BAD_KEYS = {
    "of 1024 bits": jwk(make_key("small", "RSA-1024"), kid="x"),
    "for encryption": jwk(make_key("rsa"), kid="x", use="enc"),
    "that may only sign": jwk(make_key("rsa"), kid="x", key_ops=["sign"]),
    "whose operations are no list": jwk(make_key("rsa"), kid="x", key_ops="verify"),
    "for encryption by algorithm": jwk(make_key("rsa"), kid="x", alg="RSA-OAEP-256"),
    "for HMAC by algorithm": jwk(make_key("rsa"), kid="x", alg="HS256"),
    "for nothing by algorithm": jwk(make_key("rsa"), kid="x", alg="none"),
    "whose algorithm is a list": jwk(make_key("rsa"), kid="x", alg=["RS256"]),
    "on a curve that its algorithm does not have": jwk(make_key("p384", "P-384"), kid="x", alg="ES256"),
    "that is symmetric": {"kty": "oct", "k": b64(b"0" * 32), "kid": "x", "alg": "HS256"},
    "that shows its private half": jwk(make_key("ec", "P-256"), kid="x", d=b64(b"1" * 32)),
    "on another curve": jwk(make_key("ec", "P-256"), kid="x") | {"crv": "secp256k1"},
    "off its curve": jwk(make_key("ec", "P-256"), kid="x") | {"y": b64(b"1" * 32)},
    "with a curve that is a list": jwk(make_key("ec", "P-256"), kid="x") | {"crv": ["P-256"]},
    "with a short coordinate": jwk(make_key("ec", "P-256"), kid="x") | {"x": b64(b"1" * 31)},
    "without a coordinate": {"kty": "EC", "crv": "P-256", "x": b64(b"1" * 32), "kid": "x"},
    "with a number for a modulus": {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "x"},
    "with an even exponent": jwk(make_key("rsa"), kid="x") | {"e": b64(b"\x02")},
    "without a kind": {"kid": "x"},
    "of a kind that is a list": {"kty": ["RSA"], "kid": "x"},
    "whose name is a number": jwk(make_key("rsa"), kid=7),
    "on X25519": jwk(make_key("ed", "Ed25519"), kid="x") | {"crv": "X25519"},
    "on Ed25519 and short": {"kty": "OKP", "crv": "Ed25519", "x": b64(b"1" * 31), "kid": "x"},
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_no_token_is_checked_with_a_key(name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = jwks(OPEN, BAD_KEYS[name])
    source = source_of("file:x", Clock(), fetch=lambda _: content)
    assert source.refresh()
    assert ([key.kid for key in source.keys.keys], source.keys.published) == (["open"], 2)
    assert "keys left out: " in caplog.text
    assert parse_key_set(jwks(BAD_KEYS[name])).keys == ()


def test_a_log_never_holds_what_a_key_set_holds(caplog: pytest.LogCaptureFixture) -> None:
    content = jwks(OPEN, *BAD_KEYS.values())
    with caplog.at_level(logging.DEBUG):
        assert source_of("file:x", Clock(), fetch=lambda _: content).refresh()
    values = [value for key in [OPEN, *BAD_KEYS.values()] for value in key.values() if isinstance(value, str)]
    assert not any(value in caplog.text for value in values if len(value) > 8)


def test_a_set_of_more_than_a_hundred_keys_is_refused() -> None:
    assert len(parse_key_set(jwks(*[OPEN] * MAX_KEYS)).keys) == MAX_KEYS
    assert not_read(lambda: parse_key_set(jwks(*[OPEN] * (MAX_KEYS + 1)))) == "too many keys"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
JWK = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP"]) | JSON},
    optional={
        "crv": st.sampled_from(["P-256", "Ed25519"]) | JSON,
        "x": st.binary(max_size=33).map(b64) | JSON,
        "y": st.binary(max_size=33).map(b64) | JSON,
        "n": st.binary(max_size=300).map(b64) | JSON,
        "e": st.just("AQAB") | JSON,
        "alg": st.sampled_from(["RS256", "ES256", "EdDSA"]) | JSON,
        "use": JSON,
        "key_ops": JSON,
    },
)


@given(JSON | st.fixed_dictionaries({"keys": st.lists(JWK | JSON, max_size=4) | JSON}))
def test_any_key_set_is_read_or_refused(content: object) -> None:
    try:
        found = parse_key_set(json.dumps(content).encode())
    except KeysNotRead as problem:
        assert problem.reason  # noqa: PT017
    else:
        assert all(key.algorithms for key in found.keys)
