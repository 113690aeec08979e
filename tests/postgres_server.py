"""A real PostgreSQL server for tests: Debian's binaries, a folder of its own, loopback only."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

_ACCOUNT = "postgres"  # the server refuses to run as root
_SETTINGS = """
listen_addresses = '127.0.0.1'
shared_buffers = 16MB
max_connections = 40
log_destination = stderr
"""


def postgres_programs() -> Path | None:
    """The folder of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class PostgresServer:
    """A server that a test may stop, start and set as it likes.

    Args:
        programs: folder with `initdb` and `pg_ctl`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        # Not pytest's folder: nobody but its owner may enter that one. A socket's path is short, too.
        self.folder = Path(tempfile.mkdtemp(prefix="fielded-pg-"))
        self._data = self.folder / "data"
        self._account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._account:
            shutil.chown(self.folder, _ACCOUNT, _ACCOUNT)
        self.password = secrets.token_urlsafe(12)
        self.port = _free_port()
        self._make()

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://fielded:{self.password}@127.0.0.1:{port or self.port}/{database}"

    def fresh_url(self) -> str:
        """The URL of a new, empty database."""
        name = f"t_{secrets.token_hex(6)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def emptied_url(self) -> str:
        """The URL of the one database that always exists, without what fielded makes in it: far quicker."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("DROP SCHEMA IF EXISTS fielded CASCADE")
        return self.url()

    def start(self) -> None:
        self._control("start", "-w", "-o", f"-k {self.folder} -p {self.port}", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", "-w", "-m", mode)

    def set(self, **settings: str) -> None:
        """Change settings that need no restart; an empty value takes the change back."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for name, value in settings.items():
                change = f"SET {name} = '{value}'" if value else f"RESET {name}"
                connection.execute(f"ALTER SYSTEM {change}")
        self._control("reload")

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        if self._account:
            shutil.chown(secret, _ACCOUNT, _ACCOUNT)
        self._run(
            "initdb", "-D", str(self._data), "-U", "fielded", "--pwfile", str(secret), "-A", "scram-sha-256",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], check=True, cwd=self.folder, env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, **self._account,
        )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
