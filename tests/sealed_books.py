"""A small sealed ledger without a model: batch rows over two days, journaled rows of two journals, events."""

import json
import random
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from conftest import DEFINITION, POPULATION, Ticking, make_orders
from fielded.decisions.chain import link, row_digests, start_of
from fielded.decisions.routing import Routing
from fielded.decisions.rows import Stamp, prediction_rows, quarantine_rows
from fielded.decisions.rules import Rules
from fielded.decisions.scoring import Scorer
from fielded.decisions.stretch import Stretch
from fielded.definition import Deployment, Site, load_deployment
from fielded.services.publish import prepare_gold, publish
from fielded.services.seal import seal
from fielded.services.verify import Report, verify
from fielded.world.ledger import Event, Ledger
from fielded.world.tables import DeltaTables

DAYS = (date(2026, 3, 1), date(2026, 3, 2))
JOURNALS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


@dataclass(frozen=True, kw_only=True)
class Bookkeeping:
    """What of a workplace books are kept with."""

    deployment: Deployment
    site: Site
    tables: DeltaTables
    ledger: Ledger
    user: str
    clock: Any
    random_bytes: Any

    def record(self, kind: str, about: str, details: dict[str, Any], once: str = "") -> None:
        event = Event(
            kind=kind, about=about, actor=self.user, occurred_at=self.clock(), details=details, once=once
        )
        self.ledger.record(event, self.random_bytes)


