"""Everything that the watch measures on, read from the ledger, the model's files and the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from types import MappingProxyType

from fielded.decisions.monitoring.histograms import NO_ROWS, Histograms
from fielded.decisions.monitoring.instances import labels_from, read_from
from fielded.decisions.monitoring.labelled_window import LabelledScores
from fielded.decisions.monitoring.latency import Buckets, between, latency
from fielded.decisions.monitoring.measure import DayRun, Latency, Sources
from fielded.decisions.monitoring.metrics import FIRST_DAYS
from fielded.decisions.monitoring.profile import Profile
from fielded.decisions.release.acts import INTO_PRODUCTION, Pinned
from fielded.services.monitoring.overrides import OverridesOf, daily_overrides
from fielded.services.prepare_scorer import resolve
from fielded.services.release.record import state_of
from fielded.words.errors import Refused
from fielded.world.counted_runs import counted_runs
from fielded.world.labelled_scores import labelled_scores
from fielded.world.notices import NotTold, duration_buckets
from fielded.world.outcomes import Outcomes
from fielded.world.profiles import read_profile
from fielded.world.registry import RegisteredVersion
from fielded.world.window_counts import CountSource, Wanted, daily_counts
from fielded.world.window_tallies import TallyOf, daily_tallies
from fielded.world.workplace import Workplace

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read.

    Attributes:
        model: in production.
        sha256: of its approved files.
        sources: to measure on.
        buckets: of the API's latency, for the next look; empty where there are none.
    """

    model: RegisteredVersion
    sha256: str
    sources: Sources
    buckets: Mapping[float, float]


def read_sources(workplace: Workplace, as_of: date, moment: datetime, seen_buckets: Buckets) -> Read:
    """Read everything.

    Args:
        workplace: the deployment at its site.
        as_of: last whole day that is looked at.
        moment: what staleness is measured to, UTC.
        seen_buckets: of the API's latency, at the last look.

    Raises:
        NotApproved: nobody approved the files of what is in production.
        ArtifactChanged: they are not the approved ones.
        Unreachable: the ledger, or the registry where the alias decides.
    """
    model, sha256 = resolve(workplace)
    profile, notes = _profile(workplace, model, sha256)
    first = read_from(workplace.deployment.monitoring, as_of)
    tallies = daily_tallies(workplace, TallyOf(model.version, sha256, first, as_of, profile))
    since = _since(workplace, Pinned(model.version, sha256)) or min(tallies.daily, default=None)
    took, buckets = _latency(workplace, seen_buckets)
    sources = Sources(
        as_of=as_of,
        moment=moment,
        version=model.version,
        since=since,
        profile=profile,
        daily=_daily(workplace, profile, Wanted(model.version, sha256, first, as_of)),
        first_month=_first_month(workplace, profile, Wanted(model.version, sha256, first, as_of), since),
        tallies=tallies.daily,
        last_scored_at=tallies.last_scored_at,
        runs=_runs(workplace, model.version, first, as_of),
        overrides=daily_overrides(workplace, OverridesOf(model.version, first, as_of, profile)),
        labelled=_labelled(workplace, Pinned(model.version, sha256), as_of),
        latency=took,
        notes=(*notes, *tallies.notes),
    )
    return Read(model, sha256, sources, buckets)


def _profile(
    workplace: Workplace, model: RegisteredVersion, sha256: str
) -> tuple[Profile | None, tuple[str, ...]]:
    """The profile in the model's files. One that cannot be read is none, and said."""
    try:
        profile = read_profile(workplace.artifacts.approved(model, sha256))
    except Refused as refusal:
        return None, (f"profile: {refusal}",)
    return profile, ()


def _since(workplace: Workplace, pinned: Pinned) -> date | None:
    """The day on which the version came into production last, by the ledger."""
    found: date | None = None
    for event in state_of(workplace).history:
        if event.kind in INTO_PRODUCTION:
            to = event.details.get("to", event.details.get("production"))
            found = event.at.date() if to is not None and Pinned.read(to) == pinned else None
    return found


def _daily(workplace: Workplace, profile: Profile | None, wanted: Wanted) -> Mapping[date, Histograms]:
    table = workplace.tables.find(workplace.ledger.predictions)
    if profile is None or table is None:
        return MappingProxyType({})
    runs = frozenset(counted_runs(table, wanted.first, wanted.last).values())
    asked = Wanted(wanted.model_version, wanted.artifact_sha256, wanted.first, wanted.last, runs)
    source = CountSource(workplace.tables, workplace.ledger.predictions, workplace.site)
    return MappingProxyType(daily_counts(source, profile, asked))


def _first_month(
    workplace: Workplace, profile: Profile | None, wanted: Wanted, since: date | None
) -> Histograms | None:
    """Counts of the version's first days in production; None until they are over, or where no trigger asks."""
    asks = any(trigger.reference == "first_month" for trigger in workplace.deployment.monitoring.triggers)
    if not asks or since is None or since + FIRST_DAYS > wanted.last:
        return None
    month = Wanted(wanted.model_version, wanted.artifact_sha256, since, since + FIRST_DAYS - _DAY)
    found = reduce(Histograms.__add__, _daily(workplace, profile, month).values(), NO_ROWS)
    return found if found.counts else None


def _runs(workplace: Workplace, version: str, first: date, last: date) -> tuple[DayRun, ...]:
    table = workplace.tables.find(workplace.ledger.predictions)
    counting = {} if table is None else {run: day for day, run in counted_runs(table, first, last).items()}
    found = {}
    for event in workplace.ledger.events_of("day_scored") if counting else ():
        details = event["details"]
        if event["about"] in counting and str(details["model_version"]) == version:
            day = counting[event["about"]]
            numbers = {name: int(details[name]) for name in ("population", "quarantined", "flagged", "review")}
            found[day] = DayRun(day=day, seconds=float(details["seconds"]), **numbers)
    return tuple(found[day] for day in sorted(found))


def _labelled(workplace: Workplace, pinned: Pinned, as_of: date) -> LabelledScores | None:
    """Scores with the labels that were known when `as_of` was over; None where no outcome was ever loaded."""
    outcomes = Outcomes(workplace.tables, workplace.site, workplace.deployment.name)
    if workplace.tables.find(outcomes.name) is None:
        return None
    first, last = labels_from(workplace.deployment.monitoring, as_of)
    known_by = datetime.combine(as_of + _DAY, time(), UTC)
    return labelled_scores(workplace, pinned.version, pinned.sha256, first, last, known_by)


def _latency(workplace: Workplace, seen: Buckets) -> tuple[Latency, Buckets]:
    try:
        now = duration_buckets(workplace.site.monitoring)
    except NotTold as failure:
        lacking = f"got no answer of the API's metrics ({failure.reason}), expected its latency. Look at the API"
        return Latency(lacking=lacking), seen
    if now is None:
        step = "Name `monitoring.metrics_url` in site.yaml"
        return Latency(lacking=f"got no place to read the API's latency, expected one. {step}"), seen
    return latency(between(now, seen)), now
