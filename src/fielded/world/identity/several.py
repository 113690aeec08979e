"""Every way of telling who calls that a site has, tried by what a request brings.

1. A header that only the proxy may send: the request is the proxy's, or it is refused.
2. A certificate and an Authorization field in one request name two callers: refused.
3. A bearer token: the static one of a development site, else the provider's.

Nothing falls back: a bad token is not made up for by another way.
"""

from collections.abc import Sequence
from dataclasses import replace

from fielded.world.identity.bearer import bearer_token
from fielded.world.identity.development import DevelopmentAuthenticator
from fielded.world.identity.oidc import OidcAuthenticator
from fielded.world.identity.port import Caller, Credentials, Unauthenticated
from fielded.world.identity.proxy import ProxyAuthenticator


class SeveralAuthenticators:
    """Those of one site.

    Attributes:
        notices: what must be said loudly when the service starts; empty at a production site.
    """

    def __init__(
        self,
        *,
        proxy: ProxyAuthenticator | None = None,
        oidc: OidcAuthenticator | None = None,
        development: DevelopmentAuthenticator | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.notices = tuple(notices)
        self._proxy = proxy
        self._oidc = oidc
        self._development = development

    def authenticate(self, credentials: Credentials) -> Caller:
        """The caller; see the port."""
        if self._proxy is None or not self._proxy.speaks_in(credentials):
            return self._by_token(credentials)
        self._proxy.check_sender(credentials)
        authorized = "authorization" in credentials.headers
        if self._proxy.presents(credentials):
            if authorized:
                raise Unauthenticated("malformed")
            return self._proxy.authenticate(credentials)
        if not authorized:
            raise Unauthenticated("certificate")
        return replace(self._by_token(credentials), client_address=self._proxy.client_address(credentials))

    def refresh(self, *, force: bool = False) -> bool:
        """Read the provider's keys again; see the port."""
        return self._oidc is not None and self._oidc.refresh(force=force)

    def held_keys(self) -> int | None:
        """Keys of the provider; see the port."""
        return None if self._oidc is None else self._oidc.held_keys()

    def _by_token(self, credentials: Credentials) -> Caller:
        token = bearer_token(credentials)
        if token is None:
            raise Unauthenticated("missing")
        if self._development is not None and (self._oidc is None or self._development.knows(token)):
            return self._development.authenticate(credentials)
        if self._oidc is None:
            raise Unauthenticated("malformed")  # this site takes certificates only
        return self._oidc.authenticate(credentials)
