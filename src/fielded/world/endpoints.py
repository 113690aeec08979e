"""Ask an HTTP endpoint whether it is ready: one GET, no redirect followed, nothing of its answer kept."""

import http.client
import ssl
from urllib.parse import SplitResult, urlsplit

from fielded.definition.serving import HERE
from fielded.words.errors import Unreachable, WrongUse


class Endpoint:
    """An endpoint that may sleep.

    Args:
        url: `http://` or `https://`, without user or password.
        token: bearer token; empty sends none.
        timeout: seconds that connecting, and each wait for bytes, may take.

    Raises:
        WrongUse: the URL is none, or a token would be sent unencrypted to another machine.
    """

    def __init__(self, url: str, token: str = "", timeout: float = 30.0) -> None:
        self._parts = _checked(url)
        if token and self._parts.scheme == "http" and self._parts.hostname not in HERE:
            raise WrongUse("URL: got http:// with a token, expected https://: anybody on the way could read it")
        if not token.isprintable():
            raise WrongUse("token: got a line end or another control character, expected plain text")
        self._token, self._timeout = token, timeout

    @property
    def name(self) -> str:
        """What it is called in messages: host and path. A query may hold a secret."""
        return f"{self._parts.netloc}{self._parts.path}"

    def status(self) -> int:
        """The HTTP status of its answer now.

        Raises:
            Unreachable: it gave none.
        """
        parts = self._parts
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Accept": "*/*", "User-Agent": "fielded keep-warm"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection()
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unreachable(f"{self.name}: got no answer ({reason})") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout)


def _checked(url: str) -> SplitResult:
    expected = "expected http://HOST/PATH or https://HOST/PATH, without user, password or spaces"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise WrongUse(f"URL: got none that can be read, {expected}") from None
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not plain:
        raise WrongUse(f"URL: got another kind, {expected}")
    return parts
