"""A token provider with keys of many kinds, tokens that it would sign, and tokens that nobody may accept.

For tests of the authenticator itself and, through HTTP, of the API. Tokens are signed here byte by byte: a library
that makes tokens refuses to make most of these.
"""

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fielded.definition.serving import Oidc
from fielded.world.identity.port import Reason

ISSUER = "https://idp.example.mil/realms/fleet"
AUDIENCE = "fielded"
SUBJECT = "analyst.1"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


@functools.cache
def make_key(name: str, kind: str = "RSA-2048") -> PrivateKey:
    """The key of that name: the same one each time in a process, since RSA keys take long to make."""
    del name
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


def jwk(key: PrivateKey, **more: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key (RFC 7518 section 6, RFC 8037)."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        size = (key.key_size + 7) // 8
        return {"kty": "RSA", "n": b64(numbers.n.to_bytes(size)), "e": b64(numbers.e.to_bytes(3)), **more}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point, size = key.public_key().public_numbers(), (key.curve.key_size + 7) // 8
        curve = f"P-{key.curve.key_size}"
        return {
            "kty": "EC",
            "crv": curve,
            "x": b64(point.x.to_bytes(size)),
            "y": b64(point.y.to_bytes(size)),
            **more,
        }
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw), **more}


def jwks(*keys: Mapping[str, Any]) -> bytes:
    return text({"keys": list(keys)})


def signature(algorithm: str, key: PrivateKey, signed: bytes) -> bytes:
    """JWA signatures (RFC 7518 section 3), with whatever key is given."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(signed)
    digest = _HASHES[algorithm[-3:]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        return b"".join(n.to_bytes(size) for n in decode_dss_signature(key.sign(signed, ec.ECDSA(digest))))
    if algorithm.startswith("PS"):
        return key.sign(signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(signed, padding.PKCS1v15(), digest)


def encode(header: Any, payload: Any, key: PrivateKey | bytes | None, algorithm: str) -> str:
    """A compact token; bytes as `key` sign with HMAC, None leaves the signature empty."""
    signed = f"{b64(text(header))}.{b64(text(payload))}"
    if key is None:
        return f"{signed}."
    if isinstance(key, bytes):
        return f"{signed}.{b64(hmac.digest(key, signed.encode(), hashlib.sha256))}"
    return f"{signed}.{b64(signature(algorithm, key, signed.encode()))}"


@dataclass(frozen=True)
class Provider:
    """Publishes, beside good keys, some that no signature may be checked with.

    Attributes:
        keys: name -> private key. `rsa`, `pss`, `ec` and `ed` are good ones.
        published: name -> public key, as in the key set.
    """

    keys: Mapping[str, PrivateKey]
    published: Mapping[str, dict[str, Any]]

    def jwks(self, *names: str) -> bytes:
        """The key set, or only the keys of those names."""
        return jwks(*(self.published[name] for name in names or self.published))

    def oidc(self, place: str, **more: Any) -> Oidc:
        """A site's settings for it; `place` is where the key set is."""
        given = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": place, "algorithms": ALGORITHMS, **more}
        return Oidc(**given)

    def token(
        self,
        now: datetime,
        changes: Mapping[str, Any] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        kid: str = "rsa",
        alg: str = "RS256",
        key: PrivateKey | bytes | None = None,
    ) -> str:
        """A token with good claims but for `changes`; a change to `...` takes a claim or header field away."""
        given = {**claims(now), **(changes or {})}
        fields = {"alg": alg, "typ": "JWT", "kid": kid, **(header or {})}
        return encode(_less(fields), _less(given), self.keys[kid] if key is None else key, alg)


def _less(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not ...}


def claims(now: datetime) -> dict[str, Any]:
    moment = int(now.timestamp())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUBJECT,
        "exp": moment + 600,
        "nbf": moment - 10,
        "iat": moment - 10,
        "roles": ["score", "review", "audit", "release"],
    }


