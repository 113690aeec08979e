"""The parts of a site that concern the API: who may call it, and within what limits.

Nothing here is a secret: where one is needed, a reference stands (`env:NAME`, `file:PATH` or
`aws-secretsmanager:ARN`).
"""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)

Role = Literal["score", "review", "audit", "release"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
HERE = frozenset({"127.0.0.1", "::1", "localhost"})  # hosts that are this machine
ROLES: frozenset[Role] = frozenset(get_args(Role))
_SECRETS_MANAGER = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+(#.+)?"
SecretRef = Annotated[
    str,
    StringConstraints(pattern=rf"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|aws-secretsmanager:{_SECRETS_MANAGER})$"),
]


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("an IP address or network such as 10.2.0.7 or 10.2.0.0/24") from None
    if network.prefixlen == 0:
        raise ValueError("a network that leaves somebody out")
    return text


def safe_url(text: str, expected: str) -> str:
    """A URL on whose way nobody may read or change anything: TLS, or this machine itself.

    Raises:
        ValueError: it is none, or has a user or password in it; says `expected`.
    """
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError(expected) from None
    here = url.scheme == "http" and url.hostname in HERE
    if not (here or url.scheme == "https") or not url.hostname or "@" in url.netloc or not text.isprintable():
        raise ValueError(expected)
    return text


def _key_set_place(text: str) -> str:
    """Nobody on the way may put keys of his own into the answer."""
    if text.startswith("file:"):
        return text
    return safe_url(
        text,
        "https://HOST/..., file:PATH, or http:// on 127.0.0.1, [::1] or localhost; no user or password in it",
    )


def _frozen(mapping: Mapping[Role, tuple[str, ...]]) -> Mapping[Role, tuple[str, ...]]:
    return MappingProxyType(dict(mapping))


Text = Annotated[str, StringConstraints(min_length=1)]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]
Network = Annotated[str, AfterValidator(_network)]
Grants = Annotated[Mapping[Role, tuple[Text, ...]], Field(min_length=1), AfterValidator(_frozen)]
SECRET_HEADER = "Fielded-Proxy-Secret"  # noqa: S105 - the header's name


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Oidc:
    """Bearer tokens of an OpenID Connect provider.

    Attributes:
        issuer: the only accepted `iss`, compared as written.
        audience: the only accepted `aud` (one of the token's).
        jwks: `https://...` or `file:PATH` of the provider's JSON Web Key Set. A provider whose certificate an
            authority of your own has signed: name its PEM file in `SSL_CERT_FILE`.
        algorithms: signatures that are accepted; none of them is symmetric and none of them is `none`.
        subject_claim: claim that names the person or service.
        roles_claim: claim that lists groups or roles, as a list or as one text with spaces between; dots descend
            (`realm_access.roles`) unless a claim has the whole name.
        roles: role here -> values of `roles_claim` that grant it.
        leeway_seconds: clock difference forgiven at `exp` and `nbf`.
        refresh_seconds: age after which the key set is read again.
        keep_keys_seconds: age after which keys are believed no more, where the provider does not answer.
    """

    issuer: Text
    audience: Text
    jwks: Annotated[str, AfterValidator(_key_set_place)]
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    subject_claim: Text = "sub"
    roles_claim: Text = "roles"
    roles: Grants = Field(default_factory=lambda: _frozen({role: (role,) for role in get_args(Role)}))
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 30
    refresh_seconds: Annotated[int, Field(ge=1)] = 600
    keep_keys_seconds: Annotated[int, Field(ge=60)] = 86_400

    @model_validator(mode="after")
    def _kept_until_they_are_read_again(self) -> "Oidc":
        if self.keep_keys_seconds <= self.refresh_seconds:
            raise ValueError("`keep_keys_seconds` above `refresh_seconds`")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Proxy:
    """A proxy that checks CAC/PIV client certificates and passes their subject on.

    Attributes:
        addresses: where it connects from; the headers of anybody else are refused.
        secret: reference to what it sends in `Fielded-Proxy-Secret`, so that an address alone is not enough.
        subject_header: header with the certificate's subject (RFC 4514 text).
        verified_header: header that says whether the certificate was verified.
        verified_value: what it says then.
        forwarded_header: header with the caller's address; its last entry is the one the proxy saw.
        roles: role here -> subjects that have it; `*` grants it to every verified certificate.
    """

    addresses: Annotated[tuple[Network, ...], Field(min_length=1)]
    secret: SecretRef
    subject_header: Header = "X-SSL-Client-S-DN"
    verified_header: Header = "X-SSL-Client-Verify"
    verified_value: Text = "SUCCESS"
    forwarded_header: Header = "X-Forwarded-For"
    roles: Grants

    @model_validator(mode="after")
    def _each_header_has_one_meaning(self) -> "Proxy":
        names = [self.subject_header, self.verified_header, self.forwarded_header, SECRET_HEADER, "Authorization"]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError(f"headers that differ from each other, from {SECRET_HEADER} and from Authorization")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Identity:
    """Who may call.

    Attributes:
        oidc: bearer tokens.
        proxy: client certificates seen by a trusted proxy.
        development_token: reference to a static token with every role; only in a development site.
    """

    oidc: Oidc | None = None
    proxy: Proxy | None = None
    development_token: SecretRef | None = None


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Api:
    """How the API is served.

    Attributes:
        host: address to listen at.
        port: port to listen at.
        workers: processes.
        tls_certificate: PEM file; None where a proxy or mesh ends TLS.
        tls_key: PEM file of its key.
        max_body_bytes: a larger request body is refused with 413.
        max_batch_rows: rows of one request, at most.
        max_in_flight: requests being answered at once in one worker; more are refused with 503.
        max_waiting_rows: rows of requests being answered at once in one worker; more are refused with 503.
        max_group_rows: rows scored together, at most.
        rate_per_minute: requests of one identity in one worker; 0 is without limit.
        alias_seconds: between two looks at where the alias stands, where nothing was released yet.
        inspect_seconds: between two looks at the files that the registry has of production and previous.
        drain_seconds: rows stay in the journal at most about this long.
        drain_rows: rows in a journal that are drained before that.
        stop_seconds: how long requests that are being answered may take after SIGTERM; closing the journal and a
            last drain have as long again.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    max_batch_rows: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_in_flight: Annotated[int, Field(ge=1)] = 512
    max_waiting_rows: Annotated[int, Field(ge=1)] = 20_000
    max_group_rows: Annotated[int, Field(ge=1, le=65_536)] = 1024
    rate_per_minute: Annotated[int, Field(ge=0)] = 0
    alias_seconds: Annotated[float, Field(gt=0)] = 2.0
    inspect_seconds: Annotated[float, Field(gt=0)] = 3600.0
    drain_seconds: Annotated[float, Field(gt=0)] = 300.0
    drain_rows: Annotated[int, Field(ge=1)] = 100_000
    stop_seconds: Annotated[int, Field(ge=1)] = 30

    @model_validator(mode="after")
    def _a_whole_request_may_wait(self) -> "Api":
        if self.max_waiting_rows < self.max_batch_rows:
            raise ValueError("`max_waiting_rows` of at least `max_batch_rows`")
        return self

    @model_validator(mode="after")
    def _key_beside_certificate(self) -> "Api":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("`tls_certificate` and `tls_key` together")
        return self
