"""Evidence that the API takes only what the definition allows (SI-10), and tells no more than it must of errors
(SI-11).

1. A request that fits is scored.
2. Of every feature: a value of another type, one outside its range or its values, none where one is needed, and
   one that is no number are refused with 422, and the field is named. So are unknown fields, a missing subject,
   and what is no JSON.
3. What is refused leaves no row.
4. No answer to any of it, nor to a wrong path, method, credential or kind of body, shows what was sent, a stack,
   a path or a name of this machine; each is a problem (RFC 9457) with a request id to look for in the log.
5. In batch a row that breaks the definition's rules is set aside with its reason, and not scored.
"""

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.rules import Rules
from fielded.definition.deployment import Feature
from fielded.services.drain import drain
from fielded.services.evidence.collect import Answer, Bench
from fielded.services.evidence.controls.scratch_api import ScratchApi, scratch_api

CANARY = "canary-7f3a9c"  # stands in what is sent; no answer may show it
_REPORT = "Do not serve the API here before this is understood. Report it to those who maintain fielded"
_TOO_LONG = 200  # canaries in a row: more characters than a subject or a category may have
_TRACES = ("Traceback (most recent call last)", 'File "', ".py", "Exception", "site-packages", "0x7f")
_PROBLEM = "application/problem+json"
_FIT, _UNFIT = 200, 422

Bodies = Mapping[str, bytes]


def look_at_input(bench: Bench) -> Found:
    """Rules 1, 2, 3 and 5.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    with scratch_api(bench) as scratch:
        good = scratch.ask(("score",), "POST", "/score", json=scratch.body()).status
        bad = malformed(scratch)
        answers = {what: _sent(scratch, body) for what, body in bad.items()}
        rows = _rows(scratch)
        aside = _set_aside(scratch)
    taken = [what for what, answer in answers.items() if answer.status != _UNFIT]
    unnamed = [what for what, answer in answers.items() if answer.status == _UNFIT and not _names_a_field(answer)]
    checks = (
        Check.of(
            "what fits the definition is scored",
            good == _FIT,
            got=f"status {good}",
            expected="status 200",
            step=_REPORT,
        ),
        Check.of(
            "what does not fit is refused",
            not taken and bool(answers),
            got=f"not so: {', '.join(taken[:3])}" if taken else "422 for each",
            expected="422 for each",
            step=_REPORT,
            negative=True,
        ),
        Check.of(
            "a refusal names the field",
            not unnamed,
            got=f"not named: {', '.join(unnamed[:3])}" if unnamed else "named in each",
            expected="a field or the body named in each",
            step=_REPORT,
        ),
        Check.of(
            "what was refused left no row",
            rows == 0,
            got=f"{rows} rows",
            expected="none",
            step=_REPORT,
            negative=True,
        ),
        Check.of(
            "in batch a row that breaks a rule is set aside",
            aside,
            got="set aside" if aside else "scored",
            expected="set aside, with the rule that it breaks",
            step=_REPORT,
            negative=True,
        ),
    )
    facts = {"sent": len(answers), "refused": len(answers) - len(taken), "kinds": list(answers)}
    return Found(checks, facts)


def look_at_errors(bench: Bench) -> Found:
    """Rule 4.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    with scratch_api(bench) as scratch:
        answers = {what: _sent(scratch, body) for what, body in malformed(scratch).items()}
        answers |= dict(_others(scratch))
        secrets = _of_this_machine(scratch)
    failed = {what: answer for what, answer in answers.items() if answer.status >= 400}  # noqa: PLR2004 - errors
    shown = [what for what, answer in failed.items() if any(word in answer.text for word in (CANARY, *secrets))]
    traced = [what for what, answer in failed.items() if any(word in answer.text for word in _TRACES)]
    plain = [what for what, answer in failed.items() if not _is_problem(answer)]
    faults = [what for what, answer in answers.items() if answer.status == 500]  # noqa: PLR2004 - a fault
    checks = (
        _none("no answer shows what was sent, or names of this machine", shown),
        _none("no answer shows a stack or an exception", traced),
        _none("every refusal is a problem with a request id", plain, negative=False),
        _none("nothing that was sent made the service fail", faults),
        Check.of(
            "refusals were seen", bool(failed), got=f"{len(failed)} answers", expected="at least one", step=_REPORT
        ),
    )
    facts = {
        "answers": len(failed),
        "statuses": sorted({answer.status for answer in failed.values()}),
        "kinds": list(failed),
    }
    return Found(checks, facts)


def _none(name: str, wrong: list[str], *, negative: bool = True) -> Check:
    got = f"not so: {', '.join(wrong[:3])}" if wrong else "none otherwise"
    return Check.of(name, not wrong, got=got, expected="so for every answer", step=_REPORT, negative=negative)


