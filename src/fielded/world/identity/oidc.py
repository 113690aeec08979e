"""Bearer tokens of an OpenID Connect provider (RFC 6750, RFC 7519, RFC 9068), checked after RFC 8725.

A token is believed when all of this holds, looked at in this order:

1. it can be taken apart (`bearer`);
2. `alg` is one that the site lists; all of those are asymmetric (RFC 8725 sections 3.1 and 3.2);
3. its header asks for nothing that we do not know: no `crit`, no nested token, `typ` absent, `JWT` or `at+jwt`
   (sections 3.11 and 3.12). `jku`, `x5u`, `jwk` and `x5c` are never looked at (section 3.10);
4. its key is one that the provider publishes now, by `kid`, and of the kind that `alg` needs;
5. the signature holds; only now are the claims read;
6. `iss` and `aud` are the site's (sections 3.8 and 3.9);
7. `exp` is there and has not come; `nbf` and `iat`, where there, have come;
8. the subject is text that can stand in a row and in a log.

Checking a signature for each request costs, so a token that was believed is remembered by its SHA-256 until it
expires, for a minute at most, and as long as the same key set is held.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from fielded.definition.serving import Oidc, Role
from fielded.world.identity.bearer import Compact, bearer_token, read_compact, strict_object
from fielded.world.identity.key_sets import KeySet, KeySource
from fielded.world.identity.port import Caller, Credentials, Unauthenticated

MAX_SUBJECT = 255  # characters, OpenID Connect Core 1.0 section 2
REMEMBERED_SECONDS: Final = 60.0
REMEMBERED_TOKENS: Final = 4096

_TYPES = ("jwt", "at+jwt")
_END_OF_TIME = 253_402_300_800.0  # the year 10000: a later time is no time


@dataclass(frozen=True, slots=True)
class Believed:
    """What a good token says.

    Attributes:
        subject: who it is about.
        roles: what they may do here.
        expires: seconds since the epoch from which on it is worth nothing, leeway included.
    """

    subject: str
    roles: frozenset[Role]
    expires: float


@dataclass(frozen=True, slots=True)
class _Remembered:
    believed: Believed
    keys: KeySet  # a withdrawn key takes its tokens along
    since: float
    until: float


class OidcAuthenticator:
    """Tells callers by their bearer token."""

    def __init__(self, settings: Oidc, source: KeySource, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._source = source
        self._clock = clock
        self._algorithms = frozenset(settings.algorithms)
        self._memory = _Memory(REMEMBERED_TOKENS)

    def authenticate(self, credentials: Credentials) -> Caller:
        """The caller; see the port."""
        token = bearer_token(credentials)
        if token is None:
            raise Unauthenticated("missing")
        believed = self.believe(token)
        return Caller(f"oidc:{believed.subject}", believed.roles, credentials.peer, "oidc")

    def refresh(self, *, force: bool = False) -> bool:
        """Read the provider's keys again; see the port."""
        return self._source.refresh(force=force)

    def held_keys(self) -> int | None:
        """Keys of the provider; see the port."""
        return len(self._source.keys.keys)

    def believe(self, token: str) -> Believed:
        """What `token` says.

        Raises:
            Unauthenticated: with its reason.
        """
        now, keys = self._clock().timestamp(), self._source.keys
        mark = hashlib.sha256(token.encode("ascii", "replace")).digest()
        if found := self._memory.find(mark, keys, now):
            return found
        believed = self._verified(read_compact(token), keys, now)
        self._memory.keep(mark, _Remembered(believed, keys, now, min(believed.expires, now + REMEMBERED_SECONDS)))
        return believed

    def _verified(self, token: Compact, keys: KeySet, now: float) -> Believed:
        algorithm = token.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Unauthenticated("algorithm")
        _check_header(token.header)
        _check_signature(token, algorithm, keys)
        try:
            claims = strict_object(token.payload)
        except ValueError:
            raise Unauthenticated("malformed") from None
        settings = self._settings
        _check_place(claims, settings)
        expires = _check_times(claims, now, settings.leeway_seconds)
        return Believed(_subject(claims, settings.subject_claim), _roles(claims, settings), expires)


def _check_header(header: Mapping[str, Any]) -> None:
    typ, kid = header.get("typ", "JWT"), header.get("kid", "")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise Unauthenticated("malformed")
    if "crit" in header or "b64" in header or "cty" in header or not isinstance(kid, str):
        raise Unauthenticated("malformed")


def _check_signature(token: Compact, algorithm: str, keys: KeySet) -> None:
    kid = token.header.get("kid")
    named = keys.named(kid)
    if not named:
        # Without a name there is nothing that a newer key set could tell us.
        raise Unauthenticated("malformed" if kid is None and keys.published else "unknown_key")
    fitting = [key for key in named if algorithm in key.algorithms]
    if not fitting:
        raise Unauthenticated("algorithm")
    checker = jwt.get_algorithm_by_name(algorithm)
    if not any(checker.verify(token.signed, key.public, token.signature) for key in fitting):
        raise Unauthenticated("signature")


def _check_place(claims: Mapping[str, Any], settings: Oidc) -> None:
    """Issuer and audience, to the letter: `https://idp` and `https://idp/` are two issuers."""
    issuer, audience = claims.get("iss"), claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(issuer, str):
        raise Unauthenticated("claims")
    if issuer != settings.issuer:
        raise Unauthenticated("issuer")
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        raise Unauthenticated("claims")
    if settings.audience not in audiences:
        raise Unauthenticated("audience")


def _check_times(claims: Mapping[str, Any], now: float, leeway: float) -> float:
    """Seconds since the epoch at which the token expires, leeway included."""
    expires = _time(claims, "exp")
    if expires is None:
        raise Unauthenticated("claims")
    if now >= expires + leeway:
        raise Unauthenticated("expired")
    for name in ("nbf", "iat"):
        begins = _time(claims, name)
        if begins is not None and now < begins - leeway:
            raise Unauthenticated("not_yet_valid")
    return expires + leeway


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), which may have a fraction, or None where the claim is not there."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END_OF_TIME:
        raise Unauthenticated("claims")
    return float(value)


def _subject(claims: Mapping[str, Any], name: str) -> str:
    """Nothing that could end a line, or turn or hide the text around it, wherever it is shown later."""
    subject = _claim(claims, name)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise Unauthenticated("claims")
    if not subject.isprintable() or subject != subject.strip():
        raise Unauthenticated("claims")
    return subject


def _roles(claims: Mapping[str, Any], settings: Oidc) -> frozenset[Role]:
    value = _claim(claims, settings.roles_claim)
    groups = set(value.split(" ")) if isinstance(value, str) else set(_texts(value))
    return frozenset(role for role, granting in settings.roles.items() if groups.intersection(granting))


def _texts(value: object) -> Iterator[str]:
    yield from (item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of that name (some providers name theirs by a URL), or the one that the dots lead to."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


class _Memory:
    """The tokens last believed; the one not seen for longest goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, mark: bytes, keys: KeySet, now: float) -> Believed | None:
        with self._lock:
            entry = self._entries.get(mark)
            if entry is None:
                return None
            if entry.keys is not keys or not entry.since <= now < entry.until:
                del self._entries[mark]
                return None
            self._entries.move_to_end(mark)
            return entry.believed

    def keep(self, mark: bytes, entry: _Remembered) -> None:
        with self._lock:
            self._entries[mark] = entry
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
