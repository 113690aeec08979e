"""The public keys of a token provider (JSON Web Key Set, RFC 7517): read, held, renewed.

Which keys are taken, and for what:

1. Kind and curve say which signatures a key can check; its own `alg`, if it has one, narrows that to one. A token
   never decides how a key is used (RFC 8725 section 3.1).
2. `use`, if there, is `sig`; `key_ops`, if there, has `verify` (RFC 7517 sections 4.2 and 4.3).
3. RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519 (FIPS 186-5, SP 800-131A).
4. A key that shows its private half, or that is symmetric, is known to others: it is left out.

A key set without a key to check with is an answer like any other: the provider has withdrawn them all. What is no
key set (no answer, an error, something else) changes nothing: the keys that are held stay, but only so long. After
that the provider may have withdrawn any of them without our knowing.
"""

import hashlib
import http.client
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import AllowedPublicKeys

from fielded.words.errors import WrongUse
from fielded.world.identity.bearer import strict_object
from fielded.world.secrets import path_of

LOG = logging.getLogger("fielded.identity")

MAX_KEY_SET_BYTES = 256 * 1024
MAX_KEYS = 100
MIN_SECONDS_BETWEEN: Final = (
    10.0  # two readings: nobody who sends made-up key names can make us hammer the provider
)
SILENCE_SECONDS: Final = 5.0  # of the provider, before it counts as not answering
ANSWER_SECONDS: Final = 10.0  # for the whole answer
KEEP_SECONDS: Final = 86_400.0  # see `keep_keys_seconds` of the site
_WAIT_SECONDS: Final = 5.0  # for another thread's reading

_RSA_BITS = range(2048, 8193)
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_FITTING = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_BAD_KEY = (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError)


class KeysNotRead(Exception):
    """No new keys.

    Attributes:
        reason: why, without anything of the content: it goes into the log.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key.

    Attributes:
        kid: its name in the set.
        algorithms: signatures that it may check.
        public: the key itself.
    """

    kid: str | None
    algorithms: frozenset[str]
    public: AllowedPublicKeys


@dataclass(frozen=True, slots=True)
class KeySet:
    """What a provider publishes.

    Attributes:
        keys: those that can check signatures.
        published: how many there were, also of those left out.
        sha256: digest of the answer: the same bytes are the same set.
        left_out: why keys were left out, each reason once.
    """

    keys: tuple[VerificationKey, ...] = ()
    published: int = 0
    sha256: str = ""
    left_out: tuple[str, ...] = ()

    def named(self, kid: str | None) -> list[VerificationKey]:
        """Keys that a token means; more than one only where a provider gives several kinds one name.

        Without a `kid`, only a set of a single key leaves no doubt (OpenID Connect Core 1.0 section 10.1).
        """
        if kid is None:
            return list(self.keys) if self.published == 1 else []
        return [key for key in self.keys if key.kid == kid]


def parse_key_set(content: bytes) -> KeySet:
    """The usable keys in a JSON Web Key Set.

    Raises:
        KeysNotRead: no such set.
    """
    if len(content) > MAX_KEY_SET_BYTES:
        raise KeysNotRead("too large")
    try:
        published = strict_object(content).get("keys")
    except ValueError:
        raise KeysNotRead("not JSON") from None
    if not isinstance(published, list) or not all(isinstance(key, dict) for key in published):
        raise KeysNotRead("not a key set")
    if len(published) > MAX_KEYS:
        raise KeysNotRead("too many keys")
    keys, left_out = [], set()
    for jwk in published:
        try:
            keys.append(_key(jwk))
        except KeysNotRead as problem:
            left_out.add(problem.reason)
    return KeySet(tuple(keys), len(published), hashlib.sha256(content).hexdigest(), tuple(sorted(left_out)))


def _key(jwk: dict[str, Any]) -> VerificationKey:
    kty, kid = jwk.get("kty"), jwk.get("kid")
    if kty == "oct" or "d" in jwk or "k" in jwk:
        raise KeysNotRead("a secret in a public set")
    if kid is not None and not isinstance(kid, str):
        raise KeysNotRead("a name that is not text")
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise KeysNotRead("not for signatures")
    curve = None if kty == "RSA" else jwk.get("crv")
    fitting: frozenset[str] = frozenset()
    if isinstance(kty, str) and (curve is None or isinstance(curve, str)):
        fitting = _FITTING.get((kty, curve), fitting)
    if "alg" in jwk:
        fitting = frozenset(algorithm for algorithm in fitting if algorithm == jwk["alg"])
    if not fitting:
        raise KeysNotRead("of another kind")
    checker = jwt.get_algorithm_by_name(min(fitting))
    try:
        public = checker.prepare_key(checker.from_jwk(jwk))  # also compares the curve
    except _BAD_KEY:
        raise KeysNotRead("not a key") from None
    if kty == "RSA" and public.key_size not in _RSA_BITS:
        raise KeysNotRead("RSA outside 2048 to 8192 bits")
    return VerificationKey(kid, fitting, public)


_NONE = KeySet()


