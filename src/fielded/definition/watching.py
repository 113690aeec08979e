"""The parts of a site that concern the watch: whom an alarm reaches and how, and where latency is read.

Nothing here is a secret: where one is needed, a reference stands (`env:NAME`, `file:PATH` or
`aws-secretsmanager:ARN`).
"""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from fielded.definition.serving import HERE, SecretRef, safe_url

_CONFIG = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _place(text: str) -> str:
    """Nobody on the way may read or change what is sent."""
    return safe_url(
        text, "https://HOST/..., or http:// on 127.0.0.1, [::1] or localhost; no user or password in it"
    )


_Url = Annotated[str, AfterValidator(_place)]
_Address = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;:]+@[^@\s<>,;:]+$")]


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Webhook:
    """Where alarms are posted as JSON.

    Attributes:
        url: `https://...`, or `http://` on this machine.
        secret: reference to the key of the message's HMAC-SHA256, by which the receiver knows who sent it.
    """

    url: _Url
    secret: SecretRef


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Mail:
    """What takes mail to the monitoring owner of the definition.

    Attributes:
        host: of the mail server (SMTP).
        port: of the mail server.
        from_: the sender's address. Written `from`.
        starttls: whether the connection is turned into TLS before anything is said; only a server on this machine
            may do without.
        user: name to log in with; None logs nobody in.
        password: reference to its password.
    """

    host: Annotated[str, StringConstraints(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    from_: Annotated[_Address, Field(alias="from")]
    starttls: bool = True
    user: Annotated[str, StringConstraints(min_length=1)] | None = None
    password: SecretRef | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> "Mail":
        if not self.starttls and self.host not in HERE:
            raise ValueError("`starttls: true` for a server that is not this machine")
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` together")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Notify:
    """Whom an alarm reaches.

    Attributes:
        webhook: a service of the site; None tells none.
        mail: to the monitoring owner of the definition; None writes none.
    """

    webhook: Webhook | None = None
    mail: Mail | None = None


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Watching:
    """What the monitor reads besides the ledger.

    Attributes:
        metrics_url: of the API's `/metrics`, for its latency; None leaves latency unknown.
        token: reference to a bearer token that it wants; None sends none.
    """

    metrics_url: _Url | None = None
    token: SecretRef | None = None
