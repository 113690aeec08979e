"""Who may do what at the command line: roles of identities, by the site (AC-3, AC-6)."""

from collections.abc import Iterable
from dataclasses import replace

from fielded.definition.serving import ROLES, Role
from fielded.definition.site import Site
from fielded.words.errors import Refused
from fielded.world.workplace import Workplace


def roles_of(site: Site, identity: str) -> tuple[str, ...]:
    """Roles of an identity, sorted. In a development site that names none, everybody has all."""
    if not site.roles:
        return tuple(sorted(ROLES)) if site.environment == "development" else ()
    return tuple(sorted(site.roles.get(identity, ())))


def without_release(site: Site, people: Iterable[str]) -> frozenset[str]:
    """Those of `people` who have not the role `release` now, whatever they had when they acted."""
    return frozenset(person for person in people if "release" not in roles_of(site, person))


def acting_as(workplace: Workplace, identity: str, roles: Iterable[Role]) -> Workplace:
    """The workplace of somebody whom the API has let in.

    For this one call the site's roles have those that came with the credentials beside what they had: the identity
    provider grants as much as site.yaml does. Roles of others are as the site has them.

    Args:
        workplace: of the service.
        identity: authenticated, such as `oidc:ada`.
        roles: that the credentials gave.
    """
    site = workplace.site
    if site.roles or site.environment == "production":  # else everybody has all, whom a request names too
        own = {*site.roles.get(identity, ()), *roles}
        site = replace(site, roles={**site.roles, identity: tuple(sorted(own))})
    return replace(workplace, user=identity, site=site)


def require_role(workplace: Workplace, role: Role) -> tuple[str, ...]:
    """The asking person's roles.

    Raises:
        Refused: `role` is none of them.
    """
    roles = roles_of(workplace.site, workplace.user)
    if role not in roles:
        has = ", ".join(roles) or "no role"
        raise Refused(
            f"roles: got {workplace.user} with {has}, expected `{role}`. "
            "Who keeps site.yaml can grant it under `roles`"
        )
    return roles


def require_release(workplace: Workplace) -> tuple[str, ...]:
    """The asking person's roles.

    Raises:
        Refused: `release` is none of them.
    """
    return require_role(workplace, "release")