@dataclass
class Books:
    """A deployment folder, a site, and what a test does with them.

    Attributes:
        folder: that all of it lies in.
        heads: journal -> number of its last row and head of its chain.
    """

    folder: Path
    site: Site
    seed: int = 0
    heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, **settings: Any) -> "Books":
        options = {
            "root": str(folder / "tables"),
            "tracking_uri": "none",
            "artifact_root": "none",
            "cache": folder / "cache",
            "journal_url": f"sqlite:///{folder / 'journal'}",
            "signing_key": f"file:{folder / 'keys' / 'seal.pem'}",
            "checkpoints": folder / "copies",
            "file_rows": 250,
        }
        return cls(folder, Site(**{**options, **settings}))

    def copied(self, to: Path) -> "Books":
        """The same in another folder, to be tampered with."""
        shutil.copytree(self.folder, to)
        books = Books.at(to)
        books.heads, books.seed = dict(self.heads), self.seed + 100
        return books

    def open(self, now: datetime | None = None) -> Bookkeeping:
        tables = DeltaTables(self.site)
        self.seed += 1
        clock = Ticking() if now is None else (lambda: now)
        return Bookkeeping(
            deployment=load_deployment(self.folder / "deployment"),
            site=self.site,
            tables=tables,
            ledger=Ledger(tables, self.site, "overrun"),
            user="os:tester",
            clock=clock,
            random_bytes=random.Random(self.seed).randbytes,
        )

    def define(self) -> None:
        folder = self.folder / "deployment"
        folder.mkdir(parents=True)
        (folder / "deployment.yaml").write_text(DEFINITION.replace("MODEL", "made"))
        (folder / "population.py").write_text(POPULATION)
        Path(self.site.root).mkdir(parents=True)

    def rows(
        self, count: int, stamp: Stamp, seed: int, crew: int | None = None
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Prediction and quarantine rows; every twentieth order breaks a rule."""
        books = self.open()
        rng = np.random.default_rng(seed)
        scorer = Scorer(
            model_name="made", model_version="1", artifact_sha256="0" * 64,
            definition_sha256=books.deployment.sha256, routing=Routing(threshold=0.65, band=(0.55, 0.75)),
            predict=lambda batch: rng.random(batch.num_rows),
        )  # fmt: skip
        orders = make_orders(count, seed, first=seed * 10_000)
        months = orders["month"].to_pylist()
        orders = orders.set_column(
            orders.column_names.index("month"), "month",
            pa.array([13 if place % 20 == 5 and stamp.run_id else month for place, month in enumerate(months)]),
        ).append_column("age", pa.array(rng.integers(1, 40, count).astype(float)))  # fmt: skip
        if crew is not None:
            orders = orders.append_column("crew", pa.array([crew] * count, pa.int64()))
        rules = Rules("order_id", books.deployment.features, pa.array([], pa.string()))
        wanted = ["order_id", *books.deployment.features]
        parted = rules.apply(orders.select(wanted).combine_chunks().to_batches()[0])
        return prediction_rows(parted, scorer, stamp, books.random_bytes), quarantine_rows(parted, stamp)

    def score(self, run: str, day: date, count: int, seed: int) -> None:
        """A batch run: in the ledger, in the gold table, on record. Not sealed."""
        books = self.open()
        prepare_gold_of(books)
        with (
            books.ledger.prediction_files(day, run) as predictions,
            books.ledger.quarantine_files(day, run) as quarantine,
        ):
            for part in range(0, count, 100):
                moment = datetime(2026, 3, 2, 2, tzinfo=UTC) + timedelta(milliseconds=part)
                stamp = Stamp(
                    run_id=run, channel="batch", requested_by="os:tester", client_address=None, scored_at=moment
                )
                scored, refused = self.rows(100, stamp, seed + part // 100)
                predictions.write(scored)
                quarantine.write(refused)
            predictions.close()
            quarantine.close()
            books.ledger.commit_quarantine(run, quarantine)
            books.ledger.commit_predictions(run, day, predictions)
        publish(books, run, day)
        books.record("day_scored", run, {"day": day.isoformat()}, once=f"day_scored/{run}")

    def journaled(self, journal: str, count: int, day: date, seed: int, crew: int | None = None) -> pa.RecordBatch:
        """The next rows of a journal, as the API makes them."""
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        stamp = Stamp(
            run_id=None, channel="api", requested_by="https://issuer#caller", client_address="10.0.0.7",
            scored_at=moment,
        )  # fmt: skip
        rows, _ = self.rows(count, stamp, seed, crew)
        last, head = self.heads.get(journal, (0, start_of(journal)))
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        columns |= {
            "journal": pa.array([journal] * count),
            "journal_sequence": pa.array(range(last + 1, last + 1 + count), pa.int64()),
            "chain": pa.nulls(count, pa.string()),
        }
        rows = pa.RecordBatch.from_pydict(columns)
        heads = link(head, row_digests(rows))
        columns["chain"] = pa.array([one.hex() for one in heads])
        self.heads[journal] = (last + count, heads[-1])
        return pa.RecordBatch.from_pydict(columns)

    def drain(self, rows: pa.RecordBatch, before: bytes, name: str) -> None:
        """Put journaled rows into the ledger. Not sealed."""
        books = self.open()
        day = rows.column("scored_at")[0].as_py().date()
        journal, numbers = rows.column("journal")[0].as_py(), rows.column("journal_sequence").to_pylist()
        with books.ledger.stretch_files(day, f"journal-{name}") as files:
            files.write(rows)
            files.close()
            files.stretch = Stretch(
                journal=journal, first=numbers[0], last=numbers[-1], before=before.hex(),
                after=rows.column("chain")[-1].as_py(),
            )  # fmt: skip
            books.tables.commit_files(
                books.ledger.predictions, files, lambda _: {f"journal/{journal}": numbers[-1]}
            )

    def answer(self, journal: str, count: int, day: date, seed: int, crew: int | None = None) -> None:
        """Rows into a journal and from there into the ledger; `crew` is of a feature that came later."""
        before = self.heads.get(journal, (0, start_of(journal)))[1]
        self.drain(self.journaled(journal, count, day, seed, crew), before, f"{journal[:4]}-{seed}")

    def verify(self, *outside: Path, strict: bool = True) -> Report:
        return verify(self.open(datetime.now(UTC)), outside, strict=strict)

    def seal(self) -> None:
        seal(self.open())

    def table(self, name: str) -> Path:
        """Folder of `predictions`, `quarantine`, `events` or `seals`."""
        return Path(self.site.root) / "ledger" / "overrun" / name

    def log(self, name: str, version: int) -> Path:
        return self.table(name) / "_delta_log" / f"{version:020d}.json"

    def last(self, name: str) -> int:
        return max(int(path.stem) for path in (self.table(name) / "_delta_log").glob("*.json"))

    def files(self, name: str, containing: str = "") -> list[str]:
        """Data files that readers see, by name."""
        actions = pa.table(DeltaTable(self.table(name)).get_add_actions())
        return sorted(path for path in actions.column("path").to_pylist() if containing in path)

    def rewrite(self, name: str, file: str, change: Any) -> None:
        """Put other rows into a data file: `change` gets them and hands back what is to stand there."""
        path = self.table(name) / file
        rows = change(pq.read_table(path, partitioning=None))
        pq.write_table(rows, path, compression="zstd", store_schema=False, write_page_checksum=True)

    def edit_log(self, name: str, version: int, change: Any) -> None:
        """Let `change` edit the actions of a log entry."""
        path = self.log(name, version)
        actions = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lines = (json.dumps(action, ensure_ascii=False) for action in change(actions))
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def prepare_gold_of(books: Bookkeeping) -> None:
    books.ledger.prepare(books.deployment)
    prepare_gold(books, pa.string())


def make_books(folder: Path) -> Books:
    """About 1,300 batch rows and 200 journaled ones, in 5 sealings."""
    books = Books.at(folder)
    books.define()
    opened = books.open()
    opened.record(
        "definition_recorded", opened.deployment.sha256, dict(opened.deployment.texts), once="definition"
    )
    opened.record("artifact_approved", "model made version 1", {"artifact_sha256": "0" * 64})
    books.seal()
    books.score("run-a", DAYS[0], 600, seed=1)
    books.seal()
    first, second = JOURNALS
    books.answer(first, 40, DAYS[0], seed=21)
    books.seal()
    books.answer(first, 30, DAYS[0], seed=22)
    books.answer(second, 50, DAYS[1], seed=23)
    books.seal()
    books.score("run-b", DAYS[1], 700, seed=31)
    books.answer(first, 60, DAYS[1], seed=24)
    books.seal()
    return books


def elsewhere(books: Books, to: Path) -> Path:
    """Another office's copies of the checkpoints, and nothing left of the site's own."""
    shutil.copytree(books.folder / "copies", to)
    shutil.rmtree(books.folder / "copies")
    return to