def make_provider() -> Provider:
    kinds = {
        "rsa": ("RSA-2048", {"use": "sig", "alg": "RS256"}),
        "open": ("RSA-2048", {}),
        "pss": ("RSA-2048", {"use": "sig", "alg": "PS256"}),
        "ec": ("P-256", {"use": "sig", "key_ops": ["verify"]}),
        "ed": ("Ed25519", {"alg": "EdDSA"}),
        "p384": ("P-384", {"use": "sig"}),
        "small": ("RSA-1024", {"use": "sig", "alg": "RS256"}),
        "enc": ("RSA-2048", {"use": "enc"}),
        "ops": ("P-256", {"key_ops": ["sign"]}),
    }
    keys = {name: make_key(name, kind) for name, (kind, _) in kinds.items()}
    published = {name: jwk(keys[name], kid=name, **more) for name, (_, more) in kinds.items()}
    return Provider(keys, published)


@dataclass(frozen=True)
class Forged:
    """What nobody may accept: 401.

    Attributes:
        name: what is wrong with it.
        reason: what is counted.
        authorization: value of every Authorization field that is sent. Some end in space: a client library may not
            send those as they are, and a server that takes the space away must come to the same reason.
    """

    name: str
    reason: Reason
    authorization: tuple[str, ...]


@dataclass(frozen=True)
class Good:
    """What must be accepted, with the roles that it gives: 403 where another one is needed."""

    name: str
    token: str
    roles: frozenset[str] = field(default_factory=lambda: frozenset({"score", "review", "audit", "release"}))


def good_tokens(provider: Provider, now: datetime) -> list[Good]:
    token = functools.partial(provider.token, now)
    moment = now.timestamp()
    return [
        Good("RS256", token()),
        Good("PS256", token(kid="pss", alg="PS256")),
        Good("ES256", token(kid="ec", alg="ES256")),
        Good("EdDSA", token(kid="ed", alg="EdDSA")),
        Good("RS256 by a key that does not say for what", token(kid="open")),
        Good("PS256 by the same key", token(kid="open", alg="PS256")),
        Good("ours among several audiences", token({"aud": ["another", AUDIENCE]})),
        Good("an access token by type", token(header={"typ": "at+jwt"})),
        Good("an access token by long type", token(header={"typ": "application/AT+JWT"})),
        Good("no type", token(header={"typ": ...})),
        Good("a time with a fraction", token({"exp": moment + 600.5})),
        Good("expired within the leeway", token({"exp": int(moment) - 10})),
        Good("valid within the leeway", token({"nbf": int(moment) + 10, "iat": int(moment) + 10})),
        Good("neither nbf nor iat", token({"nbf": ..., "iat": ...})),
        Good("a header that points to keys, signed by ours", token(header={"jku": "https://evil.example/jwks"})),
        Good("roles as one text", token({"roles": "openid score audit"}), frozenset({"score", "audit"})),
        Good("roles that are not ours", token({"roles": ["admin", "SCORE"]}), frozenset()),
        Good("no roles", token({"roles": ...}), frozenset()),
        Good("roles of another type", token({"roles": {"score": True}}), frozenset()),
        Good("roles among other things", token({"roles": [1, None, ["audit"], "score"]}), frozenset({"score"})),
    ]


def forged_tokens(provider: Provider, now: datetime) -> list[Forged]:
    groups = (_unreadable, _other_algorithms, _other_keys, _bad_headers, _misdirected, _bad_times, _bad_subjects)
    rows = [row for group in groups for row in group(provider, now)]
    return [
        Forged(name, reason, (f"Bearer {sent}",) if isinstance(sent, str) else tuple(sent))
        for name, reason, sent in rows
    ]


Row = tuple[str, Reason, str | Sequence[str]]


