"""Opening what a site says about identity. Fails closed: a service without a way of telling does not start."""

from collections.abc import Callable
from datetime import datetime

from fielded.definition.serving import Oidc, Proxy
from fielded.definition.site import Site
from fielded.words.errors import WrongUse
from fielded.world.identity.development import DevelopmentAuthenticator
from fielded.world.identity.key_sets import KeySource
from fielded.world.identity.oidc import OidcAuthenticator
from fielded.world.identity.proxy import ProxyAuthenticator
from fielded.world.identity.several import SeveralAuthenticators
from fielded.world.secrets import resolve_secret

MIN_SECRET = 16  # characters

STATIC_TOKEN = (
    "A STATIC TOKEN WITH EVERY ROLE IS ACCEPTED (identity.development_token): "  # noqa: S105 - says that there is one
    "this is a development site and must not be reachable by anybody else"
)


def open_authenticator(site: Site, clock: Callable[[], datetime]) -> SeveralAuthenticators:
    """Every way of telling who calls that `site` has; reads the provider's keys. `notices` are to be shown.

    Raises:
        WrongUse: no way at all, a static token in production, or a secret or key file that is not there.
    """
    identity, production = site.identity, site.environment == "production"
    if production and identity.development_token is not None:
        raise WrongUse(
            "identity.development_token: got a static token in a production site, expected none. "
            "Take it out and set identity.oidc or identity.proxy"
        )
    if identity.oidc is None and identity.proxy is None and identity.development_token is None:
        step = "Set identity.oidc or identity.proxy in site.yaml"
        if not production:
            step += ", or for development identity.development_token: env:NAME, with a token of your own in NAME"
        raise WrongUse(f"identity: got no way of telling who calls, expected one at least. {step}")
    development = None
    if identity.development_token is not None:
        development = DevelopmentAuthenticator(_secret("identity.development_token", identity.development_token))
    return SeveralAuthenticators(
        proxy=None if identity.proxy is None else _open_proxy(identity.proxy),
        oidc=None if identity.oidc is None else _open_oidc(identity.oidc, clock),
        development=development,
        notices=() if development is None else (STATIC_TOKEN,),
    )


def _open_oidc(settings: Oidc, clock: Callable[[], datetime]) -> OidcAuthenticator:
    source = KeySource(
        settings.jwks,
        refresh_seconds=settings.refresh_seconds,
        keep_seconds=settings.keep_keys_seconds,
        clock=clock,
    )
    source.read_first()
    return OidcAuthenticator(settings, source, clock)


def _open_proxy(settings: Proxy) -> ProxyAuthenticator:
    return ProxyAuthenticator(settings, _secret("identity.proxy.secret", settings.secret))


def _secret(field: str, reference: str) -> str:
    """A secret that can travel in a header and is not guessed."""
    secret = resolve_secret(reference)
    if len(secret) < MIN_SECRET or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise WrongUse(
            f"{field}: got a secret in {reference} that is too short or has other characters, expected at least "
            f"{MIN_SECRET} printable ASCII characters without spaces. Make one with `openssl rand -hex 32`"
        )
    return secret
