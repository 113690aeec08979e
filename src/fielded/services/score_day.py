"""Score one day: the product in one file.

    population -> rules -> scorer -> ledger -> gold table

Steps that others can see, in this order; a process may die between any two and the next run of the same work
goes on from there:

1. quarantine rows are committed: a row that will not be scored is on record first;
2. prediction rows are committed: no score leaves before its row is durable;
3. the gold table shows them in place of what it showed for the day;
4. the event `day_scored` is written;
5. all of it is sealed.
"""

import itertools
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from fielded.decisions.columns import check_columns, gold_subject_type
from fielded.decisions.rows import BATCH, PROBE, Stamp, prediction_rows, quarantine_rows
from fielded.decisions.rules import Rules, Sorted
from fielded.decisions.runs import RunSummary, State, check_account, check_quarantine, run_id
from fielded.decisions.scoring import DECISIONS, Scorer
from fielded.services.prepare_scorer import Scorers, resolve
from fielded.services.publish import prepare_gold, publish
from fielded.services.record_definition import record_definition
from fielded.services.seal import seal
from fielded.words.errors import RunRefused
from fielded.words.overlap import ahead, ordered_map
from fielded.world.engines import OpenPopulation, Size, load_population
from fielded.world.keys import open_signer
from fielded.world.models import one_native_thread, start_worker
from fielded.world.registry import RegisteredVersion
from fielded.world.tables import TableVersion
from fielded.world.workplace import Workplace

