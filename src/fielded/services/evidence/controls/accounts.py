"""Evidence of who has which role, and that it is no more than that (AC-2, AC-6).

1. The site names who has which role. Where it names nobody, everybody has all of them or nobody has any: neither
   manages accounts.
2. Nobody has every role, and no role but `score` is given to everybody with a certificate.
3. The roles as they are now are on record, so that a change of them is to be seen by the next look.
4. On a scratch site: who has the role `release` may propose a version; the same person without it is refused at
   once, and nothing of the attempt comes about.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from fielded.decisions.assurance.collector import Collector, Found
from fielded.decisions.assurance.evidence import Check
from fielded.decisions.ato.changes import SITE_RECORDED
from fielded.definition.serving import ROLES
from fielded.definition.site import Site
from fielded.services.evidence.collect import Bench
from fielded.services.evidence.controls.scratch import WHY, acting, proposable, scratch_site
from fielded.services.release.candidates import propose
from fielded.services.release.record import about
from fielded.words.errors import FieldedError, Refused
from fielded.world.workplace import Workplace

_NAME = "Name who has which role under `roles` in site.yaml, and nobody more than they need"
_REPORT = "Do not release here before this is understood. Report it to those who maintain fielded"
_SCRATCH = "os:scratch"


def look(bench: Bench) -> Found:
    """Rules 1 to 4.

    Raises:
        FieldedError: the ledger cannot be read.
    """
    workplace = bench.workplace
    site = workplace.site
    everyone = _everyone(site)
    acts = Counter(_actors(workplace))
    checks = (
        Check.of("the site names who has which role", bool(everyone), got=f"{len(everyone)} identities and groups",
                 expected="at least one", step=_NAME),
        _not_all(everyone),
        _not_everybody(site),
        _on_record(workplace),
        _role_is_asked_for(workplace),
    )  # fmt: skip
    facts = {
        "accounts": [{"identity": who, "roles": list(roles), "acts": acts.get(who, 0)} for who, roles in
                     everyone.items()],
        "count": len(everyone),
        "by_role": {role: sum(role in roles for roles in everyone.values()) for role in sorted(ROLES)},
        "without_act": sum(not acts.get(who) for who in site.roles),
        "acted_without_role": sorted(set(acts) - set(site.roles)),
    }  # fmt: skip
    return Found(checks, facts)


def _everyone(site: Site) -> dict[str, Sequence[str]]:
    """Identities of the command line, and groups and certificates of the API, with their roles."""
    found: dict[str, Sequence[str]] = {who: tuple(sorted(roles)) for who, roles in sorted(site.roles.items())}
    oidc, proxy = site.identity.oidc, site.identity.proxy
    grants = (("group", {} if oidc is None else oidc.roles), ("certificate", {} if proxy is None else proxy.roles))
    for kind, roles in grants:
        held: dict[str, list[str]] = {}
        for role, whom in roles.items():
            for one in whom:
                held.setdefault(f"{kind} {one}", []).append(role)
        found |= {who: tuple(sorted(has)) for who, has in sorted(held.items())}
    return found


def _actors(workplace: Workplace) -> list[str]:
    table = workplace.tables.open(workplace.ledger.events)
    actors: list[str] = table.to_pyarrow_dataset().to_table(columns=["actor"]).column("actor").to_pylist()
    return actors


def _not_all(everyone: Mapping[str, Sequence[str]]) -> Check:
    """Rule 2."""
    too_many = [who for who, roles in everyone.items() if set(roles) >= ROLES]
    return Check.of(
        "nobody has every role", not too_many and bool(everyone),
        got=f"{len(too_many)} have" if everyone else "no roles are named, so everybody has", expected="nobody",
        step=_NAME,
    )  # fmt: skip


def _not_everybody(site: Site) -> Check:
    """Rule 2."""
    proxy = site.identity.proxy
    wide = [] if proxy is None else [role for role, whom in proxy.roles.items() if "*" in whom and role != "score"]
    return Check.of(
        "no role but to score is everybody's", not wide, got=", ".join(wide) or "none is", expected="none",
        step="Name the subjects under identity.proxy.roles instead of *",
    )  # fmt: skip


def _on_record(workplace: Workplace) -> Check:
    """Rule 3."""
    now = {who: sorted(roles) for who, roles in sorted(workplace.site.roles.items())}
    events = workplace.ledger.events_of(SITE_RECORDED, about(workplace))
    known = events[-1]["details"].get("parts", {}).get("roles") if events else None
    return Check.of(
        "the roles as they are now are on record", known == now,
        got="the same" if known == now else ("others" if events else "none"), expected="the same",
        step="Run `fielded ato collect`, which puts them on record",
    )  # fmt: skip


def _role_is_asked_for(workplace: Workplace) -> Check:
    """Rule 4."""
    name, expected = "who lost a role is refused at once", "done with the role; refused without it, with no event"
    try:
        version = proposable(workplace)
        with scratch_site(workplace) as copy:
            before = len(_actors(copy))
            refused = _refused(acting(copy, _SCRATCH, "audit", "review", "score"), version)
            untouched = len(_actors(copy)) == before
            done = not _refused(acting(copy, _SCRATCH, "release"), version)
    except FieldedError as error:
        return Check.missing(name, why=str(error), expected=expected, step="Mend it, and collect again",
                             negative=True)  # fmt: skip
    got = f"{'done' if done else 'refused'} with it, {'refused' if refused else 'done'} without it"
    return Check.of(name, done and refused and untouched, got=got, expected=expected, step=_REPORT, negative=True)


def _refused(somebody: Workplace, version: str) -> bool:
    try:
        propose(somebody, version, WHY)
    except Refused:
        return True
    return False


COLLECTOR: Collector[Bench] = Collector(
    id="accounts",
    title="Who has which role, and what becomes of a role that was taken away",
    look=look,
    holds_for=timedelta(days=30),
    expected="a site with roles, and its ledger",
)
