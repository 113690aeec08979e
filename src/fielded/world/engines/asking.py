"""Queries over the ledger: a connection that spills, and what DuckDB and Arrow say, without values of rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import ibis
import pyarrow as pa
from deltalake.exceptions import DeltaError

from fielded.definition.site import Site
from fielded.words.errors import Unreachable
from fielded.world.engines.settings import duckdb_settings

_NO_ROOM = "Out of Memory Error"


@contextmanager
def spilling(site: Site, prefix: str) -> Iterator[ibis.BaseBackend]:
    """A connection that spills to a folder of its own, which is gone afterwards.

    Args:
        site: for memory before spilling, threads, and where the folder lies.
        prefix: of the folder's name.
    """
    spill = site.cache / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=spill, prefix=prefix) as scratch:
        connection = ibis.duckdb.connect(**duckdb_settings(site, Path(scratch)))
        try:
            yield connection
        finally:
            connection.disconnect()


@contextmanager
def query_errors(read: str, no_room: str = "", failed: str = "cannot be read", step: str = "") -> Iterator[None]:
    """Errors of a query as the world's own.

    Args:
        read: what is read, such as `table ledger.predictions`.
        no_room: what is told where the query needs more memory than it may have; empty tells that as any other.
        failed: what became of it.
        step: what to do then, a sentence without its full stop.

    Raises:
        Unreachable: the query failed.
    """
    try:
        yield
    except DeltaError as error:
        reason = str(error).splitlines()[0]
        raise Unreachable(f"{read}: cannot be read by this engine ({reason})") from error
    except (duckdb.Error, pa.ArrowInvalid, OSError) as error:  # in the middle of a stream Arrow passes them on
        reason = getattr(error, "strerror", None) or str(error).partition(":")[0].strip()
        if no_room and reason == _NO_ROOM:
            raise Unreachable(no_room) from error
        raise Unreachable(f"{read}: {failed} ({reason}){f'. {step}' if step else ''}") from error


def needs_more(what: str, also: str = "") -> str:
    """What to tell of a query that cannot be held in `engine_memory_mib`."""
    return f"{what}: the query needs more than engine_memory_mib and cannot spill. Raise it in site.yaml{also}"
