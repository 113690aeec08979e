"""The whole way on made-up but realistic data, on an embedded site of its own.

Each step does what a user would do with the command line, and hands back one line on what came of it.
"""

import runpy
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from fielded.decisions.runs import RunSummary
from fielded.definition import Site, load_deployment, load_site
from fielded.definition.site import FILE
from fielded.services.audit import Books, find_subject
from fielded.services.demo_ato import Means, ato_steps, kickoff_step
from fielded.services.demo_release import Step, release_steps
from fielded.services.demo_watch import review_step, watch_step
from fielded.services.drain import drain
from fielded.services.prepare_scorer import Scorers
from fielded.services.release.adopt import adopt
from fielded.services.release.candidates import approve
from fielded.services.release.rollback import rollback
from fielded.services.replay import replay
from fielded.services.score_day import score_day
from fielded.services.score_live import LiveRequest, LiveRow, Settled
from fielded.services.serve import open_live
from fielded.services.verify import verify
from fielded.words.errors import FieldedError, Refused, WrongUse
from fielded.words.identifiers import RandomBytes
from fielded.world.delta_reading import dataset_of
from fielded.world.workplace import Workplace

EXAMPLE = "maintenance_overrun"
AS_OF = date(2026, 3, 31)
SEED = 20260331
OPEN_ORDERS, HISTORY = 20_000, 60_000
_SITE = """\
root: tables
tracking_uri: sqlite:///{here}/mlflow.db
artifact_root: artifacts
cache: cache
journal_url: sqlite:///journal
signing_key: file:keys/seal.pem
identity: {{development_token: "file:keys/token"}}   # what callers of `fielded serve` send

# Who may do what. `{user}` started the demo; the others are played by it.
roles:
  "{user}": [score, review, audit, release]
  "example:author": [release]
  "example:approver-1": [release]
  "example:approver-2": [release]
  "example:rai-approver": [release]
  "example:reviewer": [review]
  "example:monitoring-owner": [review]

# Examples, no authorization of anybody. A real site names what it stands on.
authorization:
  system: Maintenance analytics (example)
  system_id: EXAMPLE-0001
  platforms:
    - name: Example hosting
      authorization: EXAMPLE-PA-0000
      level: IL4
      expires: {expires}
      inherited: [pe-*, ma-*, mp-*, cp-6, cp-7, cp-8, sc-7, sc-20, sc-21, sc-22]
      shared:
        ac-2: the accounts of the workspace
        sc-8: TLS from the load balancer to the service
        sc-28: the volumes that hold tables, journals and keys
        cp-9: copies of tables and keys
  organization:
    at-*: Example training office
    ps-*: Example personnel security office
    pm-*: Example program office
    # Of what fielded does a part, somebody answers for the rest.
{shared}
  ports: [tcp/8443]
  incident_path: Example watch floor
  persons:
    blair.example@example.mil: ["example:monitoring-owner"]
    casey.example@example.mil: ["example:rai-approver"]
"""
_SHARED = (
    "ac-2", "ac-6", "ac-7", "au-2", "au-5", "au-6", "au-8", "au-9", "au-11", "ca-5", "ca-7", "cm-2",
    "cm-3", "cm-5", "cm-6", "cm-8", "cp-9", "cp-10", "ia-2", "ia-5", "ia-8", "ir-4", "pl-2", "ra-3",
    "ra-5", "sa-10", "sa-11", "sc-5", "sc-12", "sc-13", "si-2", "si-4", "si-7", "sr-3",
)  # fmt: skip
_AUTHORIZED = timedelta(days=365)  # that the example's platform is
_TOKEN_BYTES = 32
TRAINED = ((date(2023, 7, 1), date(2024, 12, 31)), (date(2023, 7, 1), date(2025, 6, 30)))  # days; version 1 and 2
HELD_OUT = (date(2025, 9, 28), date(2025, 12, 27))
UNBOOKED = ("LSD", 0.6)  # what is planted in version 3: the share of a class's overruns that nobody booked


def example_folder() -> Path:
    """The maintenance example: in the installed package, or in the repository beside it."""
    package = Path(str(resources.files("fielded")))
    for folder in (package / "examples" / EXAMPLE, package.parent.parent / "examples" / EXAMPLE):
        if folder.is_dir():
            return folder
    raise WrongUse(f"example {EXAMPLE}: not installed, expected it in the package. Install fielded from its wheel")


