"""A copy of a site to rehearse on. Nothing of the site itself is written.

Copied are the events table, file by file with its log, so that appending onto a count works as it does there; some
recorded prediction rows; the site's own copies of model files; and aliases and version numbers, into an MLflow
store of the copy's own. Everything else is its own and new: journals (SQLite), seals, a token, a port of this
machine, and a signing key that nobody trusts: two histories that one key has signed would be a split view.

The folder holds recorded rows and is its owner's alone. It is removed at the end, and by the next rehearsal where
this process was killed.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from fielded.decisions.release.acts import Pinned
from fielded.decisions.rows import JOURNALED, PARTITION, predictions_schema
from fielded.definition.deployment import Deployment
from fielded.definition.loading import load_deployment
from fielded.definition.serving import Identity
from fielded.definition.site import Site, load_site
from fielded.words.digests import folder_sha256
from fielded.words.errors import FieldedError, Refused, Unreachable
from fielded.world.ledger import Ledger
from fielded.world.recorded_rows import recorded_rows
from fielded.world.registry import RegisteredVersion
from fielded.world.registry_copy import make_registry
from fielded.world.tables import DeltaTables
from fielded.world.workplace import Workplace

SAMPLE_ROWS = 400  # of each version
_OPENING = "fielded-drill-"
_VERSION_DIGITS = 20  # a log's files begin with their version
_LAST_CHECKPOINT = "_last_checkpoint"
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A copy that is ready to be served.

    Attributes:
        folder: everything lies below it.
        deployment: the definition, in a folder of the copy.
        site: of the copy.
        site_file: its site.yaml.
        token: whoever calls its API sends it.
        sampled: request ids of the copied prediction rows.
        replaced: what is not as at the site and so is not rehearsed, in words.
    """

    folder: Path
    deployment: Deployment
    site: Site
    site_file: Path
    token: str
    sampled: frozenset[str]
    replaced: tuple[str, ...]


