"""The site as far as an authorization speaks of it: its parts, put on record whenever one is another.

A site never travels and may be changed by whoever keeps site.yaml, who leaves no event. Evidence and packages are
made beside a record of what the site was then, so that a later look can say what is otherwise. Roles, the
environment and the tool are kept as they are; of the other parts a digest, for they hold hosts and paths.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from fielded.decisions.ato.changes import SITE_RECORDED, parts_sha256
from fielded.definition.site import Site
from fielded.services.evidence.collect import tool
from fielded.services.release.record import about
from fielded.services.release.rollback import sealed
from fielded.words.digests import value_sha256
from fielded.words.errors import FieldedError
from fielded.world.keys import trusted_keys
from fielded.world.workplace import Workplace

_PLACES = ("root", "tracking_uri", "artifact_root", "journal_url", "ledger")


def site_parts(site: Site) -> dict[str, Any]:
    """The parts as JSON values, named as `decisions.ato.touches` names them after `site.`."""
    return {
        "tool": tool(),
        "environment": site.environment,
        "roles": {identity: sorted(roles) for identity, roles in sorted(site.roles.items())},
        "identity": _digest(site.identity),
        "authorization": _digest(site.authorization),
        "api": _digest(site.api),
        "storage": value_sha256({name: _without_user(str(getattr(site, name))) for name in _PLACES}),
        "keys": _keys(site),
        "watching": value_sha256({"notify": _plain(site.notify), "monitoring": _plain(site.monitoring)}),
    }


def record_site(workplace: Workplace) -> bool:
    """Put the site's parts on record, where they are others than those there; whether they were.

    Raises:
        Unreachable: the ledger.
    """
    parts = site_parts(workplace.site)
    known = workplace.ledger.events_of(SITE_RECORDED, about(workplace))
    if known and known[-1]["details"].get("parts") == parts:
        return False
    workplace.record(SITE_RECORDED, about(workplace), {"parts": parts, "sha256": parts_sha256(parts)})
    sealed(workplace)  # where it cannot be, evidence of the audit log says so
    return True


def _digest(value: Any) -> str:
    return value_sha256(_plain(value))


def _keys(site: Site) -> list[str] | str:
    """Ids of the keys that are believed; why there are none where they cannot be had."""
    try:
        return [key.key_id for key in trusted_keys(site)]
    except FieldedError as error:
        return type(error).__name__


def _without_user(uri: str) -> str:
    """A URI without the user and password in it: not even a digest is made of those."""
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _plain(value: Any) -> Any:
    """Frozen values as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, PurePath | date) else value
