"""A scratch site to try things on: a ledger, a journal and a key of its own, and people of its own.

It is a development site whatever the site is, for its key is made on the spot. Roles are asked for there as
anywhere as soon as somebody has one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from fielded.definition.serving import Role
from fielded.services.probe.scratch import scratch_copy
from fielded.services.release.record import state_of
from fielded.words.errors import Refused, Unreachable
from fielded.world.workplace import Workplace

WHY = "a probe on a scratch site"


@contextmanager
def scratch_site(workplace: Workplace) -> Iterator[Workplace]:
    """Make it; it is gone at the end.

    Raises:
        Unreachable: it cannot be made now.
    """
    try:
        with scratch_copy(workplace) as copy:
            yield replace(copy, site=replace(copy.site, environment="development"))
    except Refused as error:
        raise Unreachable(f"scratch site: {error}") from error


def acting(copy: Workplace, user: str, *roles: Role) -> Workplace:
    """The scratch site as somebody with some roles; nobody else has any."""
    return replace(copy, user=user, site=replace(copy.site, roles={user: roles}))


def proposable(workplace: Workplace) -> str:
    """A version that may be proposed there: registered, neither in production nor proposed; the newest of them.

    Raises:
        Unreachable: there is none, or ledger or registry cannot be read.
    """
    state = state_of(workplace)
    taken = {*state.candidates} | ({state.production.version} if state.production else set())
    found = [one.version for one in workplace.registry.versions(workplace.deployment.model.name)]
    free = [version for version in found if version not in taken]
    if not free:
        raise Unreachable("registry: got no second version, expected one to propose on a scratch site")
    return free[-1]