def _unreadable(provider: Provider, now: datetime) -> list[Row]:
    good = provider.token(now)
    header, payload, signed = good.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = good[:-1] + last[last.index(good[-1]) ^ 1]  # other unused bits, the same bytes
    twice = text(claims(now))[:-1] + b',"sub":"commander.1"}'
    own = text({"alg": "RS256", "kid": "rsa"})[:-1] + b',"alg":"none"}'
    rsa_key = provider.keys["rsa"]
    return [
        ("no token", "malformed", ["Bearer"]),
        ("no token after a space", "malformed", ["Bearer "]),
        ("only space", "malformed", ["Bearer    \t  "]),
        ("an empty field", "malformed", [""]),
        ("scheme Basic", "malformed", ["Basic YW5hbHlzdDpzZWNyZXQ="]),
        ("a token without a scheme", "malformed", [good]),
        ("another scheme with a good token", "malformed", [f"Token {good}"]),
        ("two tokens in a field", "malformed", [f"Bearer {good} {good}"]),
        ("two tokens with a comma", "malformed", [f"Bearer {good}, Bearer {good}"]),
        ("two fields", "malformed", [f"Bearer {good}", f"Bearer {good}"]),
        ("two fields, one bad", "malformed", [f"Bearer {good}", "Bearer x"]),
        ("no dots", "malformed", good.replace(".", "")),
        ("one dot", "malformed", f"{header}.{payload}"),
        ("four parts", "malformed", f"{good}.{signed}"),
        ("five parts, as an encrypted one has", "malformed", f"{header}.{payload}.{signed}.{payload}.{signed}"),
        ("only dots", "malformed", ".."),
        ("no header", "malformed", f".{payload}.{signed}"),
        ("no payload", "malformed", f"{header}..{signed}"),
        ("padding", "malformed", f"{good}=="),
        ("the other base64 alphabet", "malformed", f"{header}.{payload}.{'+/' * 20}"),
        ("another spelling of the signature", "malformed", respelled),
        ("a header that is no JSON", "malformed", f"{b64(b'RS256')}.{payload}.{signed}"),
        ("a header that is a list", "malformed", f"{b64(b'[]')}.{payload}.{signed}"),
        (
            "a header in UTF-16",
            "malformed",
            f"{b64(json.dumps({'alg': 'RS256'}).encode('utf-16'))}.{payload}.{signed}",
        ),
        ("a header nested deep", "malformed", f"{b64(b'[' * 9000)}.{payload}.{signed}"),
        ("a header name twice", "malformed", encode(own, claims(now), rsa_key, "RS256")),
        ("a claim twice", "malformed", provider_signed(provider, twice)),
        ("claims that are a list", "malformed", provider_signed(provider, b"[]")),
        ("claims that are no JSON", "malformed", provider_signed(provider, b"sub=analyst.1")),
        ("a token within a token", "malformed", provider_signed(provider, good.encode())),
        ("larger than 16 KiB", "malformed", provider.token(now, {"padding": "x" * 16_384})),
    ]


def provider_signed(provider: Provider, payload: bytes) -> str:
    return encode({"alg": "RS256", "kid": "rsa"}, payload, provider.keys["rsa"], "RS256")


