"""Ask a server which TLS it speaks, and whether it speaks without."""

import socket
import ssl
import warnings
from dataclasses import dataclass
from typing import Literal

_SECONDS = 3.0
_PLAIN = b"GET /health/live HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"

Old = Literal["refused", "spoken", "cannot be asked"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a server speaks.

    Attributes:
        version: of TLS, as it was agreed on; empty where none was.
        cipher: likewise.
        old: whether it speaks TLS before 1.2; this machine's own library may not let us ask.
        plain: whether it answers without TLS.
    """

    version: str
    cipher: str
    old: Old
    plain: bool


def spoken(host: str, port: int) -> Spoken | None:
    """What is spoken at an address; None where nobody answers.

    The certificate is not checked: whose it is, is the callers' question. What is asked here is what is spoken.
    """
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError:
        return None
    agreed = _handshake(host, port, _context(ssl.TLSVersion.TLSv1_2))
    return Spoken(
        version=agreed[0] if agreed else "",
        cipher=agreed[1] if agreed else "",
        old=_old(host, port),
        plain=_plain(host, port),
    )


def _context(least: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = least
    return context


def _handshake(host: str, port: int, context: ssl.SSLContext) -> tuple[str, str] | None:
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            cipher = secured.cipher()
            return secured.version() or "", cipher[0] if cipher else ""
    except (OSError, ssl.SSLError):
        return None


def _old(host: str, port: int) -> Old:
    """TLS 1.1 and before, with every cipher that this machine's library still has."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is why it is asked for
            context = _context(ssl.TLSVersion.TLSv1)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    except (ValueError, ssl.SSLError):
        return "cannot be asked"
    return "refused" if _handshake(host, port, context) is None else "spoken"


def _plain(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _SECONDS) as connection:
            connection.settimeout(_SECONDS)
            connection.sendall(_PLAIN)
            return connection.recv(16).startswith(b"HTTP/1.1 2")
    except OSError:
        return False
