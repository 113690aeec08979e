import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from fielded.doors.serving.logs import LineWriter, Logs

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@contextmanager
def logging_to(stream: Any) -> Iterator[Logs]:
    writer = LineWriter(stream)
    yield Logs(writer, lambda: NOW)
    writer.close()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_of_several_threads_come_out_whole() -> None:
    stream = io.StringIO()
    with logging_to(stream) as logs:
        threads = [
            threading.Thread(target=lambda: [logs.event("info", "x" * 500, place=place) for place in range(300)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(lines(stream)) == 1200


def test_a_caller_s_name_cannot_break_a_line() -> None:
    stream = io.StringIO()
    name = 'oidc:a"\n{"event":"forged"}\u2028'
    with logging_to(stream) as logs:
        logs.request(
            request_id=None, method="POST", route="/score", status=401, seconds=0.25, caller=name,
            client_address='1.2.3.4"', reason="expired",
        )  # fmt: skip
    (line,) = lines(stream)
    assert line["caller"] == name
    assert (line["time"], line["level"], line["duration_ms"]) == (
        "2026-03-02T08:30:00.000+00:00",
        "warning",
        250.0,
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [("sklearn.encoder", "unknown category %s"), ("fielded.live", "unknown category MARK"), ("py.warnings", None)],
)
def test_a_library_s_message_is_written_without_its_values(name: str, shown: str | None) -> None:
    stream = io.StringIO()
    record = logging.LogRecord(
        name, logging.WARNING, "file", 1, "unknown category %s", ("MARK",), (ValueError, ValueError("MARK"), None)
    )
    with logging_to(stream) as logs:
        logs.record(record)
    (line,) = lines(stream)
    assert line.get("message") == shown
    assert line["exception"] == "ValueError"
    assert line["logger"] == name
    assert "Traceback" not in stream.getvalue()


def test_a_reader_that_is_gone_stops_nothing() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with logging_to(Closed()) as logs:
        logs.event("info", "one")
        logs.flush()
        logs.event("info", "two")
