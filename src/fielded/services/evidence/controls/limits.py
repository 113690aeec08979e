"""Evidence that nobody can take the API from everybody else (SC-5).

1. The site's limits: of a body, of the rows of a request, of requests and rows at once, and of requests of one
   identity in a minute. The last is off where the site says nothing; then it is up to what stands before the API.
2. On a scratch site each limit is set low and exceeded: the answer says so, and when to come again; nothing
   beyond it is scored.
3. Who is beyond a limit keeps nobody else out, and the service is as ready afterwards as before.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.definition.serving import Api
from fielded.services.evidence.collect import Answer, Bench
from fielded.services.evidence.controls.scratch_api import ScratchApi, scratch_api

_RATE, _ROWS, _BODY = 3, 2, 4096  # a minute; of a request; bytes
_REPORT = "Do not serve the API here before this is understood. Report it to those who maintain fielded"
_DONE, _TOO_LARGE, _NO_FIT, _TOO_MANY, _BUSY = 200, 413, 422, 429, 503


def look(bench: Bench) -> Found:
    """Rules 2 and 3.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    site = bench.workplace.site.api
    low = replace(site, rate_per_minute=_RATE, max_batch_rows=_ROWS, max_body_bytes=_BODY, max_waiting_rows=_ROWS)
    with scratch_api(bench, low) as scratch:
        checks = tuple(_exceeded(scratch))
    limits = {one.name: getattr(site, one.name) for one in fields(Api) if one.name.startswith(("max_", "rate_"))}
    return Found(checks, {"limits": limits, "tried": sum(check.negative for check in checks)})


def look_at_rate(bench: Bench) -> Found:
    """Rule 1."""
    api = bench.workplace.site.api
    return Found((_limited(api),), {"rate_per_minute": api.rate_per_minute, "workers": api.workers})


def _limited(api: Api) -> Check:
    """Rule 1."""
    name, expected = "requests of one identity are limited", "api.rate_per_minute above zero"
    step = "Set api.rate_per_minute in site.yaml, or name who limits it under `shared` of a platform"
    if api.rate_per_minute:
        return Check.of(name, True, got=f"{api.rate_per_minute} a minute in one worker", expected=expected)
    return Check.missing(name, why="no limit here; what stands before the API is not seen", expected=expected,
                         step=step)  # fmt: skip


def _exceeded(scratch: ScratchApi) -> Iterator[Check]:
    """Rules 2 and 3. The identities differ, for each has its rate."""
    json_type = {"Content-Type": "application/json"}
    heavy = {**scratch.provider.headers("heavy", ("score",)), **json_type}
    large = scratch.door.ask("POST", "/score", body=b" " * (_BODY + 1), headers=heavy)
    yield _refused("a body beyond the limit is refused", large, (_TOO_LARGE,))
    rows = [scratch.body() for _ in range(_ROWS + 1)]
    many = scratch.ask(("score",), "POST", "/score/batch", json={"rows": rows}, subject="many")
    yield _refused("rows beyond the limit are refused", many, (_NO_FIT, _TOO_LARGE, _BUSY))
    eager = [
        scratch.ask(("score",), "POST", "/score", json=scratch.body(), subject="eager") for _ in range(_RATE + 1)
    ]
    let_in = [answer.status for answer in eager[:_RATE]]
    yield Check.of(
        "within the rate nobody is refused", let_in == [_DONE] * _RATE,
        got=f"statuses {', '.join(str(status) for status in let_in)}", expected="a score for each", step=_REPORT,
    )  # fmt: skip
    yield _refused("a request beyond the rate is refused", eager[-1], (_TOO_MANY,))
    again = eager[-1].headers.get("retry-after", "")
    yield Check.of(
        "it is told when to come again", again.isdigit() and int(again) > 0,
        got="seconds to wait" if again else "nothing", expected="Retry-After, in seconds", step=_REPORT,
    )  # fmt: skip
    other = scratch.ask(("score",), "POST", "/score", json=scratch.body(), subject="patient")
    ready = scratch.door.ask("GET", "/health/ready")
    yield Check.of(
        "nobody else is kept out", (other.status, ready.status) == (_DONE, _DONE),
        got=f"status {other.status} for another identity, {ready.status} of its health", expected="200 for both",
        step=_REPORT,
    )  # fmt: skip


def _refused(name: str, answer: Answer, expected: tuple[int, ...]) -> Check:
    told = " or ".join(str(status) for status in expected)
    return Check.of(
        name, answer.status in expected, got=f"status {answer.status}", expected=f"status {told}", step=_REPORT,
        negative=True,
    )  # fmt: skip


COLLECTOR: Collector[Bench] = Collector(
    id="resource-limits",
    title="Each limit of the API exceeded on purpose",
    look=look,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
RATE: Collector[Bench] = Collector(
    id="rate-limit",
    title="How many requests one identity may send",
    look=look_at_rate,
    holds_for=timedelta(days=30),
    expected="a limit in site.yaml",
)
