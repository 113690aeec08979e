"""Telling people of an alarm: a signed webhook, and mail. And reading the API's metrics, which goes the same way.

A receiver checks a webhook by computing HMAC-SHA256 with the shared key over `TIMESTAMP.BODY`, TIMESTAMP being
the header `Fielded-Timestamp`, and comparing it with `Fielded-Signature`; one whose timestamp is old is a repeat.

Nothing is followed anywhere else: a redirect is a failure. No reason that is given here has anything of a
message, a key or an answer's content in it.
"""

import hashlib
import hmac
import http.client
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from fielded.definition.serving import HERE
from fielded.definition.watching import Mail, Watching, Webhook
from fielded.words.errors import WrongUse
from fielded.world.secrets import resolve_secret

SIGNATURE, TIMESTAMP, NOTICE = "Fielded-Signature", "Fielded-Timestamp", "Fielded-Notice"
SECONDS = 10.0  # of silence
MAX_METRICS_BYTES = 8 * 1024 * 1024

_DURATION = "fielded_prediction_duration_seconds"


class NotTold(Exception):
    """A message did not arrive, or an answer did not.

    Attributes:
        reason: why, fit for the ledger.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What `Fielded-Signature` holds."""
    mac = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={mac.hexdigest()}"


def post(webhook: Webhook, message: Mapping[str, Any], notice: str, at: datetime) -> None:
    """Post a message as JSON, signed.

    Args:
        webhook: where to, and the reference to the key.
        message: JSON values.
        notice: what names it; the same for each attempt.
        at: the time now, UTC.

    Raises:
        NotTold: no answer, or one that is not 2xx.
    """
    body = json.dumps(message, sort_keys=True, ensure_ascii=False).encode()
    timestamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        NOTICE: notice,
        TIMESTAMP: timestamp,
        SIGNATURE: signature(_secret(webhook.secret), timestamp, body),
    }
    _request(urllib.request.Request(webhook.url, data=body, headers=headers, method="POST"), 1)  # noqa: S310 - the site's settings have seen to the scheme


def send(mail: Mail, to: Sequence[str], subject: str, text: str, at: datetime) -> None:
    """Send a message.

    Args:
        mail: the server, and the reference to its password.
        to: addresses.
        subject: one line.
        text: the body.
        at: the time now, UTC.

    Raises:
        NotTold: the server cannot be reached, its certificate is not trusted, or it does not take the message.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.from_, ", ".join(to), subject
    message["Date"] = format_datetime(at)
    message.set_content(text)
    password = None if mail.password is None else _secret(mail.password)
    try:
        with smtplib.SMTP(mail.host, mail.port, timeout=SECONDS) as server:
            if mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if mail.user is not None and password is not None:
                server.login(mail.user, password)
            server.send_message(message)
    except ssl.SSLError:
        raise NotTold("certificate not trusted, or no TLS") from None
    except smtplib.SMTPResponseException as error:
        raise NotTold(f"mail server answered {error.smtp_code}") from None
    except smtplib.SMTPRecipientsRefused:
        raise NotTold("mail server refused the recipients") from None
    except smtplib.SMTPException as error:
        raise NotTold(f"mail server: {type(error).__name__}") from None
    except OSError as error:
        raise NotTold(_why(error)) from None


def duration_buckets(watching: Watching) -> dict[float, float] | None:
    """The API's histogram of how long answers took: upper bound in seconds -> requests up to it, since its start.

    Returns:
        None where the site names no API.

    Raises:
        NotTold: it does not answer, or has no such histogram.
    """
    if watching.metrics_url is None:
        return None
    headers = {} if watching.token is None else {"Authorization": f"Bearer {_secret(watching.token)}"}
    content = _request(urllib.request.Request(watching.metrics_url, headers=headers), MAX_METRICS_BYTES + 1)  # noqa: S310 - as above
    if len(content) > MAX_METRICS_BYTES:
        raise NotTold("an answer that is too large")
    try:
        buckets = _buckets(content.decode())
    except (ValueError, KeyError, IndexError):
        raise NotTold("an answer that is no Prometheus text") from None
    if not buckets:
        raise NotTold(f"an answer without {_DURATION}")
    return buckets


def _buckets(text: str) -> dict[float, float]:
    """Added up over what else labels tell apart, such as replicas behind one address."""
    found: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        if family.name != _DURATION:
            continue
        for sample in family.samples:
            if sample.name == f"{_DURATION}_bucket":
                bound = float(sample.labels["le"])
                found[bound] = found.get(bound, 0.0) + float(sample.value)
    return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is answered with nothing: what was signed for one place goes to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _request(request: urllib.request.Request, most: int) -> bytes:
    handlers: list[urllib.request.BaseHandler] = [
        _NoRedirects(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if request.host.rpartition(":")[0].strip("[]") in HERE or request.host in HERE:
        handlers.append(urllib.request.ProxyHandler({}))  # of this machine: no proxy in between
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            content: bytes = answer.read(most)
            return content
    except urllib.error.HTTPError as error:
        error.close()
        raise NotTold(f"answered {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotTold(_why(error)) from None


def _secret(reference: str) -> str:
    try:
        return resolve_secret(reference)
    except WrongUse as error:
        raise NotTold(str(error)) from None


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLError):
        return "certificate not trusted"
    return "too slow" if isinstance(reason, TimeoutError) else "no answer"
