"""Evidence of how what is sent is protected (SC-8).

1. The API speaks TLS itself, or a proxy on this machine ends it: then it listens here alone, and the proxy's part
   is not seen.
2. Where it runs, it is asked: TLS 1.2 or 1.3 is agreed on; TLS 1.1 is refused, and so is HTTP without TLS.
3. Every other connection that the site names goes over TLS, or stays on this machine: registry, journal, tables,
   provider of tokens, webhook.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.definition.serving import HERE
from fielded.definition.site import Site
from fielded.services.evidence.collect import Bench
from fielded.world.tls_probe import Spoken, spoken

_OPEN = "unprotected"
_GOOD = ("TLSv1.2", "TLSv1.3")
_ENCRYPTED_JOURNAL = ("require", "verify-ca", "verify-full")  # sslmode of PostgreSQL
_OWN = "Set api.tls_certificate and api.tls_key, or name the platform that ends TLS under `shared`"
_RUN = "Run `fielded serve`, and collect again while it runs"


def look(bench: Bench) -> Found:
    """Rules 1 and 2."""
    site = bench.workplace.site
    own = site.api.tls_certificate is not None
    found = spoken(site.api.host, site.api.port) if own else None
    checks = (_configured(site), *(_asked(found) if own else ()))
    facts: dict[str, Any] = {
        "own_tls": own,
        "version": found.version if found else "",
        "cipher": found.cipher if found else "",
    }
    return Found(checks, facts)


def look_at_connections(bench: Bench) -> Found:
    """Rule 3."""
    links = dict(_links(bench.workplace.site))
    unprotected = [what for what, how in links.items() if how == _OPEN]
    check = Check.of(
        "every other connection is protected, or stays here",
        not unprotected,
        got=", ".join(unprotected) or f"{len(links)} connections",
        expected="TLS, or this machine",
        step="Use https, sslmode=verify-full, or a path of this machine in site.yaml",
    )
    return Found((check,), {"connections": links, "count": len(links),
                            "over_tls": sum(how == "TLS" for how in links.values())})  # fmt: skip


def _configured(site: Site) -> Check:
    """Rule 1."""
    name, expected = "the API speaks TLS", "a certificate in api.tls_certificate"
    if site.api.tls_certificate is not None:
        return Check.of(name, True, got="a certificate of its own", expected=expected)
    if site.api.host not in HERE:
        return Check.of(name, False, got="no certificate, and it listens beyond this machine", expected=expected,
                        step=_OWN)  # fmt: skip
    return Check.missing(name, why="it listens on this machine alone; what is before it is not seen",
                         expected=expected, step=_OWN)  # fmt: skip


def _asked(found: Spoken | None) -> Iterator[Check]:
    """Rule 2."""
    wanted = {
        "TLS is agreed on": "TLS 1.2 or 1.3",
        "older TLS is refused": "refused",
        "HTTP without TLS is refused": "refused",
    }
    if found is None:
        for name, expected in wanted.items():
            yield Check.missing(name, why="nothing answers at the API's address", expected=expected, step=_RUN,
                                negative="refused" in name)  # fmt: skip
        return
    agreed, older, plain = wanted
    yield Check.of(agreed, found.version in _GOOD, got=found.version or "none", expected=wanted[agreed], step=_OWN)
    if found.old == "cannot be asked":
        yield Check.missing(older, why="this machine's library cannot ask for it", expected="refused", step=_RUN,
                            negative=True)  # fmt: skip
    else:
        yield Check.of(older, found.old == "refused", got=found.old, expected="refused", step=_OWN, negative=True)
    yield Check.of(plain, not found.plain, got="answered" if found.plain else "refused", expected="refused",
                   step=_OWN, negative=True)  # fmt: skip


def _links(site: Site) -> Iterator[tuple[str, str]]:
    """Connection -> `TLS`, `this machine` or `unprotected`; no host is named."""
    yield "registry", _how(site.tracking_uri)
    yield "tables", _how(site.root)
    yield "journal", _how(site.journal_url)
    identity, notify = site.identity, site.notify
    if identity.oidc is not None:
        yield "provider of tokens", _how(identity.oidc.jwks)
    if notify.webhook is not None:
        yield "webhook", _how(notify.webhook.url)


def _how(uri: str) -> str:
    parts = urlsplit(uri)
    ways: Mapping[str, str] = {"https": "TLS", "s3": "TLS", "databricks": "TLS", "file": "this machine",
                               "sqlite": "this machine", "": "this machine"}  # fmt: skip
    if parts.scheme in ways:
        return ways[parts.scheme]
    if (parts.hostname or "") in HERE:
        return "this machine"
    if parts.scheme.startswith("postgres"):
        mode = parse_qs(parts.query).get("sslmode", [""])[0]
        return "TLS" if mode in _ENCRYPTED_JOURNAL else _OPEN
    return _OPEN


COLLECTOR: Collector[Bench] = Collector(
    id="transmission",
    title="What the API speaks",
    look=look,
    holds_for=timedelta(days=30),
    expected="a site with its connections",
)
CONNECTIONS: Collector[Bench] = Collector(
    id="connections",
    title="Connections to what is not on this machine",
    look=look_at_connections,
    holds_for=timedelta(days=30),
    expected="a site with its connections",
)
