"""Evidence that the API gives everybody what their role allows, and nothing else (AC-3, AC-6).

1. The site tells callers apart: an identity is configured, and it is a provider's or a certificate's in
   production.
2. At the site's own API: who shows no credentials, made-up ones, or a certificate that no trusted proxy passed
   on, is refused.
3. On a scratch site every operation that the API describes is asked by somebody without a role, by somebody with
   each role alone, and by nobody known. Which role an operation needs is written down here too, apart from the
   API's code: where the two differ, or an operation is missing here, the check fails.
4. The API's numbers are for this machine, and from elsewhere for who has the role `audit`.
5. What is refused leaves no row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any, get_args

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.definition.serving import Role
from fielded.services.drain import drain
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.scratch_api import ScratchApi, scratch_api
from fielded.words.errors import FieldedError
from fielded.world.lookup import find_rows
from fielded.world.workplace import Workplace

_STEP = "Do not serve the API here before this is understood. Report it to those who maintain fielded"
_ELSEWHERE = "192.0.2.1"  # an address that is nobody's (RFC 5737)
_NOBODY, _NO_ROLE = "nobody known", "no role"

# Operation as the API describes itself -> the role that it needs; None is open to all.
POLICY: Mapping[str, Role | None] = {
    "POST /score": "score",
    "POST /score/batch": "score",
    "POST /v2/models/{name}/infer": "score",
    "POST /v2/models/{name}/versions/{version}/infer": "score",
    "GET /v2/models/{name}": "score",
    "GET /v2/models/{name}/versions/{version}": "score",
    "GET /v2/models/{name}/ready": None,
    "GET /v2/models/{name}/versions/{version}/ready": None,
    "GET /v2": None,
    "GET /v2/health/live": None,
    "GET /v2/health/ready": None,
    "GET /health/live": None,
    "GET /health/ready": None,
    "GET /metrics": None,
    "GET /review/cases": "review",
    "GET /review/cases/{id}": "review",
    "GET /review/stats": "review",
    **{
        f"POST /review/cases/{{id}}/{act}": "review"
        for act in ("claim", "release", "judge", "decide", "second", "reassign", "escalate", "appeal")
    },
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question of the matrix, and its answer."""

    operation: str
    by: str
    expected: str
    status: int

    @property
    def as_expected(self) -> bool:
        """Whether the status says what the policy says."""
        if self.expected == "refused as unknown":
            return self.status == 401  # noqa: PLR2004 - unauthorized
        if self.expected == "refused":
            return self.status == 403  # noqa: PLR2004 - forbidden
        return self.status not in (401, 403)

    def as_dict(self) -> dict[str, Any]:
        return {"operation": self.operation, "by": self.by, "expected": self.expected, "status": self.status}


