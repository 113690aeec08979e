"""No forged, expired, confused or misdirected token is believed, and every refusal says why."""

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fielded.definition.serving import Oidc
from fielded.world.identity import Caller, Credentials, Unauthenticated
from fielded.world.identity.key_sets import KeySource
from fielded.world.identity.oidc import REMEMBERED_SECONDS, REMEMBERED_TOKENS, OidcAuthenticator
from forged_tokens import (
    AUDIENCE,
    ISSUER,
    SUBJECT,
    Forged,
    Good,
    Provider,
    b64,
    claims,
    encode,
    forged_tokens,
    good_tokens,
    jwk,
    jwks,
    make_key,
    make_provider,
    text,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROVIDER = make_provider()
FORGED = forged_tokens(PROVIDER, NOW)
GOOD = good_tokens(PROVIDER, NOW)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Place:
    """Where the keys are: what it holds is served, and every reading counted."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.readings = 0

    def __call__(self, _: str) -> bytes:
        self.readings += 1
        return self.content


def opened(
    content: bytes, clock: Callable[[], datetime] = lambda: NOW, settings: Oidc | None = None
) -> tuple[OidcAuthenticator, Place]:
    place = Place(content)
    source = KeySource("file:keys.json", refresh_seconds=600, clock=clock, fetch=place)
    assert source.refresh()
    return OidcAuthenticator(settings or PROVIDER.oidc("file:keys.json"), source, clock), place


def brought(*authorization: str) -> Credentials:
    return Credentials({"authorization": authorization}, "192.0.2.7")


def refused(authenticator: OidcAuthenticator, *authorization: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        authenticator.authenticate(brought(*authorization))
    return caught.value.reason


@pytest.fixture(scope="module")
def authenticator() -> OidcAuthenticator:
    return opened(PROVIDER.jwks())[0]


def test_the_table_is_long_and_names_each_case_once() -> None:
    assert len(FORGED) >= 30
    assert len({case.name for case in FORGED}) == len(FORGED)


@pytest.mark.parametrize("case", FORGED, ids=lambda case: case.name)
def test_a_forged_token_is_refused_with_its_reason(authenticator: OidcAuthenticator, case: Forged) -> None:
    assert refused(authenticator, *case.authorization) == case.reason
    assert refused(authenticator, *case.authorization) == case.reason  # nothing was remembered


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_token_is_believed(authenticator: OidcAuthenticator, case: Good) -> None:
    for _ in range(2):  # verified, then remembered
        caller = authenticator.authenticate(brought(f"Bearer {case.token}"))
        assert caller == Caller(f"oidc:{SUBJECT}", caller.roles, "192.0.2.7", "oidc")
        assert caller.roles == case.roles


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_has_no_case(authenticator: OidcAuthenticator, scheme: str) -> None:
    assert authenticator.authenticate(brought(f"{scheme} {GOOD[0].token}")).name == f"oidc:{SUBJECT}"


def test_a_request_without_credentials_is_missing_them(authenticator: OidcAuthenticator) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticator.authenticate(Credentials({"x-access-token": (GOOD[0].token,)}, "192.0.2.7"))
    assert caught.value.reason == "missing"


def test_a_refusal_never_shows_the_token(authenticator: OidcAuthenticator) -> None:
    for case in FORGED:
        with pytest.raises(Unauthenticated) as caught:
            authenticator.authenticate(brought(*case.authorization))
        parts = set(re.findall(r"[A-Za-z0-9_-]{12,}", " ".join(case.authorization)))
        assert not any(part in str(caught.value) for part in parts)
        assert caught.value.__cause__ is None


def test_algorithms_that_the_site_does_not_list_are_refused_though_the_key_would_fit() -> None:
    settings = PROVIDER.oidc("file:keys.json", algorithms=("ES256",))
    strict, _ = opened(PROVIDER.jwks(), settings=settings)
    assert refused(strict, f"Bearer {PROVIDER.token(NOW)}") == "algorithm"
    assert strict.authenticate(brought(f"Bearer {PROVIDER.token(NOW, kid='ec', alg='ES256')}"))


def test_a_token_without_a_key_name_is_believed_where_there_is_one_key() -> None:
    single, _ = opened(PROVIDER.jwks("rsa"))
    assert single.authenticate(brought(f"Bearer {PROVIDER.token(NOW, header={'kid': ...})}")).roles
    stranger = PROVIDER.token(NOW, header={"kid": ...}, key=make_key("stranger"))
    assert refused(single, f"Bearer {stranger}") == "signature"


def test_keys_that_are_left_out_count_where_a_token_does_not_name_its_key() -> None:
    beside_encryption, _ = opened(PROVIDER.jwks("rsa", "enc"))
    token = PROVIDER.token(NOW, header={"kid": ...})
    assert refused(beside_encryption, f"Bearer {token}") == "malformed"


def test_keys_of_several_kinds_may_share_a_name() -> None:
    one, other = make_key("one"), make_key("other", "P-256")
    shared, _ = opened(jwks(jwk(one, kid="k"), jwk(other, kid="k")))
    for key, alg in ((one, "RS256"), (one, "PS256"), (other, "ES256")):
        token = encode({"alg": alg, "kid": "k"}, claims(NOW), key, alg)
        assert shared.authenticate(brought(f"Bearer {token}")).roles
    confused = encode({"alg": "ES256", "kid": "k"}, claims(NOW), make_key("third", "P-256"), "ES256")
    assert refused(shared, f"Bearer {confused}") == "signature"


def test_a_role_is_given_by_any_of_its_values_and_at_any_depth() -> None:
    settings = PROVIDER.oidc(
        "file:keys.json",
        roles_claim="realm_access.roles",
        roles={"score": ["GS Analysts", "contractors"], "audit": ["isso"]},
    )
    nested, _ = opened(PROVIDER.jwks(), settings=settings)
    for given_roles, expected in (
        ({"realm_access": {"roles": ["GS Analysts"]}}, {"score"}),
        ({"realm_access": {"roles": "contractors isso"}}, {"score", "audit"}),
        ({"realm_access.roles": ["isso"]}, {"audit"}),
        ({"realm_access": ["isso"]}, set()),
        ({"realm_access": None}, set()),
        ({"roles": ["isso", "score"]}, set()),
    ):
        token = PROVIDER.token(NOW, {"roles": ..., **given_roles})
        assert nested.authenticate(brought(f"Bearer {token}")).roles == expected


def test_another_claim_may_name_the_subject() -> None:
    settings = PROVIDER.oidc("file:keys.json", subject_claim="preferred_username")
    named, _ = opened(PROVIDER.jwks(), settings=settings)
    token = PROVIDER.token(NOW, {"preferred_username": "ana.lyst@example.mil"})
    assert named.authenticate(brought(f"Bearer {token}")).name == "oidc:ana.lyst@example.mil"
    assert refused(named, f"Bearer {PROVIDER.token(NOW)}") == "claims"


def test_a_subject_may_be_255_characters_of_any_script() -> None:
    letters = "".join(itertools.islice(itertools.cycle("aé漢字 b"), 254)) + "z"
    authenticator, _ = opened(PROVIDER.jwks())
    token = PROVIDER.token(NOW, {"sub": letters})
    assert authenticator.authenticate(brought(f"Bearer {token}")).name == f"oidc:{letters}"


def test_a_remembered_token_fails_once_it_has_expired() -> None:
    clock = Clock()
    authenticator, _ = opened(PROVIDER.jwks(), clock)
    token = f"Bearer {PROVIDER.token(NOW, {'exp': int(NOW.timestamp()) + 5})}"
    assert authenticator.authenticate(brought(token)).roles
    clock.later(5 + 29.9)  # the leeway is 30 seconds
    assert authenticator.authenticate(brought(token)).roles
    clock.later(0.2)
    assert refused(authenticator, token) == "expired"


def test_a_remembered_token_fails_once_its_key_is_withdrawn() -> None:
    clock = Clock()
    authenticator, place = opened(PROVIDER.jwks("rsa", "ec"), clock)
    by_rsa = f"Bearer {PROVIDER.token(NOW)}"
    by_ec = f"Bearer {PROVIDER.token(NOW, kid='ec', alg='ES256')}"
    for token in (by_rsa, by_ec):
        assert authenticator.authenticate(brought(token)).roles
    place.content = PROVIDER.jwks("ec")
    clock.later(11)
    assert authenticator.refresh(force=True)
    assert refused(authenticator, by_rsa) == "unknown_key"
    assert authenticator.authenticate(brought(by_ec)).roles


def test_a_token_is_verified_once_a_minute_and_not_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    authenticator, place = opened(PROVIDER.jwks(), clock)
    token = f"Bearer {PROVIDER.token(NOW)}"
    verified = 0
    check = OidcAuthenticator._verified

    def counted(*given_arguments: object) -> object:
        nonlocal verified
        verified += 1
        return check(*given_arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(OidcAuthenticator, "_verified", counted)
    for _ in range(100):
        authenticator.authenticate(brought(token))
    assert verified == 1
    clock.later(11)
    assert authenticator.refresh(force=True)  # the same keys: nothing to verify anew
    assert place.readings == 2
    authenticator.authenticate(brought(token))
    assert verified == 1
    clock.later(REMEMBERED_SECONDS)
    authenticator.authenticate(brought(token))
    assert verified == 2
    clock.later(-3600)  # a clock that was set back
    assert refused(authenticator, token) == "not_yet_valid"


def test_two_addresses_may_bring_one_token() -> None:
    authenticator, _ = opened(PROVIDER.jwks())
    sent = {"authorization": (f"Bearer {PROVIDER.token(NOW)}",)}
    found = [authenticator.authenticate(Credentials(sent, peer)).client_address for peer in ("192.0.2.7", "::1")]
    assert found == ["192.0.2.7", "::1"]


def test_only_so_many_tokens_are_remembered() -> None:
    authenticator, _ = opened(PROVIDER.jwks("ed"))
    for number in range(REMEMBERED_TOKENS + 10):
        token = PROVIDER.token(NOW, {"jti": str(number)}, kid="ed", alg="EdDSA")
        assert authenticator.believe(token).subject == SUBJECT
    assert len(authenticator._memory._entries) == REMEMBERED_TOKENS


SHARED = opened(PROVIDER.jwks())[0]


@given(st.text(max_size=200) | st.text("ey.J-_ \t,=ABC", max_size=60))
def test_any_field_is_refused_and_nothing_else_happens(value: str) -> None:
    assert refused(SHARED, value) == "malformed"
    assert refused(SHARED, f"Bearer {value}") in {"malformed", "algorithm"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": JSON | st.sampled_from(["RS256", "ES256", "none"]),
        "kid": JSON | st.sampled_from(["rsa", "ec"]),
        "typ": JSON | st.just("JWT"),
        "crit": JSON,
        "jwk": JSON,
    },
)


@given(HEADERS, JSON, st.binary(max_size=80))
def test_any_header_and_signature_is_refused(header: dict[str, object], payload: object, signed: bytes) -> None:
    token = f"{b64(text(header))}.{b64(text(payload))}.{b64(signed)}"
    assert refused(SHARED, f"Bearer {token}") in {"malformed", "algorithm", "unknown_key", "signature"}


CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "iss": JSON | st.just(ISSUER),
        "aud": JSON | st.just(AUDIENCE),
        "exp": JSON | st.just(int(NOW.timestamp()) + 60),
        "nbf": JSON,
        "iat": JSON,
        "sub": JSON | st.just(SUBJECT),
        "roles": JSON,
    },
)


@given(CLAIMS)
def test_claims_of_any_type_are_believed_or_refused(changes: dict[str, object]) -> None:
    token = PROVIDER.token(NOW, {name: changes.get(name, ...) for name in claims(NOW)}, kid="ed", alg="EdDSA")
    try:
        found = SHARED.believe(token)
    except Unauthenticated as refusal:
        assert refusal.reason not in {"signature", "unknown_key", "algorithm"}  # noqa: PT017
    else:
        assert (changes["iss"], changes["sub"]) == (ISSUER, found.subject)
        assert changes["aud"] == AUDIENCE or AUDIENCE in changes["aud"]  # type: ignore[operator]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_refused(place: int, change: int) -> None:
    token = bytearray(PROVIDER.token(NOW, kid="ed", alg="EdDSA").encode())
    token[place % len(token)] ^= change
    sent = token.decode("latin-1")
    assert refused(SHARED, f"Bearer {sent}") in {"malformed", "algorithm", "unknown_key", "signature"}


def test_the_provider_may_be_any_other() -> None:
    others = Provider({"rsa": make_key("another")}, {"rsa": jwk(make_key("another"), kid="rsa")})
    authenticator, _ = opened(others.jwks())
    assert authenticator.authenticate(brought(f"Bearer {others.token(NOW)}")).roles
    assert refused(authenticator, f"Bearer {PROVIDER.token(NOW)}") == "signature"
