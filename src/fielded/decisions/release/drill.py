"""What a rehearsed rollback was, and whether it went as it must.

1. the previous version loads from its approved bytes and scores recorded rows to the last bit;
2. every worker of the rehearsal's API answers, with that version held ready, before anything is rolled back;
3. `fielded rollback` ends with 0, and leaves nothing undone;
4. every worker follows, and none of them ends;
5. no more seconds than the definition allows pass from the command's start until the last worker follows, and
   until the last answer by the version that was left;
6. no request fails; both versions answered while callers asked, or nothing was seen;
7. whoever asked after all workers had followed got no answer by the version that was left;
8. each answer has its row in the rehearsal's ledger, and each row its answer or its failed request;
9. that ledger's seals verify;
10. by its events the previous version is in production, and its registry agrees;
11. the API ends by itself when it is told to.

What was not come to is not enough evidence, and no pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fielded.decisions.release.acts import Pinned
from fielded.decisions.release.findings import Finding, Outcome, Verdict
from fielded.decisions.release.state import ReleaseState
from fielded.definition.release import Release

GATE = "drill"
_NEXT = "Mend it and run `fielded release drill` again"
_NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The command, as its process ended.

    Attributes:
        exit_code: None where it was ended because it took too long.
        said: first line of what it said where it failed.
        seconds: of the whole process, with moving aliases and sealing.
        followed: workers that serve what they must.
        gone: workers that ended meanwhile.
        followed_seconds: from its start until the last worker followed, as it tells; None where one did not.
        replayed: recorded rows that the version gone back to scored again, as it tells.
        not_done: what it says it could not do.
    """

    exit_code: int | None
    said: str
    seconds: float
    followed: int
    gone: int
    followed_seconds: float | None
    replayed: int
    not_done: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What callers saw.

    Attributes:
        requests: sent, all of which were waited for.
        failures: what came instead of a score -> how often.
        by_left: answers by the version that was left.
        by_now: answers by the version gone back to.
        last_by_left: seconds from the command's start to the last answer by the version that was left; 0 where
            none came after its start.
        late: of those asked after all workers had followed, answers by the version that was left.
        per_second: requests a second, over the whole load.
    """

    requests: int
    failures: Mapping[str, int]
    by_left: int
    by_now: int
    last_by_left: float
    late: int
    per_second: float

    @property
    def failed(self) -> int:
        """Requests without a score."""
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The rehearsal's ledger once its API had ended and the journals were drained.

    Attributes:
        answered_not_in_ledger: answers without a row.
        rows_not_answered: rows without an answer; a failed request may have left one.
        broken: findings of the verification of its seals.
        production: by its events.
        previous: by its events.
        alias: version that the alias of production stands on in its registry; None where it stands on none.
    """

    answered_not_in_ledger: int
    rows_not_answered: int
    broken: int
    production: Pinned | None
    previous: Pinned | None
    alias: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that a drill measured; None for what it did not come to.

    Attributes:
        left: in production when it began.
        to: the version gone back to.
        workers: processes of the rehearsal's API.
        connections: callers that asked all the while.
        way_back: why the previous version is none; empty where it loads and replays.
        replayed: recorded rows that it then scored to the last bit, alone, before the API was started.
        api: why the API was not ready; empty where it was.
        ready_seconds: until it was.
        rollback: the command.
        answers: the load.
        books: the ledger afterwards.
        stopped: exit code of the API; None where it had to be killed, or never ran.
    """

    left: Pinned
    to: Pinned
    workers: int
    connections: int
    way_back: str = ""
    replayed: int = 0
    api: str | None = None
    ready_seconds: float | None = None
    rollback: RolledBack | None = None
    answers: Answers | None = None
    books: Books | None = None
    stopped: int | None = None

    def as_details(self) -> dict[str, Any]:
        """As the event holds it, seconds to the millisecond."""
        rollback, answers = self.rollback, self.answers
        return {
            "workers": self.workers,
            "connections": self.connections,
            "replayed": self.replayed,
            "requests": None if answers is None else answers.requests,
            "failed": None if answers is None else answers.failed,
            "failures": {} if answers is None else dict(answers.failures),
            "requests_per_second": None if answers is None else round(answers.per_second, 1),
            "seconds": {
                "ready": _rounded(self.ready_seconds),
                "all_followed": None if rollback is None else _rounded(rollback.followed_seconds),
                "last_answer_by_left": None if answers is None else _rounded(answers.last_by_left),
                "command": None if rollback is None else _rounded(rollback.seconds),
            },
        }


@dataclass(frozen=True, slots=True)
class _Check:
    """One rule's question to what was measured.

    Attributes:
        item: name of the finding.
        got: what was measured; None where it was not.
        expected: what passes.
        holds: whether it does.
        numbers: behind the texts.
    """

    item: str
    got: str | None
    expected: str
    holds: bool = False
    numbers: Mapping[str, float | None] = field(default_factory=dict)

    def finding(self) -> Finding:
        outcome: Outcome = "passed" if self.holds else "failed"
        if self.got is None:
            outcome = "not enough evidence"
        return Finding(
            gate=GATE,
            item=self.item,
            outcome=outcome,
            got=_NOT_MEASURED if self.got is None else self.got,
            expected=self.expected,
            step="" if outcome == "passed" else _NEXT,
            numbers=self.numbers,
        )


def drill_verdict(measured: Measured, limit_seconds: float) -> Verdict:
    """All findings about a drill, by the rules of this module.

    Args:
        measured: what was seen.
        limit_seconds: see `Release.rollback_seconds`.
    """
    checks = [
        _way_back(measured),
        _api(measured),
        *_command(measured, limit_seconds),
        *_requests(measured),
        *_books(measured),
        _stop(measured),
    ]
    return Verdict.of([check.finding() for check in checks])


def drill_finding(state: ReleaseState, release: Release, now: datetime) -> Finding:
    """Whether the last drill is evidence that a rollback works: what readiness asks.

    A drill counts for the way back as a whole, not for one pair of versions: that the version which becomes the
    previous one loads and replays is asked of every promotion.

    Args:
        state: by the ledger.
        release: the definition's section.
        now: UTC.
    """
    limit = timedelta(days=release.drill_max_age_days)
    drill = state.drill
    outcome: Outcome = "failed"
    step = "Run `fielded release drill`"
    if drill is None:
        outcome, got = "not enough evidence", "no drill of a rollback"
        if state.previous is None:
            got, step = (
                f"{got}, and no previous version",
                "Promote a second version, then run `fielded release drill`",
            )
    elif not drill.passed:
        got = f"one of {drill.at:%Y-%m-%d} that failed"
        step = "See `fielded release history --json`, mend what failed, and run `fielded release drill` again"
    else:
        age = now - drill.at
        got = f"one that passed on {drill.at:%Y-%m-%d}, {age.days} days ago"
        outcome = "passed" if age <= limit else "failed"
    expected = f"one that passed, at most {limit.days} days ago"
    return Finding(
        gate=GATE,
        item="age",
        outcome=outcome,
        got=got,
        expected=expected,
        step="" if outcome == "passed" else step,
    )


def _way_back(measured: Measured) -> _Check:
    got = measured.way_back or f"it loads; {measured.replayed} recorded rows to the last bit"
    if not measured.way_back and not measured.replayed:
        got = "it loads; the ledger has no recorded rows of it"
    expected = f"version {measured.to.version} loads and scores its recorded rows to the last bit"
    return _Check("way back", got, expected, holds=not measured.way_back)


def _api(measured: Measured) -> _Check:
    ready = f"{measured.workers} workers, version {measured.to.version} held ready in each"
    got = ready if measured.api == "" else measured.api
    return _Check("api", got, ready, holds=measured.api == "")


def _command(measured: Measured, limit: float) -> Iterator[_Check]:
    """Rules 3 to 5."""
    done, answers = measured.rollback, measured.answers
    all_of_them = f"{measured.workers} workers that follow, none that ends"
    within = f"at most {limit:g} s"
    if done is None:
        yield _Check("command", None, "exit code 0, nothing left undone")
        yield _Check("workers", None, all_of_them)
        yield _Check("seconds", None, within)
        return
    code = "no end" if done.exit_code is None else f"exit code {done.exit_code}"
    said = "; ".join(one for one in (code, done.said, *done.not_done) if one)
    yield _Check(
        "command", said, "exit code 0, nothing left undone", holds=done.exit_code == 0 and not done.not_done
    )
    followed = done.followed == measured.workers and not done.gone
    yield _Check("workers", f"{done.followed} that follow, {done.gone} that ended", all_of_them, holds=followed)
    if done.followed_seconds is None or answers is None:
        yield _Check("seconds", None, within)
        return
    yield _Check(
        "seconds",
        f"{done.followed_seconds:.2f} s until all followed, {answers.last_by_left:.2f} s to the last answer by "
        f"version {measured.left.version}",
        within,
        holds=max(done.followed_seconds, answers.last_by_left) <= limit,
        numbers={"all_followed": done.followed_seconds, "last_answer_by_left": answers.last_by_left},
    )


def _requests(measured: Measured) -> Iterator[_Check]:
    """Rules 6 and 7."""
    expected = "no failure, and answers by both versions"
    no_late = f"none by version {measured.left.version} once all had followed"
    answers = measured.answers
    if answers is None:
        yield _Check("requests", None, expected)
        yield _Check("late answers", None, no_late)
        return
    why = ", ".join(f"{count} times {what}" for what, count in sorted(answers.failures.items()))
    got = (
        f"{answers.failed} failures of {answers.requests:,} requests{why and f' ({why})'}; {answers.by_left:,} "
        f"answers by version {measured.left.version}, {answers.by_now:,} by version {measured.to.version}"
    )
    seen = bool(answers.by_left and answers.by_now)
    numbers = {"requests": float(answers.requests), "failed": float(answers.failed)}
    yield _Check("requests", got, expected, holds=seen and not answers.failed, numbers=numbers)
    followed = measured.rollback is not None and measured.rollback.followed_seconds is not None
    late = f"{answers.late} by version {measured.left.version}" if followed else None
    yield _Check("late answers", late, no_late, holds=not answers.late)


def _books(measured: Measured) -> Iterator[_Check]:
    """Rules 8 to 10."""
    one_each = "a row for each answer, and an answer or a failed request for each row"
    unbroken = "nothing broken"
    agreed = (
        f"{measured.to} in production, {measured.left} as previous, the alias on version {measured.to.version}"
    )
    books, answers = measured.books, measured.answers
    if books is None or answers is None:
        yield _Check("ledger", None, one_each)
        yield _Check("seals", None, unbroken)
        yield _Check("state", None, agreed)
        return
    got = f"{books.answered_not_in_ledger} answers without a row, {books.rows_not_answered} rows without an answer"
    complete = not books.answered_not_in_ledger and books.rows_not_answered <= answers.failed
    yield _Check("ledger", got, one_each, holds=complete)
    yield _Check(
        "seals", f"{books.broken} broken" if books.broken else "verified", unbroken, holds=not books.broken
    )
    stands = "nothing" if books.alias is None else f"version {books.alias}"
    yield _Check(
        "state",
        f"{books.production} in production, {books.previous} as previous, the alias on {stands}",
        agreed,
        holds=(books.production, books.previous, books.alias) == (measured.to, measured.left, measured.to.version),
    )


def _stop(measured: Measured) -> _Check:
    got = "it had to be killed" if measured.stopped is None else f"exit code {measured.stopped}"
    return _Check("stop", got if measured.api == "" else None, "exit code 0", holds=measured.stopped == 0)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
