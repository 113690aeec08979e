"""Evidence that callers are who they say they are (IA-2, IA-8, IA-5), and what becomes of failed attempts (AC-7).

1. The site believes a provider of tokens, or certificates that a proxy checks; no static token in production.
2. On a scratch site a good token is believed, and its subject is who the row names, whatever the body says.
3. Each way to forge a token is refused; so is a token of another issuer or for another audience: who is not of the
   organization's provider is nobody here (IA-8).
4. Every refused attempt is counted by its reason, where a SIEM can alarm on it, and keeps nobody else out.
   Passwords there are none here: who locks an account after too many attempts is the provider, and that is not
   seen here (AC-7).
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.drain import drain
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.access import configured
from fielded.services.evidence.controls.scratch_api import ScratchApi, scratch_api
from fielded.world.lookup import find_rows
from fielded.world.workplace import Workplace

_REPORT = "Do not serve the API here before this is understood. Report it to those who maintain fielded"
_COUNTED = re.compile(r"^fielded_refusals_total\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)
_ATTEMPTS = 5  # with a made-up token, that have to be counted


def look(bench: Bench) -> Found:
    """Rules 2 and 3.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    with scratch_api(bench) as scratch:
        checks = list(_believed(scratch))
        statuses = {
            what: scratch.door.ask(
                "POST", "/score", json=scratch.body(), headers={"Authorization": f"Bearer {token}"}
            ).status
            for what, token in scratch.provider.forgeries()
        }
    let_in = [what for what, status in statuses.items() if status != 401]  # noqa: PLR2004 - unauthorized
    checks.append(
        Check.of(
            "every forged token is refused",
            not let_in and bool(statuses),
            got=f"let in: {', '.join(let_in)}" if let_in else "401 for each",
            expected="401 for each",
            step=_REPORT,
            negative=True,
        )
    )
    facts = {
        "forgeries": list(statuses),
        "refused": len(statuses) - len(let_in),
        "tried": len(statuses),
    }
    return Found(tuple(checks), facts)


def look_at_identity(bench: Bench) -> Found:
    """Rule 1."""
    workplace = bench.workplace
    checks = (*configured(workplace), _not_static(workplace))
    return Found(checks, {"methods": _methods(workplace), "algorithms": _algorithms(workplace)})


def _methods(workplace: Workplace) -> list[str]:
    identity = workplace.site.identity
    told = {
        "oidc": "tokens of an OpenID Connect provider",
        "proxy": "certificates (CAC or PIV) that a trusted proxy checks",
        "development_token": "a static token of a development site",
    }
    return [words for name, words in told.items() if getattr(identity, name) is not None]


def _algorithms(workplace: Workplace) -> list[str]:
    oidc = workplace.site.identity.oidc
    return [] if oidc is None else list(oidc.algorithms)


def _not_static(workplace: Workplace) -> Check:
    """Rule 1. In a development site it is said, and not held against it: production refuses such a site at all."""
    identity, environment = workplace.site.identity, workplace.site.environment
    only = identity.development_token is not None and identity.oidc is None and identity.proxy is None
    name, expected = (
        "callers are persons and services, each known by name",
        "tokens of a provider, or certificates",
    )
    step = "Set identity.oidc or identity.proxy in site.yaml, and take development_token out"
    if only:
        return Check.missing(name, why=f"a static token, in a {environment} site", expected=expected, step=step)
    return Check.of(
        name,
        identity.oidc is not None or identity.proxy is not None,
        got=", ".join(_methods(workplace)) or "no identity",
        expected=expected,
        step=step,
    )


def _believed(scratch: ScratchApi) -> Iterator[Check]:
    """Rule 2."""
    body = scratch.body()
    answer = scratch.ask(("score",), "POST", "/score", json=body, subject="prober.7")
    yield Check.of(
        "a good token is believed",
        answer.status == 200,  # noqa: PLR2004 - done
        got=f"status {answer.status}",
        expected="status 200 and a score",
        step=_REPORT,
    )
    claimed = scratch.ask(
        ("score",), "POST", "/score", json={**scratch.body(), "requested_by": "oidc:admiral"}, subject="prober.7"
    )
    yield Check.of(
        "a body cannot say who asks",
        claimed.status == 422,  # noqa: PLR2004 - does not fit the definition
        got=f"status {claimed.status}",
        expected="status 422",
        step=_REPORT,
        negative=True,
    )
    drain(scratch.workplace)
    table = scratch.workplace.tables.open(scratch.workplace.ledger.predictions)
    who = [row["requested_by"] for row in find_rows(table, "subject", body["subject"])]
    yield Check.of(
        "the row names the token's subject",
        who == ["oidc:prober.7"],
        got="the token's subject" if who == ["oidc:prober.7"] else f"{len(who)} rows, or another name",
        expected="one row, of the token's subject",
        step=_REPORT,
    )


def look_at_failures(bench: Bench) -> Found:
    """Rule 4.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    name = "failed attempts are counted by their reason"
    with scratch_api(bench) as scratch:
        before = _refusals(scratch)
        for _ in range(_ATTEMPTS):
            scratch.door.ask("POST", "/score", json={}, headers={"Authorization": "Bearer made-up"})
        after = _refusals(scratch)
        good = scratch.ask(("score",), "POST", "/score", json=scratch.body()).status
    counted = int(after - before)
    checks = (
        Check.of(
            name,
            counted == _ATTEMPTS,
            got=f"{counted} of {_ATTEMPTS} counted",
            expected="all of them",
            step=_REPORT,
        ),
        Check.of(
            "they keep nobody else out",
            good == 200,  # noqa: PLR2004 - done
            got=f"status {good} for a good token",
            expected="status 200",
            step=_REPORT,
        ),
    )
    return Found(checks, {"attempts": _ATTEMPTS, "counted": counted})


def look_at_lockout(bench: Bench) -> Found:
    """Rule 5: whoever authenticates people is named, and never taken for evidence."""
    methods = _methods(bench.workplace)
    check = Check.missing(
        "an account is locked after too many failed attempts",
        why=f"fielded has no passwords; callers are known by {' and '.join(methods) or 'nothing yet'}",
        expected="evidence of who authenticates people",
        step="Name who does at a platform or in the organization, and ask them for their evidence of AC-7",
    )
    return Found((check,), {"methods": methods})


def _refusals(scratch: ScratchApi) -> float:
    """How many requests were refused as unknown so far, by the API's own metrics."""
    text = scratch.door.ask("GET", "/metrics").text
    return sum(float(count) for labels, count in _COUNTED.findall(text) if 'status="401"' in labels)


COLLECTOR: Collector[Bench] = Collector(
    id="identification",
    title="A good token is believed, and every way to forge one is refused",
    look=look,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
FAILURES: Collector[Bench] = Collector(
    id="logon-failures",
    title="Failed attempts to be let in are counted",
    look=look_at_failures,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
IDENTITY: Collector[Bench] = Collector(
    id="identity",
    title="How callers are known at this site",
    look=look_at_identity,
    holds_for=timedelta(days=30),
    expected="an identity in site.yaml",
)
LOCKOUT: Collector[Bench] = Collector(
    id="account-lockout",
    title="Who locks accounts",
    look=look_at_lockout,
    holds_for=timedelta(days=30),
    expected="evidence of who authenticates people",
)