@contextmanager
def rehearsal_folder(site: Site, within: Path | None) -> Iterator[Path]:
    """A folder of its own, removed at the end however that comes about; also what earlier ones left behind.

    Args:
        site: whose cache it lies in: a local disk, as journals need one, that is there to be thrown away.
        within: where else.

    Raises:
        Refused: another rehearsal runs there.
        Unreachable: it cannot be made.
    """
    parent = within or site.cache
    try:
        parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(parent, os.O_RDONLY)
    except OSError as error:
        raise Unreachable(f"{parent}: got {error.strerror}, expected a folder to rehearse in") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"{parent}: got another drill that runs here, expected none. Wait for its end, or name another "
                "folder with --folder"
            ) from None
        for left_behind in parent.glob(f"{_OPENING}*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        try:
            folder = Path(tempfile.mkdtemp(prefix=_OPENING, dir=parent)).resolve()
        except OSError as error:
            raise Unreachable(f"{parent}: got {error.strerror}, expected a folder to rehearse in") from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def copy_site(
    workplace: Workplace, folder: Path, pinned: Sequence[Pinned], aliases: Mapping[str, Pinned], workers: int
) -> Rehearsal:
    """Make the copy.

    Args:
        workplace: the deployment at the site that is copied.
        folder: empty, and its owner's alone.
        pinned: versions whose files are needed.
        aliases: where they stand.
        workers: processes that will serve it.

    Raises:
        Unreachable: something of the site cannot be read, or the copy cannot be written.
    """
    try:
        return _copy_site(workplace, folder, pinned, aliases, workers)
    except OSError as error:
        raise Unreachable(
            f"drill: the site could not be copied ({error.strerror or type(error).__name__}). Look for room at "
            f"{folder.parent}, or name another folder with --folder"
        ) from error


def _copy_site(
    workplace: Workplace, folder: Path, pinned: Sequence[Pinned], aliases: Mapping[str, Pinned], workers: int
) -> Rehearsal:
    deployment = _copy_definition(workplace.deployment, folder / "deployment")
    token = workplace.random_bytes(_TOKEN_BYTES).hex()
    site_file = _write_site(workplace.site, folder, workers, token)
    site = load_site({}, folder, site_file)
    tables = DeltaTables(site)
    ledger = Ledger(tables, site, deployment.name)
    events = workplace.tables.pin(workplace.ledger.events)
    copy_table(Path(events.uri), Path(tables.uri(ledger.events)), events.version)
    ledger.prepare(deployment)
    sampled = _copy_rows(workplace, ledger, deployment, pinned)
    files = _copy_files(workplace, site, folder / "registry", pinned)
    make_registry(
        site.tracking_uri, deployment.model.name, files, {name: one.version for name, one in aliases.items()}
    )
    return Rehearsal(
        folder=folder,
        deployment=deployment,
        site=site,
        site_file=site_file,
        token=token,
        sampled=sampled,
        replaced=tuple(replaced_of(workplace.site)),
    )


def copy_table(source: Path, target: Path, version: int) -> None:
    """Copy a Delta table as it was at a version, its log with it, while others may write to it.

    Data files are never written over, so those that the version names are there and whole. Its log comes last:
    what is committed meanwhile has a later number, and is left out.
    """
    log = "_delta_log"
    shutil.copytree(
        source,
        target,
        ignore=lambda place, _names: [log] if Path(place) == source else [],
        copy_function=_copy_if_there,
    )
    (target / log).mkdir()
    for path in sorted((source / log).iterdir()):
        number = path.name[:_VERSION_DIGITS]
        if path.is_file() and number.isdecimal() and int(number) <= version:
            shutil.copyfile(path, target / log / path.name)
    newest = source / log / _LAST_CHECKPOINT
    if newest.is_file():
        text = newest.read_text(encoding="utf-8")
        if int(json.loads(text)["version"]) <= version:
            (target / log / _LAST_CHECKPOINT).write_text(text, encoding="utf-8")


def _copy_if_there(source: str, target: str) -> None:
    """A writer who lost his turn deletes his file; no version names it."""
    with suppress(FileNotFoundError):
        shutil.copyfile(source, target)


def replaced_of(site: Site) -> Iterator[str]:
    """What of a site a rehearsal does not have, in words without hosts or paths."""
    yield "the network and whatever balances load: callers are on this machine"
    yield "the signing key, by one of the rehearsal"
    scheme = site.tracking_uri.partition(":")[0]
    what = "the registry's store" if scheme.startswith("sqlite") else f"the registry ({scheme})"
    yield f"{what}, by one of the rehearsal in SQLite"
    if not site.journal_url.startswith("sqlite"):
        yield "the journal in PostgreSQL, by one in SQLite"
    told = [name for name in ("oidc", "proxy") if getattr(site.identity, name) is not None]
    if told:
        yield f"identity ({', '.join(told)}), by a token of the rehearsal"
    if site.api.tls_certificate is not None:
        yield "TLS, by plain HTTP on this machine"
    if site.api.rate_per_minute:
        yield f"api.rate_per_minute {site.api.rate_per_minute}, by no limit: all callers are one identity"
    if site.environment == "production":
        yield "environment production, by development: no other takes a token of its own"
    if site.checkpoints is not None:
        yield "the folder of checkpoints, by none"


def _copy_definition(deployment: Deployment, folder: Path) -> Deployment:
    """The texts that were read, not the files as they may be now."""
    for name, text in deployment.texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return load_deployment(folder)


def _write_site(site: Site, folder: Path, workers: int, token: str) -> Path:
    secret = folder / "token"
    secret.touch(mode=0o600)
    secret.write_text(token, encoding="utf-8")
    copied = replace(
        site,
        root=str(folder / "tables"),
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        artifact_root=str(folder / "artifacts"),
        cache=folder / "cache",
        environment="development",
        journal_url=f"sqlite:///{folder / 'journal'}",
        signing_key=f"file:{folder / 'keys' / 'seal.pem'}",
        trusted_keys=(),
        checkpoints=None,
        identity=Identity(development_token=f"file:{secret}"),
        api=replace(
            site.api,
            host="127.0.0.1",
            port=0,
            workers=workers,
            tls_certificate=None,
            tls_key=None,
            rate_per_minute=0,
        ),
    )
    (folder / "tables").mkdir()
    path = folder / "site.yaml"
    # What an authorization says changes nothing in how a rollback goes.
    fields = {name: getattr(copied, name) for name in copied.__dataclass_fields__ if name != "authorization"}
    fields["roles"] = {name: list(roles) for name, roles in copied.roles.items()}
    path.write_text(
        json.dumps(_without_none(fields), default=_plain, indent=1), encoding="utf-8"
    )  # YAML all the same
    return path


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else _without_none(asdict(value))


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _copy_rows(
    workplace: Workplace, ledger: Ledger, deployment: Deployment, pinned: Sequence[Pinned]
) -> frozenset[str]:
    """Some rows of each version, as recorded but for the places they had in journals that are not copied."""
    table = workplace.tables.find(workplace.ledger.predictions)
    if table is None:
        return frozenset()
    held = {field.name for field in table.schema().fields}  # the site's table may be older than a column
    wanted = [field for field in predictions_schema(deployment.features) if field.name not in JOURNALED.names]
    columns = [field.name for field in wanted if field.name in held]
    rows = [row for one in pinned for row in recorded_rows(table, one.version, one.sha256, SAMPLE_ROWS, columns)]
    schema = pa.schema([field for field in wanted if field.name != PARTITION])
    for day in sorted({row[PARTITION] for row in rows}):
        of_day = [row for row in rows if row[PARTITION] == day]
        name = f"sample-{day}"
        with ledger.prediction_files(day, name) as files:
            files.write(pa.RecordBatch.from_pylist(of_day, schema=schema))
            files.close()
            ledger.commit_predictions(name, day, files)
    return frozenset(str(row["request_id"]) for row in rows)


def _copy_files(workplace: Workplace, site: Site, folder: Path, pinned: Sequence[Pinned]) -> dict[str, Path]:
    """Each version's files: the site's own copy where it is what was approved, else as the registry has them now.

    Returns:
        Version -> folder that the copy's registry is to name; it is not there where no files can be had.
    """
    found = {}
    for one in pinned:
        place = folder / one.version
        kept = site.cache / "models" / one.sha256
        own = workplace.site.cache / "models" / one.sha256
        if own.is_dir() and not kept.exists():
            shutil.copytree(own, kept, symlinks=True)
            if not _is(kept, one.sha256):
                shutil.rmtree(kept)
        found[one.version] = kept if kept.is_dir() else place
        if kept.is_dir():
            continue
        try:
            workplace.registry.download(RegisteredVersion(workplace.deployment.model.name, one.version), place)
        except FieldedError:
            shutil.rmtree(place, ignore_errors=True)  # then there is no way back, which the drill will tell
    return found


def _is(folder: Path, sha256: str) -> bool:
    try:
        return folder_sha256(folder) == sha256
    except (OSError, ValueError):
        return False
