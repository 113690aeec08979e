"""Evidence that somebody watches: a person, with an address at the agency, who knows it (CA-7, GOVERN 2.1).

1. The definition takes a person's name and own address and no team's; here it is asked whether the address is the
   agency's: of a `.mil` or `.gov` domain. One of an example's domain is told, and passes in a development site
   only.
2. The owner has acknowledged, by an identity that the site says is theirs, within a year, and as they are named
   now.
3. A team's name is refused: tried.
"""

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.definition.deployment import Person
from fielded.definition.site import Site
from fielded.services.evidence.collect import Bench
from fielded.services.readiness.acknowledge import (
    LASTS,
    Acknowledgement,
    anybody,
    identities_of,
    last_acknowledgement,
)

_EXPECTED = "a person with an address at the agency, who has acknowledged"
_AGENCIES = (".mil", ".gov")
_EXAMPLES = ("example.mil", "example.gov", "example.com", "example.org", "example")
_STEP = "Have the owner run `fielded ready acknowledge`"
_TEAMS = (
    {"name": "Operations Team", "email": "ops@agency.mil"},
    {"name": "Alex Example", "email": "mlops-team@agency.mil"},
)


def look(bench: Bench) -> Found:
    """Rules 1 to 3.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    owner, site = workplace.deployment.people.monitoring_owner, workplace.site
    said = last_acknowledgement(workplace)
    current = said is not None and workplace.clock() <= said.until
    checks = (
        _address(owner, site),
        _acknowledged(owner, said, current=current),
        _theirs(owner, site, said),
        _no_team(),
    )
    facts: dict[str, Any] = {
        "owner": asdict(owner),
        "acknowledgement": None if said is None else said.as_dict(),
        "lasts_days": LASTS.days,
        "mapped": list(identities_of(site, owner)),
    }
    return Found(checks, facts, attested_by="" if said is None else said.by)


def _address(owner: Person, site: Site) -> Check:
    """Rule 1."""
    domain = owner.email.rpartition("@")[2].lower()
    example = any(domain == one or domain.endswith(f".{one}") for one in _EXAMPLES)
    good = domain.endswith(_AGENCIES) and not (example and site.environment == "production")
    return Check.of(
        "the address is at an agency",
        good,
        got=f"{domain}{', an example domain' if example else ''}",
        expected=f"a domain of an agency ({' or '.join(_AGENCIES)})",
        step="Name a person with their own address at the agency in people.monitoring_owner",
    )


def _acknowledged(owner: Person, said: Acknowledgement | None, *, current: bool) -> Check:
    """Rule 2: by the one who is named now, in time."""
    got = "nobody has" if said is None else f"{said.name} ({said.email}) on {said.at:%Y-%m-%d}, by {said.by}"
    return Check.of(
        "the owner has acknowledged",
        said is not None and said.of(owner) and current,
        got=got,
        expected=f"{owner.name} ({owner.email}), at most {LASTS.days} days ago",
        step=_STEP,
    )


def _theirs(owner: Person, site: Site, said: Acknowledgement | None) -> Check:
    """Rule 2: by an identity that is theirs as the site has it now."""
    own = identities_of(site, owner)
    got = "nobody has" if said is None else said.by
    if said is not None and anybody(site):
        got += "; this development site maps nobody"
    return Check.of(
        "the identity that acknowledged is the owner's",
        said is not None and (said.by in own or anybody(site)),
        got=got,
        expected=f"an identity that authorization.persons has for {owner.email}",
        step="Name the owner's identities in site.yaml, and have the owner acknowledge",
    )


def _no_team() -> Check:
    """Rule 3."""
    adapter = TypeAdapter(Person)
    taken = []
    for one in _TEAMS:
        try:
            adapter.validate_python(one)
            taken.append(one["name"])
        except ValidationError:
            continue
    return Check.of(
        "a team or its mailbox is refused",
        not taken,
        got=", ".join(taken) or f"{len(_TEAMS)} of {len(_TEAMS)} refused",
        expected=f"{len(_TEAMS)} of {len(_TEAMS)} refused",
        negative=True,
    )


COLLECTOR: Collector[Bench] = Collector(
    id="monitoring-owner",
    title="The monitoring owner is a person who has acknowledged",
    look=look,
    holds_for=LASTS,
    expected=_EXPECTED,
)
