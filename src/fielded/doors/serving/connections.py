"""Connections that never finish what they began are closed, and those that announce too much (SC-5).

uvicorn bounds bodies that nobody reads, but neither how long a request may take to arrive nor how large its head
may grow; both would be spent before anybody is asked who they are.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fielded.doors.serving.problems import MEDIA_TYPE

ARRIVAL_SECONDS = 20.0  # from a request's first byte (or the connection) to its last
HEAD_BYTES = 32 * 1024  # of request line and headers


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a bound on the head and on the time of arrival."""

    _deadline: asyncio.TimerHandle | None = None
    _arriving = True  # nothing came yet, or something is not complete
    _in_head = True
    _head_bytes = 0
    _head_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """A client connected: it has as long as for a request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came. The usual request is complete in one piece and needs no timer."""
        super().data_received(data)
        if not self._arriving:
            if self._deadline is not None:
                self._stop_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)
        if self._in_head and self._arriving:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._head_too_large = True
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """A request's first byte was read."""
        super().on_message_begin()
        self._arriving = self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head was read."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request was read."""
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request, in the API's own form, and close."""
        status = 431 if self._head_too_large else 400
        body = f'{{"type":"about:blank","status":{status},"detail":"{msg}"}}'.encode()
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