def demo_site(folder: Path, user: str, today: date, random_bytes: RandomBytes) -> Site:
    """A fresh embedded site in `folder`, with a site.yaml for later commands. What was there is removed.

    Args:
        folder: of the site.
        user: who may do everything in it.
        today: UTC.
        random_bytes: for the token that callers of its API send.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    here = folder.resolve()
    token = folder / "keys" / "token"
    token.parent.mkdir(mode=0o700)
    token.touch(mode=0o600)
    token.write_text(random_bytes(_TOKEN_BYTES).hex(), encoding="utf-8")
    shared = "\n".join(f"    {control}: Example system security office" for control in _SHARED)
    text = _SITE.format(here=here, user=user, expires=today + _AUTHORIZED, shared=shared)
    (folder / FILE).write_text(text, encoding="utf-8")
    return load_site({}, here, here / FILE)


def run_demo(open_at: Callable[[Path, Site], Workplace], folder: Path, means: Means) -> Iterator[Step]:
    """The steps, each done when it is asked for.

    Args:
        open_at: opens a workplace for a deployment folder at a site.
        folder: for the demo's site; emptied first.
        means: what else it needs of the door that started it.

    Raises:
        Refused: a step did not come out as it must.
    """
    example = example_folder()
    deployment = load_deployment(example)
    site = demo_site(folder, means.user, means.today, means.random_bytes)
    workplace = open_at(example, site)
    make = runpy.run_path(str(example / "make_data.py"))["make"]
    made = make(workplace.tables.uri, seed=SEED, as_of=AS_OF, open_orders=OPEN_ORDERS, history_orders=HISTORY)
    yield Step("make data", "; ".join(f"{name}: {rows:,} rows" for name, rows in made.items()))

    table, rows = runpy.run_path(str(example / "hold_out.py"))["hold_out"](site, *HELD_OUT)
    yield Step("hold out", f"{table}: {rows:,} orders with what became of them, which no version learns from")

    yield kickoff_step(workplace)

    first, honest, biased = _train(example, site)
    model = deployment.model
    told = f"{model.name}: versions {first}, {honest} and {biased}; {biased} with a planted fault"
    yield Step("train and register", told)

    workplace.registry.point(model.name, model.alias, first)
    approved = approve(workplace, first)
    adopt(workplace)
    told = f"version {first}, artifact sha256 {approved.files.sha256[:16]}..., in production"
    yield Step("approve and adopt", told)

    scorers = Scorers(workplace)
    yield Step("score", _told(score_day(workplace, scorers, AS_OF)))

    subject = _one_for_review(workplace)
    books = Books(workplace.tables, workplace.ledger.predictions, workplace.journals)
    row = find_subject(books, subject)[0]
    yield Step("look one up", f"{subject}: {row['score']!r}, {row['decision']}, version {row['model_version']}, "
               f"by {row['requested_by']}, request {row['request_id']}")  # fmt: skip

    again = replay(workplace, row["request_id"])
    if again.outcome != "exact":
        raise Refused(f"replay: got {again.outcome}, expected exact")
    yield Step("replay", f"{again.outcome}: stored {again.stored!r}, replayed {again.replayed!r}")

    yield from release_steps(workplace, scorers, example, folder, honest=honest, biased=biased)

    yield Step("score again", _told(score_day(workplace, scorers, AS_OF)))
    found = find_subject(books, subject)
    told = ", then ".join(f"{one['score']:.4f} by version {one['model_version']}" for one in reversed(found))
    yield Step("look it up again", f"{subject}: {told}; both stay in the ledger")

    moved = rollback(workplace, scorers, "demo: pretend that the new version was seen to be wrong")
    yield Step("roll back", f"version {moved.left.version} -> {moved.now.version} in production, "
               f"{moved.replayed} recorded rows replayed to the last bit")  # fmt: skip

    yield Step("score once more", _told(score_day(workplace, scorers, AS_OF)))

    yield watch_step(workplace, AS_OF, folder / f"monitor-{AS_OF}")

    yield Step("score live", _score_live(workplace, subject, row["features"]))
    drained = drain(workplace)
    yield Step("drain", f"{drained.rows} row from the journal to the ledger, sealed")
    yield review_step(workplace)
    yield Step("verify", _verified(workplace))

    yield from ato_steps(workplace, example, folder, means)


def _train(example: Path, site: Site) -> list[str]:
    train = runpy.run_path(str(example / "train.py"))["train"]
    (old_from, old_to), (new_from, new_to) = TRAINED
    return [
        str(train(site, seed=1, train_from=old_from, train_to=old_to)),
        str(train(site, seed=1, train_from=new_from, train_to=new_to)),
        str(train(site, seed=1, train_from=new_from, train_to=new_to, unbooked=UNBOOKED)),
    ]


def _score_live(workplace: Workplace, subject: str, features: Mapping[str, Any]) -> str:
    """One score as the API gives it: durable in the journal before it is told."""
    told: SimpleQueue[Settled] = SimpleQueue()
    live = open_live(workplace, told.put)
    try:
        live.scoring.submit(
            LiveRequest(
                rows=(LiveRow(subject, tuple(features.values())),),
                requested_by=workplace.user,
                client_address=None,
                ticket=None,
            )
        )
        ((_, answer),) = told.get()
    finally:
        live.close()
    if isinstance(answer, FieldedError):
        raise answer
    return f"{subject}: {answer.scores[0]!r}, {answer.decisions[0]}, version {answer.model_version}; journaled"


def _verified(workplace: Workplace) -> str:
    report = verify(workplace)
    if report.findings:
        raise Refused("verify: " + "; ".join(str(finding) for finding in report.findings))
    files = sum(counts["files"] for counts in report.tables.values())
    return f"{files} files, every log entry and every checkpoint of {len(report.tables)} tables: unaltered"


def _one_for_review(workplace: Workplace) -> str:
    gold: Any = dataset_of(workplace.tables.open(workplace.deployment.batch.output))
    for row in gold.head(10_000, columns=[workplace.deployment.subject, "decision"]).to_pylist():
        if row["decision"] == "review":
            return str(row[workplace.deployment.subject])
    raise Refused("scores: got nobody for review, expected some of 20,000 orders")


def _told(summary: RunSummary) -> str:
    return (
        f"{summary.day}: {summary.population:,} open orders = {summary.scored:,} scored + {summary.quarantined:,} "
        f"quarantined; {summary.flagged:,} flagged, {summary.review:,} to review, {summary.clear:,} clear; "
        f"version {summary.model_version}"
    )