def look(bench: Bench) -> Found:
    """Rules 1 to 5.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    checks = [*configured(bench.workplace), *_at_the_site(bench)]
    with scratch_api(bench) as scratch:
        asked, unknown = _matrix(scratch)
        numbers = [
            scratch.door.ask("GET", "/metrics", peer=_ELSEWHERE, headers=headers).status
            for headers in (
                None,
                scratch.provider.headers("scorer", ("score",)),
                scratch.provider.headers("auditor", ("audit",)),
            )
        ]
        rows = _rows_of_refused(scratch)
    wrong = [one for one in asked if not one.as_expected]
    refused = [one for one in asked if one.expected != "allowed"]
    checks += [
        Check.of(
            "every operation of the API has a role that was decided",
            not unknown,
            got=f"not decided: {', '.join(unknown)}" if unknown else "all have one",
            expected="the operations of this module's table, and no other",
            step=_STEP,
        ),
        Check.of(
            "each role is let in where it should be",
            not [one for one in wrong if one.expected == "allowed"],
            got=_told(one for one in wrong if one.expected == "allowed"),
            expected="no 401 and no 403",
            step=_STEP,
        ),
        Check.of(
            "who is not known, or has another role, is refused",
            not [one for one in refused if not one.as_expected],
            got=_told(one for one in wrong if one.expected != "allowed"),
            expected="401 for who is not known, 403 for who has another role",
            step=_STEP,
            negative=True,
        ),
        Check.of(
            "the API's numbers are not for everybody elsewhere",
            numbers == [401, 403, 200],
            got=f"statuses {', '.join(str(status) for status in numbers)}",
            expected="401 for who is not known, 403 without the role `audit`, 200 with it",
            step=_STEP,
            negative=True,
        ),
        Check.of(
            "what was refused left no row",
            rows == 0,
            got=f"{rows} rows",
            expected="none",
            step=_STEP,
            negative=True,
        ),
    ]
    facts = {
        "operations": len({one.operation for one in asked}),
        "questions": len(asked),
        "allowed": len(asked) - len(refused),
        "refused": len(refused),
        "roles": list(get_args(Role)),
        "matrix": [one.as_dict() for one in asked],
    }
    return Found(tuple(checks), facts)


def configured(workplace: Workplace) -> Iterator[Check]:
    """Rule 1."""
    identity, production = workplace.site.identity, workplace.site.environment == "production"
    kinds = [name for name in ("oidc", "proxy", "development_token") if getattr(identity, name) is not None]
    good = [kind for kind in kinds if kind != "development_token" or not production]
    yield Check.of(
        "the site tells callers apart",
        bool(good),
        got=", ".join(kinds) or "no identity",
        expected="a provider of tokens, or certificates that a proxy checks",
        step="Set identity.oidc or identity.proxy in site.yaml",
    )


def _at_the_site(bench: Bench) -> Iterator[Check]:
    """Rule 2: all of it is refused before a body is read, so nothing of the site is changed."""
    name = "the site's own API refuses who is not known"
    expected = "401 for each"
    step = "Look at `identity` in site.yaml"
    if bench.door is None:
        yield Check.missing(
            name, why="no door to ask at", expected=expected, step="Run `fielded ato collect`", negative=True
        )
        return
    attempts: dict[str, dict[str, str]] = {
        "no credentials": {},
        "a made-up token": {"Authorization": "Bearer made-up"},
        "a password": {"Authorization": "Basic YWRtaW46YWRtaW4="},
        "certificate headers from here": _certificate_headers(bench.workplace),
    }
    try:
        statuses = {
            what: bench.door.ask("POST", "/score", json={}, headers=headers, peer=_ELSEWHERE).status
            for what, headers in attempts.items()
        }
    except FieldedError as error:
        yield Check.missing(name, why=str(error), expected=expected, step=step, negative=True)
        return
    wrong = [f"{what}: {status}" for what, status in statuses.items() if status != 401]  # noqa: PLR2004 - unauthorized
    yield Check.of(
        name,
        not wrong,
        got="; ".join(wrong) or f"401 for all {len(statuses)}",
        expected=expected,
        step=step,
        negative=True,
    )


def _certificate_headers(workplace: Workplace) -> dict[str, str]:
    """What a trusted proxy sends, from somebody who is none."""
    proxy = workplace.site.identity.proxy
    subject, verified = (
        ("X-SSL-Client-S-DN", "X-SSL-Client-Verify")
        if proxy is None
        else (proxy.subject_header, proxy.verified_header)
    )
    return {subject: "CN=forger", verified: "SUCCESS" if proxy is None else proxy.verified_value}


def _matrix(scratch: ScratchApi) -> tuple[list[_Asked], list[str]]:
    """Rule 3: the questions with their answers, and operations that nobody decided about."""
    described = _described(scratch)
    unknown = sorted({*described} ^ {*POLICY})
    asked = list(chain.from_iterable(_asked(scratch, one, POLICY[one]) for one in described if one in POLICY))
    return asked, unknown


def _described(scratch: ScratchApi) -> list[str]:
    answer = scratch.door.ask("GET", "/openapi.json")
    paths = answer.body.get("paths", {}) if isinstance(answer.body, dict) else {}
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def _asked(scratch: ScratchApi, operation: str, needs: Role | None) -> Iterator[_Asked]:
    method, path = operation.split(" ")
    model = scratch.workplace.deployment.model.name
    path = path.replace("{name}", model).replace("{version}", "1").replace("{id}", "0" * 16)
    body: Any = {} if method == "POST" else None
    status = scratch.door.ask(method, path, json=body).status
    yield _Asked(operation, _NOBODY, "allowed" if needs is None else "refused as unknown", status)
    none: Sequence[Role] = ()
    for roles in (none, *((role,) for role in get_args(Role))):
        status = scratch.ask(roles, method, path, json=body, subject=f"prober-{'-'.join(roles)}").status
        expected = "allowed" if needs is None or needs in roles else "refused"
        yield _Asked(operation, roles[0] if roles else _NO_ROLE, expected, status)


def _rows_of_refused(scratch: ScratchApi) -> int:
    """Rule 5: a good request of somebody who may not score."""
    body = scratch.body()
    for roles in ((), ("review", "audit", "release")):
        scratch.ask(roles, "POST", "/score", json=body)
    scratch.door.ask("POST", "/score", json=body)
    drain(scratch.workplace)
    table = scratch.workplace.tables.find(scratch.workplace.ledger.predictions)
    return 0 if table is None else len(find_rows(table, "subject", body["subject"]))


def _told(asked: Iterator[_Asked]) -> str:
    wrong = list(asked)
    told = "; ".join(f"{one.operation} by {one.by}: {one.status}" for one in wrong[:3])
    return f"{len(wrong)} not so: {told}" if wrong else "all as decided"


COLLECTOR: Collector[Bench] = Collector(
    id="access-enforcement",
    title="Every operation of the API asked by every role, and by nobody known",
    look=look,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