def malformed(scratch: ScratchApi) -> dict[str, bytes]:
    """Rule 2: what is wrong -> body. Each has the canary in it where there is a place for one."""
    whole = scratch.body()
    bodies: dict[str, Any] = {
        "an unknown field": {**whole, "admin": CANARY},
        "an unknown feature": {**whole, "features": {**scratch.features, "unknown": CANARY}},
        "no subject": {"features": whole["features"]},
        "no features": {"subject": whole["subject"]},
        "a subject that is too long": {**whole, "subject": CANARY * _TOO_LONG},
        "a subject with a line end": {**whole, "subject": f"{CANARY}\nINFO all is well"},
        "a subject that is a number": {**whole, "subject": 7},
        "a list instead of an object": [CANARY],
        "a text instead of an object": CANARY,
    }
    for name, rule in scratch.workplace.deployment.features.items():
        for what, value in _wrong_values(rule):
            bodies[f"{name}: {what}"] = scratch.body(**{name: value})
        bodies[f"{name}: left out"] = {
            **whole,
            "features": {key: value for key, value in scratch.features.items() if key != name},
        }
    encoded = {what: json.dumps(body).encode() for what, body in bodies.items()}
    return {
        **encoded,
        "no JSON": f"{{{CANARY}".encode(),
        "an empty body": b"",
        "bytes that are no UTF-8": b'{"subject": "\xff\xfe"}',
        "nested deep": b"[" * 50_000 + b"]" * 50_000,
    }


def _wrong_values(rule: Feature) -> Iterator[tuple[str, Any]]:
    """Values that a feature's rule forbids."""
    yield "an object", {"$ne": CANARY}
    yield "a list", [CANARY]
    if not rule.nullable:
        yield "nothing", None
    if rule.type == "category":
        yield "a number", 7
        yield "too long", CANARY * _TOO_LONG
        if rule.values and rule.unseen == "quarantine":
            yield "not one of its values", CANARY
        return
    yield "a text", CANARY
    if rule.type != "bool":
        yield "no number", float("nan")
        yield "infinite", float("inf")
        if rule.min is not None:
            yield "too small", rule.min - 1
        if rule.max is not None:
            yield "too large", rule.max + 1


def _sent(scratch: ScratchApi, body: bytes) -> Answer:
    headers = {**scratch.provider.headers("prober", ("score",)), "Content-Type": "application/json"}
    return scratch.door.ask("POST", "/score", body=body, headers=headers)


def _others(scratch: ScratchApi) -> Iterator[tuple[str, Answer]]:
    """Requests that are wrong in other ways than their body."""
    good = scratch.provider.headers("prober", ("score",))
    yield "a path that is none", scratch.door.ask("GET", f"/{CANARY}", headers=good)
    yield "a path that leaves the tree", scratch.door.ask("GET", "/../../etc/passwd", headers=good)
    yield "a method that is none", scratch.door.ask("DELETE", "/score", headers=good)
    yield "no credentials", scratch.door.ask("POST", "/score", json={"subject": CANARY})
    yield "a made-up token", scratch.door.ask("POST", "/score", headers={"Authorization": f"Bearer {CANARY}"})
    yield "no role", scratch.ask((), "POST", "/score", json={"subject": CANARY})
    yield (
        "another kind of body",
        scratch.door.ask("POST", "/score", body=CANARY.encode(), headers={**good, "Content-Type": "text/plain"}),
    )
    most = scratch.workplace.site.api.max_body_bytes
    yield (
        "a body that is too large",
        scratch.door.ask(
            "POST", "/score", body=b" " * (most + 1), headers={**good, "Content-Type": "application/json"}
        ),
    )
    yield "a case that is none", scratch.ask(("review",), "GET", f"/review/cases/{CANARY}")
    yield "another model", scratch.ask(("score",), "GET", f"/v2/models/{CANARY}")


def _of_this_machine(scratch: ScratchApi) -> tuple[str, ...]:
    """What would tell a caller of the inside: folders, the host's and the user's names."""
    home = os.path.expanduser("~")  # noqa: PTH111 - the text, as a trace would have it
    known = {str(scratch.journal.parent), sys.prefix, socket.gethostname(), home}
    return tuple(sorted(word for word in known if len(word) > 3))  # noqa: PLR2004 - short ones occur by chance


def _names_a_field(answer: Answer) -> bool:
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    detail = answer.body.get("detail", "") if isinstance(answer.body, dict) else ""
    return bool(errors) or "JSON" in detail


def _is_problem(answer: Answer) -> bool:
    """RFC 9457, and in `instance` the request's id, as the log has it."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    named = isinstance(answer.body, dict) and str(answer.body.get("instance", "")).startswith("urn:uuid:")
    return kind == _PROBLEM and named


def _rows(scratch: ScratchApi) -> int:
    """Rows beside the one that fits."""
    drain(scratch.workplace)
    table = scratch.workplace.tables.open(scratch.workplace.ledger.predictions)
    return int(table.to_pyarrow_dataset().count_rows()) - 1


def _set_aside(scratch: ScratchApi) -> bool:
    """Rule 5: the subject twice, which no batch takes, whatever its features are."""
    deployment = scratch.workplace.deployment
    values = {
        deployment.subject: ["twice", "twice"],
        **{key: [value] * 2 for key, value in scratch.features.items()},
    }
    batch = pa.RecordBatch.from_pydict(values)
    rules = Rules(deployment.subject, deployment.features, pa.array(["twice"], pa.string()))
    outcome = rules.apply(batch)
    return bool(outcome.features.num_rows == 0 and outcome.quarantined.num_rows == batch.num_rows)


INPUT: Collector[Bench] = Collector(
    id="input-validation",
    title="What does not fit the definition is refused, field by field",
    look=look_at_input,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
ERRORS: Collector[Bench] = Collector(
    id="error-handling",
    title="What errors tell, and what they do not",
    look=look_at_errors,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