def _other_algorithms(provider: Provider, now: datetime) -> list[Row]:
    pem = provider.keys["rsa"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = provider.keys["rsa"].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    token = functools.partial(provider.token, now)
    unsigned = [
        encode({"alg": alg, "kid": "rsa"}, claims(now), None, "") for alg in ("none", "None", "NONE", "nOnE")
    ]
    signed = token().rpartition(".")[2]
    return [
        *((f"alg none, spelling {place}", "algorithm", sent) for place, sent in enumerate(unsigned)),
        ("alg none with a signature", "algorithm", unsigned[0] + signed),
        ("no alg", "algorithm", token(header={"alg": ...})),
        ("alg null", "algorithm", token(header={"alg": None})),
        ("alg empty", "algorithm", token(header={"alg": ""})),
        ("alg a list", "algorithm", token(header={"alg": ["RS256"]})),
        ("alg in lower case", "algorithm", token(header={"alg": "rs256"})),
        ("HS256 with the public key's PEM", "algorithm", token(alg="HS256", key=pem)),
        ("HS256 with the public key's DER", "algorithm", token(alg="HS256", key=der)),
        (
            "HS256 with the public key as JSON",
            "algorithm",
            token(alg="HS256", key=text(provider.published["rsa"])),
        ),
        ("RS512, which the site does not list", "algorithm", token(alg="RS512")),
        ("RS256 where the key is for PS256", "algorithm", token(kid="pss")),
        ("PS256 where the key is for RS256", "algorithm", token(alg="PS256")),
        ("ES256 with a key on P-384", "algorithm", token(kid="p384", alg="ES256")),
        ("ES256 that names an RSA key", "algorithm", token(alg="ES256", key=provider.keys["ec"])),
        ("RS256 that names an EC key", "algorithm", token(kid="ec", key=provider.keys["rsa"])),
        ("EdDSA that names an RSA key", "algorithm", token(alg="EdDSA", key=provider.keys["ed"])),
        ("RS256 in the header, PS256 in the signature", "signature", _mixed(provider, now)),
    ]


def _mixed(provider: Provider, now: datetime) -> str:
    return encode({"alg": "RS256", "kid": "open"}, claims(now), provider.keys["open"], "PS256")


def _other_keys(provider: Provider, now: datetime) -> list[Row]:
    token = functools.partial(provider.token, now)
    stranger, mine = make_key("stranger"), jwk(make_key("stranger"), kid="mine")
    good = token()
    header, payload, signed = good.split(".")
    commander = b64(text({**claims(now), "sub": "commander.1"}))
    changed = ("A" if signed[9] != "A" else "B").join((signed[:9], signed[10:]))
    evil = "https://evil.example/jwks.json"
    certificate = [base64.b64encode(b"a certificate").decode()]
    return [
        ("a stranger's key under our name", "signature", token(key=stranger)),
        (
            "a stranger's EC key under our name",
            "signature",
            token(kid="ec", alg="ES256", key=make_key("s", "P-256")),
        ),
        ("a stranger's Ed25519 key", "signature", token(kid="ed", alg="EdDSA", key=make_key("s", "Ed25519"))),
        ("an unknown name", "unknown_key", token(header={"kid": "mine"}, key=stranger)),
        ("an empty name", "unknown_key", token(header={"kid": ""})),
        ("a name like a path", "unknown_key", token(header={"kid": "../../dev/null"}, key=stranger)),
        ("our name in upper case", "unknown_key", token(header={"kid": "RSA"})),
        ("no name where there are several keys", "malformed", token(header={"kid": ...})),
        ("a name that is a number", "malformed", token(header={"kid": 1})),
        ("a name that is null", "malformed", token(header={"kid": None})),
        ("its own key in the header", "unknown_key", token(header={"kid": "mine", "jwk": mine}, key=stranger)),
        ("its own key in the header, our name", "signature", token(header={"jwk": mine}, key=stranger)),
        ("its own key and no name", "malformed", token(header={"kid": ..., "jwk": mine}, key=stranger)),
        ("a key set of its own (jku)", "signature", token(header={"jku": evil}, key=stranger)),
        ("a certificate of its own (x5u)", "signature", token(header={"x5u": evil}, key=stranger)),
        ("a certificate in the header (x5c)", "signature", token(header={"x5c": certificate}, key=stranger)),
        ("an RSA key of 1024 bits", "unknown_key", token(kid="small")),
        ("a key for encryption", "unknown_key", token(kid="enc")),
        ("a key that may not verify", "unknown_key", token(kid="ops", alg="ES256")),
        ("the signature cut off", "signature", f"{header}.{payload}."),
        ("the signature cut short", "signature", f"{header}.{payload}.{signed[:-2]}"),
        ("one character of the signature changed", "signature", f"{header}.{payload}.{changed}"),
        ("the signature of another token", "signature", good[: -len(signed)] + token({"jti": "2"}).split(".")[2]),
        ("another subject under the same signature", "signature", f"{header}.{commander}.{signed}"),
        ("an ECDSA signature of zeros", "signature", _zeros(provider, now, "ec", "ES256", 64)),
        ("an Ed25519 signature of zeros", "signature", _zeros(provider, now, "ed", "EdDSA", 64)),
        ("an RSA signature of zeros", "signature", _zeros(provider, now, "rsa", "RS256", 256)),
        ("an ECDSA signature in DER", "signature", _der(provider, now)),
    ]


def _zeros(provider: Provider, now: datetime, kid: str, alg: str, size: int) -> str:
    return provider.token(now, kid=kid, alg=alg).rpartition(".")[0] + "." + b64(bytes(size))


def _der(provider: Provider, now: datetime) -> str:
    signed = provider.token(now, kid="ec", alg="ES256").rpartition(".")[0]
    key = provider.keys["ec"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return f"{signed}.{b64(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))}"


def _bad_headers(provider: Provider, now: datetime) -> list[Row]:
    token = functools.partial(provider.token, now)
    return [
        ("crit with an extension", "malformed", token(header={"crit": ["exp"], "exp": 1})),
        ("crit empty", "malformed", token(header={"crit": []})),
        ("an unencoded payload (b64)", "malformed", token(header={"crit": ["b64"], "b64": False})),
        ("b64 without crit", "malformed", token(header={"b64": False})),
        ("the content type of a token", "malformed", token(header={"cty": "JWT"})),
        ("type of a logout token", "malformed", token(header={"typ": "logout+jwt"})),
        ("type of a proof of possession", "malformed", token(header={"typ": "dpop+jwt"})),
        ("a type that is no text", "malformed", token(header={"typ": 1})),
    ]


def _misdirected(provider: Provider, now: datetime) -> list[Row]:
    token = functools.partial(provider.token, now)
    return [
        ("another issuer", "issuer", token({"iss": "https://idp.example.com/realms/fleet"})),
        ("the issuer with a slash", "issuer", token({"iss": f"{ISSUER}/"})),
        ("the issuer in other case", "issuer", token({"iss": ISSUER.upper()})),
        ("the issuer with a space", "issuer", token({"iss": f"{ISSUER} "})),
        ("no issuer", "claims", token({"iss": ...})),
        ("issuers in a list", "claims", token({"iss": [ISSUER]})),
        ("another audience", "audience", token({"aud": "payroll"})),
        ("audiences without ours", "audience", token({"aud": ["payroll", "fielded-test"]})),
        ("an audience that begins with ours", "audience", token({"aud": "fielded.example.com"})),
        ("no audiences", "audience", token({"aud": []})),
        ("an empty audience", "audience", token({"aud": ""})),
        ("no audience", "claims", token({"aud": ...})),
        ("an audience in a mapping", "claims", token({"aud": {AUDIENCE: True}})),
        ("a number beside our audience", "claims", token({"aud": [AUDIENCE, 1]})),
    ]


def _bad_times(provider: Provider, now: datetime) -> list[Row]:
    token = functools.partial(provider.token, now)
    moment = int(now.timestamp())
    endless = text(claims(now)).replace(f'"exp":{moment + 600}'.encode(), b'"exp":1e999')
    nan, long = endless.replace(b"1e999", b"NaN"), endless.replace(b"1e999", b"9" * 5000)
    return [
        ("no expiry", "claims", token({"exp": ...})),
        ("expiry null", "claims", token({"exp": None})),
        ("expired", "expired", token({"exp": moment - 60})),
        ("expired with a fraction", "expired", token({"exp": moment - 60.5})),
        ("expired in 1970", "expired", token({"exp": 0})),
        ("expiry as text", "claims", token({"exp": str(moment + 600)})),
        ("expiry as a date", "claims", token({"exp": "2099-01-01T00:00:00Z"})),
        ("expiry true", "claims", token({"exp": True})),
        ("expiry negative", "claims", token({"exp": -1})),
        ("expiry in milliseconds", "claims", token({"exp": (moment + 600) * 1000})),
        ("expiry beyond any date", "claims", token({"exp": 10**30})),
        ("expiry of thousands of digits", "malformed", provider_signed(provider, long)),
        ("expiry infinite", "claims", provider_signed(provider, endless)),
        ("expiry not a number", "malformed", provider_signed(provider, nan)),
        ("not yet valid", "not_yet_valid", token({"nbf": moment + 120})),
        ("issued in the future", "not_yet_valid", token({"iat": moment + 120})),
        ("not-before as text", "claims", token({"nbf": str(moment - 10)})),
        ("issued-at in a list", "claims", token({"iat": [moment - 10]})),
    ]


def _bad_subjects(provider: Provider, now: datetime) -> list[Row]:
    token = functools.partial(provider.token, now)
    return [
        ("no subject", "claims", token({"sub": ...})),
        ("subject null", "claims", token({"sub": None})),
        ("a subject that is a number", "claims", token({"sub": 7})),
        ("a subject that is a list", "claims", token({"sub": [SUBJECT]})),
        ("an empty subject", "claims", token({"sub": ""})),
        ("a blank subject", "claims", token({"sub": "   "})),
        ("a subject with a space before it", "claims", token({"sub": f" {SUBJECT}"})),
        ("a subject with a line end", "claims", token({"sub": "analyst.1\nINFO admin logged in"})),
        ("a subject with a NUL", "claims", token({"sub": "analyst.1\x00"})),
        ("a subject with a terminal's escape", "claims", token({"sub": "\x1b[2Janalyst.1"})),
        ("a subject that turns the text around", "claims", token({"sub": "analyst\u202e1.tsylana"})),
        ("a subject with a character of no width", "claims", token({"sub": "analyst\u200b.1"})),
        ("half a character", "claims", token({"sub": "analyst\ud800"})),
        ("a subject of 256 characters", "claims", token({"sub": "a" * 256})),
        ("a subject of 10 kB", "claims", token({"sub": "a" * 10_000})),
    ]
