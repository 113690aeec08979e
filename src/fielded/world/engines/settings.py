"""How every DuckDB connection here is opened: nothing is downloaded, and memory has a bound."""

from pathlib import Path
from typing import Any

from fielded.definition.site import Site


def duckdb_settings(site: Site, scratch: Path) -> dict[str, Any]:
    """Settings of a connection.

    Args:
        site: for memory before spilling, and threads.
        scratch: existing folder to spill to.
    """
    return {
        "threads": site.workers,
        "memory_limit": f"{site.engine_memory_mib}MiB",
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,  # order costs memory, and no rule here depends on it
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
