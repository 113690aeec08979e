"""List where live and batch scores of one subject tell two stories. Nothing here loads a model."""

import itertools
from collections.abc import Iterator

from fielded.decisions.discrepancies import COMPARED, Discrepancy, discrepancies_of
from fielded.definition.site import Site
from fielded.services.audit import Books
from fielded.world.latest_scores import Days, ScoreSource, latest_pairs

_SORTED = 10_000  # discrepancies held in memory, at most


def find_discrepancies(books: Books, site: Site, limit: float, days: Days) -> Iterator[Discrepancy]:
    """Subjects whose latest live score and latest batch score do not fit together.

    Those farthest apart come first, while there are at most 10,000; the ones past that follow in no order.

    Args:
        books: where predictions stand.
        site: memory and threads of the query.
        limit: difference of two scores that is still none.
        days: only scores of these days are looked at.

    Raises:
        Unreachable: the ledger or a journal cannot be read.
    """
    source = ScoreSource(books.tables, books.predictions, books.journals, site)
    found = (item for pairs in latest_pairs(source, COMPARED, days) for item in discrepancies_of(pairs, limit))
    first = list(itertools.islice(found, _SORTED))
    yield from sorted(first, key=lambda item: (-item.apart, item.subject))
    yield from found
