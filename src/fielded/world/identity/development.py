"""A static token with every role: for a development site, which says so loudly, and nowhere else."""

import hmac

from fielded.definition.serving import ROLES
from fielded.world.identity.bearer import bearer_token
from fielded.world.identity.port import Caller, Credentials, Unauthenticated


class DevelopmentAuthenticator:
    """Knows one token. Whoever opens it has made sure that the site is a development site."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def authenticate(self, credentials: Credentials) -> Caller:
        """The developer; see the port."""
        token = bearer_token(credentials)
        if token is None:
            raise Unauthenticated("missing")
        if not self.knows(token):
            raise Unauthenticated("token")
        return Caller("development", ROLES, credentials.peer, "development token")

    def refresh(self, *, force: bool = False) -> bool:  # noqa: ARG002 - the port's
        """There is nothing to read."""
        return False

    def held_keys(self) -> int | None:
        """There are none to hold."""
        return None

    def knows(self, token: str) -> bool:
        """Whether it is the token, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(token.encode(), self._token)
