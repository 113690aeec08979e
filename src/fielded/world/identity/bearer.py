"""A bearer token as it arrives, taken apart and not yet believed.

Strict on purpose: two readers of one token must never see two different things.

1. One `Authorization` field, scheme `Bearer` in any case (RFC 6750 section 2.1, RFC 9110 section 11.1); nowhere
   else is a token looked for.
2. At most 16 KiB, looked at before anything is decoded.
3. Three parts of base64url without padding, each the only spelling of its bytes (RFC 7515 section 2). Five
   parts are an encrypted token (RFC 7516), which is not taken.
4. JSON objects with each name once (RFC 7515 section 4, RFC 7519 section 4) and no numbers that JSON lacks.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from fielded.world.identity.port import Credentials, Unauthenticated

MAX_TOKEN_BYTES = 16 * 1024

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class Compact:
    """The parts of a signed token (RFC 7515 section 7.1).

    Attributes:
        header: JOSE header, as its sender wrote it.
        payload: bytes of the claims, not yet read as JSON: nothing in them matters before the signature.
        signed: what the signature is over.
        signature: empty where somebody cut it off.
    """

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    signature: bytes


def bearer_token(credentials: Credentials) -> str | None:
    """The token in the Authorization field, or None without such a field.

    Raises:
        Unauthenticated: `malformed` for two fields, another scheme, or what is no token.
    """
    fields = credentials.headers.get("authorization", ())
    if not fields:
        return None
    scheme, _, rest = fields[0].partition(" ")
    token = rest.strip(" ")
    if len(fields) > 1 or scheme.lower() != "bearer" or len(token) > MAX_TOKEN_BYTES:
        raise Unauthenticated("malformed")
    if not _B64TOKEN.fullmatch(token):
        raise Unauthenticated("malformed")
    return token


def read_compact(token: str) -> Compact:
    """The parts of `token`.

    Raises:
        Unauthenticated: `malformed`.
    """
    match = _COMPACT.fullmatch(token)
    if match is None or len(token) > MAX_TOKEN_BYTES:
        raise Unauthenticated("malformed")
    header, payload, signature = match.groups()
    try:
        return Compact(
            header=strict_object(_decoded(header)),
            payload=_decoded(payload),
            signed=token[: match.start(3) - 1].encode("ascii"),
            signature=_decoded(signature),
        )
    except ValueError:
        raise Unauthenticated("malformed") from None


def strict_object(text: bytes) -> dict[str, Any]:
    """The object in a JSON text, at every depth with each name once.

    Raises:
        ValueError: not UTF-8, not JSON, no object, a name twice, NaN, or nested too deep to be read.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_each_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004 - what callers catch
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError("no JSON number")


def _decoded(part: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") != part:
        raise ValueError("another spelling of the same bytes")
    return decoded
