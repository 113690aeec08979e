"""Evidence of what happens when the audit log cannot be written (AU-5).

1. Somebody is told: the site names whom an alarm reaches.
2. On a scratch site, with the journal gone, the API gives no score and says 503, and when to come again; its
   metrics count it, so that whoever watches them is told. Nobody is told a score that is on no record.
3. With the journal back it scores again, and what was refused meanwhile is on no record.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.services.drain import drain
from fielded.services.evidence.collect import Answer, Bench
from fielded.services.evidence.controls.scratch_api import ScratchApi, scratch_api
from fielded.world.lookup import find_rows
from fielded.world.workplace import Workplace

_REPORT = "Do not serve the API here: it may answer what is on no record. Report it to those who maintain fielded"
_DONE, _UNAVAILABLE = 200, 503
_TRIES = 20  # until the journal is open again: it pauses between two attempts


def look(bench: Bench) -> Found:
    """Rules 2 and 3.

    Raises:
        FieldedError: the scratch site cannot be made or asked.
    """
    with scratch_api(bench) as scratch:
        before, lost, after = scratch.body(), scratch.body(), scratch.body()
        first = _score(scratch, before)
        with _moved_away(scratch.journal):
            refused = _score(scratch, lost)
            counted = '"503"' in scratch.door.ask("GET", "/metrics").text
        again = _score_again(scratch, after)
        drain(scratch.workplace)
        rows = [_rows(scratch, body["subject"]) for body in (before, lost, after)]
    told = refused.headers.get("retry-after", "")
    scored = isinstance(refused.body, dict) and "score" in refused.body
    checks = (
        Check.of("with its journal the API scores", first.status == _DONE, got=f"status {first.status}",
                 expected="status 200", step=_REPORT),
        Check.of("without its journal it gives no score", refused.status == _UNAVAILABLE and not scored,
                 got=f"status {refused.status}", expected="status 503 and no score", step=_REPORT, negative=True),
        Check.of("it says when to come again", told.isdigit(), got="seconds to wait" if told else "nothing",
                 expected="Retry-After, in seconds", step=_REPORT),
        Check.of("its metrics count it", counted, got="counted" if counted else "not counted",
                 expected="a count of 503", step=_REPORT),
        Check.of("with the journal back it scores again", again.status == _DONE, got=f"status {again.status}",
                 expected="status 200", step=_REPORT),
        Check.of("what was refused is on no record, what was scored is", rows == [1, 0, 1],
                 got=f"rows: {rows[0]} before, {rows[1]} without it, {rows[2]} after",
                 expected="one before, none without it, one after", step=_REPORT, negative=True),
    )  # fmt: skip
    facts: dict[str, Any] = {"status": refused.status, "rows": rows}
    return Found(checks, facts)


def look_at_alerts(bench: Bench) -> Found:
    """Rule 1."""
    return Found((_somebody_is_told(bench.workplace),), {"told": _who_is_told(bench.workplace)})


def _who_is_told(workplace: Workplace) -> list[str]:
    notify = workplace.site.notify
    return [kind for kind in ("webhook", "mail") if getattr(notify, kind, None) is not None]


def _somebody_is_told(workplace: Workplace) -> Check:
    """Rule 1."""
    told = _who_is_told(workplace)
    name, expected = "somebody is told of a failure", "a webhook or an address in `notify`"
    step = "Set notify.webhook or notify.mail in site.yaml, and have the API's metrics alarm on 503"
    if told:
        return Check.of(name, True, got=", ".join(told), expected=expected)
    return Check.missing(name, why="nobody is named in `notify`", expected=expected, step=step)


def _score(scratch: ScratchApi, body: dict[str, Any]) -> Answer:
    return scratch.ask(("score",), "POST", "/score", json=body)


def _score_again(scratch: ScratchApi, body: dict[str, Any]) -> Answer:
    """The same subject each time: what was refused before it counts as not asked."""
    answer = _score(scratch, body)
    for _ in range(_TRIES):
        if answer.status == _DONE:
            break
        answer = _score(scratch, body)
    return answer


def _rows(scratch: ScratchApi, subject: str) -> int:
    return len(find_rows(scratch.workplace.tables.open(scratch.workplace.ledger.predictions), "subject", subject))


@contextmanager
def _moved_away(folder: Path) -> Iterator[None]:
    """The journal's folder is not where it was, for a while."""
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    try:
        yield
    finally:
        away.rename(folder)


COLLECTOR: Collector[Bench] = Collector(
    id="audit-failure",
    title="With its journal gone, the API gives no score",
    look=look,
    holds_for=timedelta(days=30),
    expected="an API that can be asked on a scratch site",
)
ALERTS: Collector[Bench] = Collector(
    id="alerts",
    title="Who is told when something fails",
    look=look_at_alerts,
    holds_for=timedelta(days=30),
    expected="somebody in site.yaml",
)
