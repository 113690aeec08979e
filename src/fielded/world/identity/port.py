"""Who is calling the API: what every way of telling has in common.

Controls: IA-2 and IA-8 (identification and authentication), AU-10 (non-repudiation): the identity goes into the
row, and nothing in a request's body can set it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from fielded.definition.serving import Role
from fielded.words.errors import Refused

# `process`: by the operating system, of who runs this very process and asks it itself (`doors.serving.probing`).
Method = Literal["oidc", "certificate", "development token", "process"]

# Why somebody was not let in. Few and fixed: they are counted, and a SIEM alarms on them.
Reason = Literal[
    "missing",  # no credentials at all
    "malformed",  # not a token, or a header that cannot be read
    "algorithm",  # `none`, a symmetric one, or one that the site does not list
    "unknown_key",  # signed by a key that the provider does not publish
    "signature",
    "issuer",
    "audience",
    "expired",
    "not_yet_valid",
    "claims",  # a claim that is needed is missing or of another type
    "proxy",  # certificate headers from somebody who is not the trusted proxy
    "certificate",  # the proxy did not verify one
    "token",  # a static token that is not the site's
]


class Unauthenticated(Refused):
    """No credentials, or not good ones: 401.

    Attributes:
        reason: why, for the counter and the log. The caller is told no more than that it failed.
    """

    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(f"credentials: got none that are accepted ({reason}), expected a valid token")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings.

    Attributes:
        headers: lower-case name -> every value, in the order sent.
        peer: address of the other end of the connection.
    """

    headers: Mapping[str, tuple[str, ...]]
    peer: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known.

    Attributes:
        name: authenticated identity, as it goes into the row: `oidc:<sub>`, `cert:<subject>`, `development`.
        roles: what they may do.
        client_address: where the request came from, as far as that can be believed.
        method: how they were known.
    """

    name: str
    roles: frozenset[Role]
    client_address: str
    method: Method


class Authenticator(Protocol):
    """One way, or several, of telling who calls."""

    def authenticate(self, credentials: Credentials) -> Caller:
        """The caller. Does no I/O: it is called on the event loop.

        Raises:
            Unauthenticated: with its reason; `unknown_key` where `refresh` might help.
        """

    def refresh(self, *, force: bool = False) -> bool:
        """Read keys again where they are old, or `force` asks for it and the last time is not too recent.

        Blocks; called from a thread. A source that does not answer leaves the keys that are held.

        Returns:
            Whether it is worth trying again: keys were read by this call, or with `force` so shortly before it
            that they are as new.
        """

    def held_keys(self) -> int | None:
        """How many keys can check tokens now; None where no provider publishes any."""
