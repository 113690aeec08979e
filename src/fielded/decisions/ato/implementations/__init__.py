"""What fielded implements of SP 800-53, family by family; each control once."""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from fielded.decisions.ato.baselines import order_of
from fielded.decisions.ato.implementations import ac, au, ca, cm, cp, ia, ra, sa, sc, si
from fielded.decisions.ato.implementations.implementation import Implementation

_ALL = tuple(chain.from_iterable(family.IMPLEMENTATIONS for family in (ac, au, ca, cm, cp, ia, ra, sa, sc, si)))

IMPLEMENTATIONS: Mapping[str, Implementation] = MappingProxyType(
    {one.control: one for one in sorted(_ALL, key=lambda one: order_of(one.control))}
)


def evidence_of_control(control: str) -> tuple[str, ...]:
    """Ids of the evidence that fielded's part of a control rests on; none where it has no part in it."""
    found = IMPLEMENTATIONS.get(control)
    return () if found is None else found.evidence
