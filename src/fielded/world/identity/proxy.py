"""Client certificates (CAC, PIV) that a trusted proxy has verified; the proxy itself ends TLS.

1. What a proxy says is looked at only from its address and with its secret. From anybody else even one of its
   headers is a refusal, whatever else the request brings: a proxy that forgot to remove a caller's own headers
   must be noticed.
2. A certificate counts when the proxy says that it has verified it, once, and names its subject, once.
3. The address of the caller is the last entry of the forwarded header: the one that the proxy itself has seen.
   Earlier ones are the caller's to make up.

Controls: IA-2(12) (PIV credentials), IA-5(2) (public key authentication), SC-23 (session authenticity).
"""

import hmac
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fielded.definition.serving import SECRET_HEADER, Proxy, Role
from fielded.world.identity.port import Caller, Credentials, Unauthenticated

MAX_SUBJECT = 1024  # characters of a distinguished name


class ProxyAuthenticator:
    """Tells callers by the certificate that the site's proxy has verified."""

    def __init__(self, settings: Proxy, secret: str) -> None:
        self._settings = settings
        self._secret = secret.encode()
        self._networks = [ip_network(network) for network in settings.addresses]
        self._subject = settings.subject_header.lower()
        self._verified = settings.verified_header.lower()
        self._forwarded = settings.forwarded_header.lower()
        self._own = (SECRET_HEADER.lower(), self._subject, self._verified)

    def speaks_in(self, credentials: Credentials) -> bool:
        """Whether the request has a header that only the proxy may send."""
        return any(name in credentials.headers for name in self._own)

    def check_sender(self, credentials: Credentials) -> None:
        """Make sure that the proxy itself is at the other end.

        Raises:
            Unauthenticated: `proxy`.
        """
        secrets = credentials.headers.get(SECRET_HEADER.lower(), ())
        known = len(secrets) == 1 and hmac.compare_digest(secrets[0].encode("utf-8", "replace"), self._secret)
        address = _address(credentials.peer)
        if not known or address is None or not any(address in network for network in self._networks):
            raise Unauthenticated("proxy")

    def presents(self, credentials: Credentials) -> bool:
        """Whether the proxy speaks of a certificate at all; without one it may pass on a bearer token."""
        subjects, verified = self._values(credentials)
        return any(subjects) or self._settings.verified_value in verified

    def authenticate(self, credentials: Credentials) -> Caller:
        """The certificate's subject; see the port."""
        if not self.speaks_in(credentials):
            raise Unauthenticated("missing")
        self.check_sender(credentials)
        subjects, verified = self._values(credentials)
        if len(subjects) > 1 or len(verified) > 1:
            raise Unauthenticated("malformed")
        if verified != (self._settings.verified_value,) or not subjects or not subjects[0].strip():
            raise Unauthenticated("certificate")
        subject = subjects[0]
        if len(subject) > MAX_SUBJECT or not subject.isprintable() or subject != subject.strip():
            raise Unauthenticated("malformed")
        roles: frozenset[Role] = frozenset(
            role for role, subjects in self._settings.roles.items() if subject in subjects or "*" in subjects
        )
        return Caller(f"cert:{subject}", roles, self.client_address(credentials), "certificate")

    def refresh(self, *, force: bool = False) -> bool:  # noqa: ARG002 - the port's
        """There is nothing to read."""
        return False

    def held_keys(self) -> int | None:
        """There are none to hold."""
        return None

    def client_address(self, credentials: Credentials) -> str:
        """The address that the proxy has seen, or the proxy's own where it names none. After `check_sender`."""
        lines = credentials.headers.get(self._forwarded, ())
        last = lines[-1].rpartition(",")[2].strip() if lines else ""
        address = _address(last) or _address(_without_port(last))
        return credentials.peer if address is None else str(address)

    def _values(self, credentials: Credentials) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return credentials.headers.get(self._subject, ()), credentials.headers.get(self._verified, ())


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, that of an IPv4 caller on an IPv6 socket as IPv4, or None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _without_port(text: str) -> str:
    """`192.0.2.7:5000` and `[2001:db8::7]:5000` as some proxies write them, without the port."""
    host, _, port = text.rpartition(":")
    if text.startswith("["):
        return text.removeprefix("[").partition("]")[0]
    return host if port.isdecimal() and ":" not in host else text