class KeySource:
    """The keys of one provider, as last read.

    `keys` may be read from any thread; a new set replaces the old one as a whole.
    """

    def __init__(
        self,
        place: str,
        *,
        refresh_seconds: float,
        clock: Callable[[], datetime],
        keep_seconds: float = KEEP_SECONDS,
        fetch: "Fetch | None" = None,
    ) -> None:
        """Hold no keys yet: `refresh` reads them.

        Args:
            place: `https://...`, `http://` on this machine, or `file:PATH`.
            refresh_seconds: age after which they are read again.
            clock: the time now, UTC.
            keep_seconds: age after which keys that could not be read again are believed no more.
            fetch: how to read `place`; by default a file or one HTTP request.
        """
        self._keys = KeySet()
        self._keep_seconds = keep_seconds
        self._place = place
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._fetch = fetch or (_read_file if place.startswith("file:") else fetch_url)
        self._reading = threading.Lock()
        self._read_at: float | None = None
        self._tried_at: float | None = None

    @property
    def keys(self) -> KeySet:
        """The keys that may check signatures now: none, once the provider has been silent for too long."""
        return _NONE if self._is_expired() else self._keys

    def refresh(self, *, force: bool = False) -> bool:
        """Read the keys again if they are old, or at once with `force`.

        Never more often than every `MIN_SECONDS_BETWEEN`. Does not fail: what is wrong is logged, and the keys
        that are held stay. Blocks for `ANSWER_SECONDS` or so.

        Returns:
            Whether keys were read: by this call, or with `force` so shortly before it that they are as new.
        """
        if not self._is_due(force=force):
            return force and self._is_recent(self._read_at)
        if not self._reading.acquire(timeout=_WAIT_SECONDS):
            return False
        try:
            if not self._is_due(force=force):  # another thread has read meanwhile
                return force and self._is_recent(self._read_at)
            return self._read()
        finally:
            self._reading.release()

    def read_first(self) -> None:
        """Read the keys when a service starts.

        A provider that does not answer then is not an error: it will, and until then no token is believed. A file
        that cannot be read is one.

        Raises:
            WrongUse: naming the file.
        """
        self._read()
        if not self._keys.keys and self._place.startswith("file:"):
            step = "Save the provider's key set there, with at least one RSA, EC or Ed25519 key for signatures"
            raise WrongUse(
                f"identity.oidc.jwks: got no keys in {self._place}, expected a JSON Web Key Set. {step}"
            )

    def _read(self) -> bool:
        try:
            found = parse_key_set(self._fetch(self._place))
        except KeysNotRead as problem:
            LOG.warning("key set not read: %s", problem.reason, extra={"reason": problem.reason})
            self._tell_expired()
            return False
        else:
            if found.sha256 != self._keys.sha256:
                if found.left_out:
                    reasons = ", ".join(found.left_out)
                    LOG.warning("keys left out: %s", reasons, extra={"reason": reasons})
                LOG.info("key set read: %d of %d keys", len(found.keys), found.published)
                self._keys = found
                if not found.keys:
                    LOG.error("key set without a usable key: no token is believed")
            self._read_at = self._now()
            return True
        finally:
            self._tried_at = self._now()  # after the attempt: who asks during one waits for its keys

    def _is_due(self, *, force: bool) -> bool:
        if self._is_recent(self._tried_at):
            return False
        return force or self._read_at is None or not 0 <= self._now() - self._read_at < self._refresh_seconds

    def _tell_expired(self) -> None:
        if self._is_expired():
            LOG.error("keys expired: not read for %g s or more, no token is believed", self._keep_seconds)

    def _is_expired(self) -> bool:
        return self._read_at is not None and self._now() - self._read_at >= self._keep_seconds

    def _is_recent(self, then: float | None) -> bool:
        return then is not None and 0 <= self._now() - then < MIN_SECONDS_BETWEEN  # a clock may be set back

    def _now(self) -> float:
        return self._clock().timestamp()


Fetch = Callable[[str], bytes]


def _read_file(place: str) -> bytes:
    try:
        with path_of(place).open("rb") as file:
            return file.read(MAX_KEY_SET_BYTES + 1)
    except FileNotFoundError:
        raise KeysNotRead("no such file") from None
    except (OSError, ValueError):
        raise KeysNotRead("file not readable") from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is answered with nothing: whoever can cause one could choose our keys, or what we connect to."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def fetch_url(
    place: str,
    *,
    silence_seconds: float = SILENCE_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
    ticks: Callable[[], float] = time.monotonic,
) -> bytes:
    """The body of one GET, at most a byte more than `MAX_KEY_SET_BYTES`.

    Args:
        place: `https://` or, on this machine, `http://`; the settings have seen to that.
        silence_seconds: without a byte from the provider.
        answer_seconds: for all of it.
        ticks: seconds that only go up.

    Raises:
        KeysNotRead: no answer, too slow, another status than 200.
    """
    handlers: Sequence[urllib.request.BaseHandler] = (
        _NoRedirects(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    )
    if place.startswith("http://"):
        handlers = (*handlers, urllib.request.ProxyHandler({}))  # of this machine: no proxy in between
    request = urllib.request.Request(place, headers={"Accept": "application/json"})  # noqa: S310 - see `place`
    until = ticks() + answer_seconds
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=silence_seconds) as answer:
            if answer.status != http.client.OK:
                raise KeysNotRead(f"status {answer.status}")
            content = bytearray()
            while len(content) <= MAX_KEY_SET_BYTES:
                if ticks() > until:
                    raise KeysNotRead("too slow")
                piece = answer.read1(MAX_KEY_SET_BYTES + 1 - len(content))
                if not piece:
                    break
                content += piece
            return bytes(content)
    except urllib.error.HTTPError as error:
        error.close()
        redirected = error.code in range(300, 400)
        raise KeysNotRead("redirected" if redirected else f"status {error.code}") from None
    except TimeoutError:
        raise KeysNotRead("too slow") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None)
        if isinstance(reason, ssl.SSLError):
            raise KeysNotRead("certificate not trusted") from None
        raise KeysNotRead("too slow" if isinstance(reason, TimeoutError) else "no answer") from None
