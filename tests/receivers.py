"""Receivers of notices in tests: a real HTTP server and a real SMTP server of this machine."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Posted:
    """What came in by HTTP.

    Attributes:
        url: of the receiver.
        status: of its answers.
        location: where it redirects to, if its status does.
        body: of answers to GET.
        messages: (headers, body) of each POST.
        asked: headers of each GET.
    """

    url: str = ""
    status: int = 200
    location: str = ""
    body: bytes = b""
    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def http_receiver() -> Iterator[Posted]:
    """An HTTP server that keeps what is posted."""
    posted = Posted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.messages.append((dict(self.headers), body))
            self._answer(b"")

        def do_GET(self) -> None:
            posted.asked.append(dict(self.headers))
            self._answer(posted.body)

        def _answer(self, body: bytes) -> None:
            self.send_response(posted.status)
            if posted.location:
                self.send_header("Location", posted.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        posted.url = f"http://127.0.0.1:{port}/hook"
        yield posted


@dataclass
class Mailbox:
    """What came in by SMTP.

    Attributes:
        port: of the server.
        refuse: commands that are answered with 550.
        mails: (recipients, message) of each.
        logins: lines of AUTH.
    """

    port: int = 0
    refuse: set[str] = field(default_factory=set)
    mails: list[tuple[list[str], str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


class _MailServer(socketserver.ThreadingTCPServer):
    box: Mailbox


class _Smtp(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs that sends a message."""

    server: _MailServer

    def handle(self) -> None:
        self._say("220 here")
        recipients: list[str] = []
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word in self.server.box.refuse:
                self._say("550 no")
                continue
            recipients += [line] if word == "RCPT" else []
            self._answer(word, line, recipients)
            if word == "QUIT":
                return

    def _answer(self, word: str, line: str, recipients: list[str]) -> None:
        if word == "AUTH":
            self.server.box.logins.append(line)
        if word == "DATA":
            self._say("354 go on")
            self.server.box.mails.append((recipients, self._message()))
        answers = {"EHLO": ("250-here", "250 AUTH PLAIN"), "AUTH": ("235 welcome",), "QUIT": ("221 bye",)}
        self._say(*answers.get(word, ("250 well",)))

    def _message(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        return "\n".join(lines)

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def smtp_receiver() -> Iterator[Mailbox]:
    """An SMTP server that keeps what it is given; it has no TLS."""
    server = _MailServer(("127.0.0.1", 0), _Smtp)
    server.box = Mailbox()
    with _serving(server) as port:
        server.box.port = port
        yield server.box


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
