"""Identification and authentication."""

from fielded.decisions.ato.implementations.implementation import Implementation, does, implement, seen

_ID = "identification"
_CODE = ("world/identity/oidc.py", "world/identity/proxy.py", "world/identity/port.py", "doors/serving/guard.py")
_TESTS = (
    "services/evidence/test_controls_api.py",
    "world/identity/test_tokens.py",
    "world/identity/test_proxy.py",
)

IMPLEMENTATIONS: tuple[Implementation, ...] = (
    implement(
        "ia-2",
        does(
            "A caller of the API is known by a token of the organization's provider, whose signature, issuer, "
            "audience and times are checked, or by a certificate that a trusted proxy has checked; nobody else "
            "is let in.",
            _ID,
        ),
        seen(
            "{refused} of {tried} forged tokens were refused.",
            refused=f"{_ID}#/facts/refused",
            tried=f"{_ID}#/facts/tried",
        ),
        evidence=(_ID, "identity"),
        code=_CODE,
        tests=_TESTS,
        examine=("site.yaml, `identity`",),
        interview=("who keeps the identity provider",),
        left="Authenticating people (CAC or PIV, several factors) at the provider or the proxy, and at the "
        "host's command line",
    ),
    implement(
        "ia-5",
        does(
            "Secrets of the site are references to an environment variable, a file or a secrets manager, never "
            "values, and files of the deployment are scanned for such.",
            "credentials",
        ),
        evidence=("credentials", "keys"),
        code=("world/secrets.py", "definition/serving.py", "services/evidence/credentials.py"),
        tests=("world/test_secrets.py", "world/test_keys.py"),
        examine=("site.yaml: every secret is a reference",),
        interview=("who keeps the secrets manager",),
        left="Issuing, changing and revoking authenticators of people at the identity provider",
    ),
    implement(
        "ia-8",
        does(
            "A token of another issuer or for another audience is refused like any forged one; a certificate "
            "counts only from the trusted proxy.",
            _ID,
        ),
        seen("The site knows callers by: {methods}.", methods="identity#/facts/methods"),
        evidence=(_ID, "identity"),
        code=_CODE,
        tests=_TESTS,
        examine=("site.yaml, `identity.oidc.issuer` and `audience`",),
        interview=("who keeps the identity provider",),
        left="Whether the provider issues tokens to people outside the organization, and how it knows them",
    ),
)