Progress = Callable[[int, int], None]  # rows done, rows in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, before it starts: everything that its rows will say.

    Attributes:
        id: of the run.
        day: `as_of` of its population, and partition of its rows.
        model: that scores.
        sha256: of its files, as approved.
        inputs: pinned tables, by their name in the population.
        started: UTC.
        channel: of its rows: `BATCH`, or `PROBE` for a run that is none of its day (`services.probe`).
    """

    id: str
    day: date
    model: RegisteredVersion
    sha256: str
    inputs: dict[str, TableVersion]
    started: datetime
    channel: str = BATCH


def score_day(
    workplace: Workplace,
    scorers: Scorers,
    day: date,
    *,
    dry_run: bool = False,
    again: str = "",
    progress: Progress = lambda *_: None,
) -> RunSummary:
    """Score the population of `day`.

    Args:
        workplace: the deployment at its site.
        scorers: where the model comes from.
        day: `as_of` of the population and partition of all rows.
        dry_run: read, check and score, but write nothing.
        again: a token that makes this a new run although nothing changed since the last.
        progress: told rows done and rows in all.

    Raises:
        Refused: no approval, changed files, too many quarantined rows, rows unaccounted for.
        DefinitionError: the population does not have what the definition names.
        Unreachable: a table or the registry is not there.
    """
    run = plan_run(workplace, day, again)
    if dry_run:
        return _score(workplace, scorers, run, progress, write=False)
    open_signer(workplace.site)  # a site without a key learns it now, not after the day is published
    if workplace.ledger.place_of(run.id) is None:
        summary = _score(workplace, scorers, run, progress, write=True)
    else:
        summary = _resume(workplace, run)
    seal(workplace)
    return summary


def plan_run(workplace: Workplace, day: date, again: str = "") -> Run:
    """Resolve the alias once, pin the input tables, and name the work.

    Work whose rows are in the ledger already, but under those of a later run of the day, is done anew under
    its next name: after a rollback the day must show the version that was gone back to.
    """
    started = workplace.clock()
    model, sha256 = resolve(workplace)
    inputs = {name: workplace.tables.pin(table) for name, table in workplace.deployment.population.tables.items()}
    identities = {name: f"{pinned.table.metadata().id}@{pinned.version}" for name, pinned in inputs.items()}
    named = {"name": model.name, "version": model.version, "artifact_sha256": sha256}
    latest = workplace.ledger.latest_place(day)
    for turn in itertools.count():
        token = again if turn == 0 else f"{again}/{turn}"
        work = run_id(workplace.deployment, day, named, identities, token)
        if workplace.ledger.place_of(work) in (None, latest):
            return Run(id=work, day=day, model=model, sha256=sha256, inputs=inputs, started=started)
    raise AssertionError  # itertools.count has no end


def _score(workplace: Workplace, scorers: Scorers, run: Run, progress: Progress, *, write: bool) -> RunSummary:
    deployment = workplace.deployment
    scorer = scorers.get(run.model, run.sha256)
    with workplace.engine.open(load_population(deployment), run.inputs, run.day) as population:
        check_columns(deployment, population.schema)
        size = population.size(deployment.subject)
        if not write:
            return _count_only(workplace, run, scorer, population, size, progress)
        workplace.ledger.prepare(deployment)
        prepare_gold(workplace, gold_subject_type(population.schema.field(deployment.subject).type))
        write_rows(workplace, run, scorer, population, size, progress)
    return _finish(workplace, run, size.rows)


def write_rows(
    workplace: Workplace,
    run: Run,
    scorer: Scorer,
    population: OpenPopulation,
    size: Size,
    progress: Progress = lambda *_: None,
) -> None:
    """Score everything into files, check that the rows add up, and commit.

    Args:
        workplace: the deployment at its site; its ledger is prepared.
        run: what the rows say.
        scorer: of its version.
        population: of its day.
        size: of it.
        progress: told rows done and rows in all.

    Raises:
        RunRefused: too many rows are quarantined, or some are unaccounted for.
        Unreachable: a table cannot be written.
    """
    deployment = workplace.deployment
    record_definition(workplace)
    files_name = f"{run.id}-{workplace.random_bytes(4).hex()}"  # two attempts never write one file
    with ExitStack() as stack:
        predictions = stack.enter_context(workplace.ledger.prediction_files(run.day, files_name))
        quarantine = stack.enter_context(workplace.ledger.quarantine_files(run.day, files_name))
        done = 0
        batches = stack.enter_context(closing(_scored(workplace, run, scorer, population, size)))
        for scored, refused in batches:
            predictions.write(scored)
            quarantine.write(refused)
            done += scored.num_rows + refused.num_rows
            progress(done, size.rows)
        predictions.close()
        quarantine.close()
        check_account(size.rows, predictions.rows, quarantine.rows)
        refused_rows = quarantine.rows
        if not workplace.ledger.commit_quarantine(run.id, quarantine):
            stands = workplace.ledger.count_run(run.id, run.day)["quarantined"]  # an earlier attempt's rows
            check_account(size.rows, predictions.rows, stands)
        try:
            check_quarantine(size.rows, refused_rows, deployment.batch.quarantine_limit)
        except RunRefused as refusal:
            workplace.record("day_refused", run.id, {"reason": str(refusal)}, once=f"day_refused/{run.id}")
            seal(workplace)
            raise
        if run.channel == PROBE:
            workplace.ledger.commit_probe(run.id, predictions)
        else:
            workplace.ledger.commit_predictions(run.id, run.day, predictions)


def _scored(
    workplace: Workplace, run: Run, scorer: Scorer, population: OpenPopulation, size: Size
) -> Generator[tuple[pa.RecordBatch, pa.RecordBatch], None, None]:
    """Prediction and quarantine rows, batch by batch: one thread reads, others score, the caller writes."""
    deployment, site = workplace.deployment, workplace.site
    rules = Rules(deployment.subject, deployment.features, size.duplicates)

    def work(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        parted: Sorted = rules.apply(batch)
        stamp = Stamp(
            run_id=run.id,
            channel=run.channel,
            requested_by=workplace.user,
            client_address=None,
            scored_at=workplace.clock(),
        )
        return prediction_rows(parted, scorer, stamp, workplace.random_bytes), quarantine_rows(parted, stamp)

    columns = [deployment.subject, *deployment.features]
    with one_native_thread(), ahead(population.batches(columns, site.batch_rows), 2) as batches:
        # Each worker scores its own batch with one native thread: that keeps every core busy in the parts of
        # a model that are not parallel, too.
        yield from ordered_map(work, batches, workers=site.workers, depth=site.workers + 1, start=start_worker)


def _count_only(
    workplace: Workplace, run: Run, scorer: Scorer, population: OpenPopulation, size: Size, progress: Progress
) -> RunSummary:
    counts = dict.fromkeys((*DECISIONS, "quarantined"), 0)
    done = 0
    with closing(_scored(workplace, run, scorer, population, size)) as batches:
        for scored, refused in batches:
            for item in scored.column("decision").value_counts().to_pylist():
                counts[item["values"]] += item["counts"]
            counts["quarantined"] += refused.num_rows
            done += scored.num_rows + refused.num_rows
            progress(done, size.rows)
    check_account(size.rows, sum(counts[name] for name in DECISIONS), counts["quarantined"])
    check_quarantine(size.rows, counts["quarantined"], workplace.deployment.batch.quarantine_limit)
    return _summary(workplace, run, "dry run", counts, size.rows)


def _resume(workplace: Workplace, run: Run) -> RunSummary:
    """Go on with a run whose rows an earlier process left in the ledger; nothing is scored again."""
    deployment = workplace.deployment
    finished = workplace.ledger.events_of("day_scored", run.id)
    if finished and workplace.tables.find(deployment.batch.output) is not None:
        shown = publish(workplace, run.id, run.day)
        state: State = "already done" if shown else "superseded"
        seconds = (workplace.clock() - run.started).total_seconds()
        return RunSummary(**{**finished[-1]["details"], "day": run.day, "state": state, "seconds": seconds})
    with workplace.engine.open(load_population(deployment), run.inputs, run.day) as population:
        prepare_gold(workplace, gold_subject_type(population.schema.field(deployment.subject).type))
        rows = population.size(deployment.subject).rows
    return _finish(workplace, run, rows)


def _finish(workplace: Workplace, run: Run, population: int) -> RunSummary:
    """Publish a run whose rows are in the ledger, and say so."""
    counts = workplace.ledger.count_run(run.id, run.day)
    check_account(population, sum(counts.get(name, 0) for name in DECISIONS), counts["quarantined"])
    shown = publish(workplace, run.id, run.day)
    summary = _summary(workplace, run, "published" if shown else "superseded", counts, population)
    workplace.record("day_scored", run.id, summary.as_dict(), once=f"day_scored/{run.id}")
    return summary


def _summary(workplace: Workplace, run: Run, state: State, counts: dict[str, int], population: int) -> RunSummary:
    by_decision = {name: counts.get(name, 0) for name in DECISIONS}
    return RunSummary(
        run_id=run.id,
        day=run.day,
        state=state,
        population=population,
        scored=sum(by_decision.values()),
        **by_decision,
        quarantined=counts.get("quarantined", 0),
        model_name=run.model.name,
        model_version=run.model.version,
        inputs={pinned.name: pinned.version for pinned in run.inputs.values()},
        seconds=(workplace.clock() - run.started).total_seconds(),
    )
