"""Whether a path or the bytes of a file were sealed before, without taking every leaf apart."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fielded.decisions.seals import Leaf
from fielded.words.digests import canonical_json
from fielded.world.delta_reading import dataset_of
from fielded.world.tables import DeltaTables


def leaves_naming(tables: DeltaTables, seals: str, tree: str, size: int, texts: Iterable[str]) -> list[Leaf]:
    """Stored leaves of a tree that have one of some texts as a value, by number.

    Costs a pass over the leaves' bytes for each text: 50,000 leaves are some 30 MB.

    Args:
        tables: the site's tables.
        seals: name of the `seals` table.
        tree: whose leaves.
        size: of the tree: leaves past it are of somebody who sealed meanwhile, and perhaps the same.
        texts: paths or digests.

    Raises:
        ValueError: a leaf that has one cannot be read.
    """
    table = tables.find(seals)
    if table is None:
        return []
    wanted = (ds.field("tree") == tree) & (ds.field("kind") == "leaf") & (ds.field("place") < size)
    rows = dataset_of(table).to_table(columns=["place", "body"], filter=wanted)
    bodies = rows.column("body")
    hit = pa.chunked_array([pa.repeat(pa.scalar(value=False), rows.num_rows)])
    for text in texts:
        hit = pc.or_kleene(hit, pc.match_substring(bodies, canonical_json(text)))
    found = rows.filter(hit).sort_by("place")
    return [Leaf.parse(body) for body in found.column("body").to_pylist()]
