"""Connections that never finish what they began are closed, and those that announce too much (SC-5).

uvicorn bounds bodies that nobody reads, but neither how long a request may take to arrive, nor how large its head
may grow, nor how many connections there are; all that would be spent before anybody is asked who they are. And it
takes the fields after a chunked body (trailers, RFC 9110 section 6.5) for fields of the head: who asks and from
where is told by the head alone (section 6.5.1), so they are left out.
"""

import asyncio
import resource

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fielded.doors.serving.problems import MEDIA_TYPE

ARRIVAL_SECONDS = 20.0  # from a request's first byte (or the connection) to its last, and between two requests
HEAD_BYTES = 32 * 1024  # of request line and headers; of trailers too
HEAD_FIELDS = 100
MOST_CONNECTIONS = "fielded.most_connections"  # in the server's state: how many one worker holds
_SPARE_CONNECTIONS = 64
_SPARE_FILES = 128  # that a worker needs beside its connections


class HeadTooLarge(Exception):
    """A request's head has more bytes or fields than are taken."""


def most_connections(max_in_flight: int) -> int:
    """Connections that one worker holds: several for each place, as far as the system lets it open files."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted = 4 * max_in_flight + _SPARE_CONNECTIONS
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files - _SPARE_FILES))


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with bounds on heads, on the time of arrival and on connections."""

    _deadline: asyncio.TimerHandle | None = None
    _arriving = True  # nothing came yet, or something is not complete
    _in_head = True
    _upgrading = False  # the head asks for another protocol
    _ignored_upgrade = False
    _head_bytes = 0
    _fields = 0
    _finished = False  # a request was complete in what came last
    _unread_bytes = 0  # since the head began or a piece of the body came
    _head_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """A client connected: it has as long as for a request."""
        super().connection_made(transport)
        most = self.app_state.get(MOST_CONNECTIONS)
        if most is not None and len(self.connections) > most:
            self._refuse(503, "As many connections as this service takes are open. Try again.")
            return
        self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._stop_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came. The usual request is complete in one piece and needs no timer."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._finished = False
        if not self._in_head:
            self._unread_bytes += len(data)  # to nothing again where some of it is the body's
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._in_head and not self._finished:
            self._unread_bytes += len(data)
        if self._arriving and self._unread_bytes > HEAD_BYTES:
            self._head_too_large = True
            self.send_400_response("The request announces too much.")
        elif self._arriving or self.cycle is None or self.cycle.response_complete:
            # Something is not complete, or what came (an empty line) was no request.
            if self._deadline is None:
                self._deadline = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)
        elif self._deadline is not None:
            self._stop_deadline()

    def on_message_begin(self) -> None:
        """A request's first byte was read."""
        super().on_message_begin()
        self._stop_deadline()
        self._arriving = self._in_head = True
        self._head_bytes = self._fields = self._unread_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request line was read."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field was read; one that follows the body is nobody's."""
        if self._in_head:
            self._fields += 1
            self._count(len(name) + len(value) + 4)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head was read. Where it asks for another protocol it is read again without that."""
        self._in_head, self._unread_bytes = False, 0
        self._upgrading = self.parser.should_upgrade()
        if not self._upgrading:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body was read."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request was read."""
        if not self._upgrading:
            self._arriving, self._finished = False, True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was handed over; the client may take its time for the next request."""
        if not self._arriving:
            self._stop_deadline()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """No request came for long."""
        self._give_up()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request, in the API's own form, and close."""
        if self._in_head and self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an earlier request's answer is expected here, not this one
            return
        if self._head_too_large:
            self._refuse(431, "The request's head is too large.")
        else:
            self._refuse(400, msg)

    def _feed(self, data: bytes) -> None:
        """Parse. A request that asks for another protocol is answered in this one (RFC 9110 section 7.8), with its
        body, which the parser would leave to the other protocol.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._ignored_upgrade or self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("a tunnel") from None
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._ignored_upgrade = True
            self.parser.feed_data(head)
            self._ignored_upgrade = False
            rest = data[upgrade.args[0] :]
            if rest:
                self._feed(rest)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version.encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = {token.strip().lower() for token in value.split(b",")} & {b"close", b"keep-alive"}
                lines += [b"connection: " + b", ".join(sorted(kept))] if kept else []
            elif name not in (b"upgrade", b"http2-settings"):
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES or self._fields > HEAD_FIELDS:
            self._head_too_large = True
            raise HeadTooLarge

    def _refuse(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        body = f'{{"type":"about:blank","status":{status},"detail":"{message}"}}'.encode()
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

    def _give_up(self) -> None:
        """Close; at once where the client does not even read what it was sent."""
        self._deadline = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.close()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
