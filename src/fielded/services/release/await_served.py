"""Wait until every running API serves a version: what a promotion and a rollback end with.

    followed = await_served(workplace, pinned, 30, ticks=time.monotonic, sleep=time.sleep, since=begun)
    late = [one for one in followed if not one.follows]

Each worker tells through its journal what it serves; only those that live are listed. A worker that is starting
tells first and then looks once more what is in production, before it answers anybody. So one that is not listed
when the wait ends cannot answer with the version that was left.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fielded.decisions.release.acts import Pinned
from fielded.words.errors import Unreachable
from fielded.world.journal import Serving
from fielded.world.workplace import Workplace

_LOOK_SECONDS = 0.03  # between two looks


_SILENT_SECONDS = 10.0  # a worker that has told nothing for so long is not relied on


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One worker, and whether it followed.

    Attributes:
        host: its machine or container.
        pid: its process there.
        journal: that it writes.
        version: that it said last it serves.
        artifact_sha256: digest of that version's files.
        withheld: whether it gives no scores.
        seconds: from `since` until it was seen to serve what it must; None where it did not in time.
        gone: it has ended meanwhile, and answers nobody.
    """

    host: str
    pid: int
    journal: str
    version: str
    artifact_sha256: str
    withheld: bool
    seconds: float | None
    gone: bool = False

    @property
    def follows(self) -> bool:
        """Whether nobody gets another version from it."""
        return self.gone or self.seconds is not None

    def __str__(self) -> str:
        what = f"worker {self.host}/{self.pid}: version {self.version}{', withheld' * self.withheld}"
        if self.gone:
            return f"{what}, has ended"
        return f"{what}, did not follow in time" if self.seconds is None else f"{what} after {self.seconds:.2f} s"


def await_served(
    workplace: Workplace,
    pinned: Pinned,
    timeout_seconds: float,
    ticks: Callable[[], float],
    sleep: Callable[[float], None],
    since: float | None = None,
) -> list[Followed]:
    """Wait until every live worker of this ledger says that it serves `pinned`, or the time is over.

    Args:
        workplace: the deployment at its site.
        pinned: version and digest that must be served.
        timeout_seconds: from now, at most.
        ticks: seconds that only go up.
        sleep: waits so many seconds.
        since: when, by `ticks`, the act began whose seconds are counted; now where it is not given.

    Returns:
        Every worker that was seen, in the order of its host and process; empty where no API runs.

    Raises:
        JournalDown: the journals' store does not answer.
    """
    now = ticks()
    until, begun = now + timeout_seconds, now if since is None else since
    followed: dict[tuple[str, str, int], float] = {}
    seen: dict[tuple[str, str, int], Serving] = {}
    while True:
        live = {_key(one): one for one in live_workers(workplace)}
        now = ticks()
        seen.update(live)
        for key, one in live.items():
            if _serves(one, pinned):
                followed.setdefault(key, now - begun)
            else:
                followed.pop(key, None)
        if live.keys() <= followed.keys() or now >= until:
            break
        sleep(min(_LOOK_SECONDS, max(0.0, until - now)))
    return [
        Followed(
            host=one.host,
            pid=one.pid,
            journal=one.journal,
            version=one.model_version,
            artifact_sha256=one.artifact_sha256,
            withheld=one.withheld,
            seconds=followed.get(key),
            gone=key not in live,
        )
        for key, one in sorted(seen.items(), key=lambda item: (item[1].host, item[1].pid))
    ]


def live_workers(workplace: Workplace) -> list[Serving]:
    """What every running worker of this ledger tells that it serves.

    Raises:
        JournalDown: the journals' store does not answer.
    """
    told = workplace.journals.serving()
    if not told or workplace.tables.find(workplace.ledger.predictions) is None:  # made before anything serves
        return []
    ledger = workplace.ledger.identity()
    return [one for one in told if one.ledger == ledger]


def held_ready(workplace: Workplace, pinned: Pinned) -> int | None:
    """Whether every running API holds a version loaded beside what it serves, and has replayed recorded rows of it
    to the last bit (`verified`): then whoever rolls back to it need not load it once more to know.

    Returns:
        Rows that each has replayed, at least; None where one does not hold it, none runs, or nobody can tell.
    """
    try:
        live = live_workers(workplace)
    except Unreachable:
        return None
    if not live or any(one.standby != pinned or one.silent_seconds > _SILENT_SECONDS for one in live):
        return None
    return min(one.replayed for one in live)


def _serves(one: Serving, pinned: Pinned) -> bool:
    return (one.model_version, one.artifact_sha256) == (pinned.version, pinned.sha256) and not one.withheld


def _key(one: Serving) -> tuple[str, str, int]:
    return one.journal, one.host, one.pid
