"""Logs: one JSON line for each request, and for what the service and its libraries have to say.

A line never holds a feature's value, a subject, a token, a query or a stack. A library's own message is written
as its template, without what it would fill in; only this package's and uvicorn's are written out.

Lines are handed to the stream by a thread of their own, many at a time: writing each by itself would cost a
request as much as reading it.
"""

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

_PAUSE = 0.1  # seconds that lines are gathered
FLUSH_SECONDS = 1.0  # that somebody waits for the stream to take what is held
_PIECE = 4096  # bytes that a pipe takes as a whole, on Linux
_SHORT = 16  # characters of a text that is left out rather than cut
_MOST_LINES = 100_000  # held while the stream does not take them; more are lost, and that is said
_TRUSTED = ("fielded", "uvicorn")  # loggers whose arguments hold nothing of a request's body


class LineWriter:
    """Writes lines to a stream from a thread of its own.

    Several processes may share the stream: it is written to in pieces that end with a line and that a pipe takes
    as a whole (POSIX, `PIPE_BUF`), past the stream's own buffer.

    Args:
        stream: usually standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            self._file: int | None = stream.fileno()
        except (OSError, ValueError):  # it is in memory
            self._file = None
        self._lines: deque[str | threading.Event] = deque()
        self._some = threading.Event()
        self._hurry = threading.Event()
        self._stop = threading.Event()
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="fielded-logs", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Have a line written soon; never blocks."""
        if len(self._lines) >= _MOST_LINES:
            self._lost += 1
            return
        self._lines.append(line)
        if not self._some.is_set():
            self._some.set()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Have what is held written now.

        Args:
            seconds: to wait for that; whoever reads the stream may have stopped to.

        Returns:
            Whether it was written.
        """
        written = threading.Event()
        self._lines.append(written)
        self._some.set()
        self._hurry.set()
        return written.wait(seconds)

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Write what is left, as far as it is taken in that time, and end."""
        self._stop.set()
        self._some.set()
        self._hurry.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._hurry.wait(_PAUSE)
            self._hurry.clear()
            self._some.clear()
            self._write_out()
        self._write_out()

    def _write_out(self) -> None:
        lines: list[str] = []
        waiting: list[threading.Event] = []
        for _ in range(len(self._lines)):
            item = self._lines.popleft()
            if isinstance(item, str):
                lines.append(item)
            else:
                waiting.append(item)
        if self._lost:
            lost, self._lost = self._lost, 0
            lines.append(json.dumps({"level": "error", "event": "log lines lost", "lines": lost}))
        try:
            for piece in _pieces(lines):
                self._put(piece)
        except (OSError, ValueError):  # nobody reads them; that is no reason to stop answering
            self._lost += len(lines)
        for event in waiting:
            event.set()

    def _put(self, piece: bytes) -> None:
        if self._file is None:
            self._stream.write(piece.decode())
            self._stream.flush()
            return
        while piece:
            piece = piece[os.write(self._file, piece) :]


def _pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Lines together, as far as a pipe takes them at once."""
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        encoded = line.encode() + b"\n"
        if len(encoded) > _PIECE:
            encoded = _cut(line).encode() + b"\n"
        if size + len(encoded) > _PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
        gathered.append(encoded)
        size += len(encoded)
    if gathered:
        yield b"".join(gathered)


def _cut(line: str) -> str:
    """A line that is too long as a shorter one that is JSON too: its longest texts lose their ends."""
    fields: dict[str, Any] = {**json.loads(line), "cut": True}
    while len(line := json.dumps(fields)) >= _PIECE:
        name = max(fields, key=lambda name: len(json.dumps(fields[name])))
        value = fields[name]
        if isinstance(value, str) and len(value) > _SHORT:
            fields[name] = value[: len(value) // 2]
        else:
            del fields[name]
    return line


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a request's last row stands: an anchor outside of the ledger.

    Attributes:
        journal: its id.
        sequence: the row's number in it.
        chain: head of the journal's chain after the row, hexadecimal.
    """

    journal: str
    sequence: int
    chain: str

    def __str__(self) -> str:
        return f"{self.journal}/{self.sequence}/{self.chain}"


class Logs:
    """What the API logs.

    Args:
        writer: where lines go.
        clock: the time now, UTC.
    """

    def __init__(self, writer: LineWriter, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._clock = clock

    def flush(self) -> None:
        """Write what is held, now."""
        self._writer.flush()

    def request(  # noqa: PLR0913 - the fields of a line
        self,
        *,
        request_id: str | None,
        method: str,
        route: str,
        status: int,
        seconds: float,
        caller: str | None,
        client_address: str,
        reason: str | None,
        receipt: Receipt | None = None,
    ) -> None:
        """One request that was answered. `route` is a template, never the path that was sent."""
        time = self._clock().isoformat(timespec="milliseconds")
        level = "error" if status >= 500 else "warning" if reason else "info"  # noqa: PLR2004 - 5xx
        identity = "null" if request_id is None else f'"{request_id}"'
        who = "null" if caller is None else json.dumps(caller)
        why = "null" if reason is None else f'"{reason}"'
        held = ""
        if receipt is not None:
            held = f',"journal":{json.dumps(receipt.journal)},"sequence":{receipt.sequence}'
            held += f',"chain":"{receipt.chain}"'
        self._writer.write(
            f'{{"time":"{time}","level":"{level}","event":"request","request_id":{identity},'
            f'"method":"{method}","route":"{route}","status":{status},"duration_ms":{seconds * 1000:.3f},'
            f'"caller":{who},"client_address":{json.dumps(client_address)},"reason":{why}{held}}}'
        )

    def event(self, level: str, event: str, **fields: Any) -> None:
        """Something the service did, or that befell it."""
        time = self._clock().isoformat(timespec="milliseconds")
        self._writer.write(json.dumps({"time": time, "level": level, "event": event, **fields}))

    def record(self, record: logging.LogRecord) -> None:
        """A line of Python's own logging."""
        trusted = record.name.partition(".")[0] in _TRUSTED
        fields: dict[str, Any] = {"logger": record.name}
        if record.name != "py.warnings":  # a warning's text may show values
            fields["message"] = record.getMessage() if trusted else str(record.msg)
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = record.exc_info[0].__name__
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        self._writer.write(json.dumps({"time": time, "level": level, "event": "log", **fields}))


class _Handler(logging.Handler):
    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        self._logs.record(record)


def take_over_logging(logs: Logs) -> None:
    """Send every logger's lines through `logs`: also of libraries that brought a handler of their own."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [_Handler(logs)]
    root.setLevel(logging.WARNING)
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    for name in _TRUSTED:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").propagate = False  # it writes paths and queries as they were sent


def let_go_of_logging() -> None:
    """Undo `take_over_logging`: its handler would outlive the interpreter's modules and keep them all."""
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers.clear()
