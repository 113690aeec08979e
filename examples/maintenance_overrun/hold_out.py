"""Write the hold-out: labelled orders of days that no version was trained on.

    python hold_out.py --from 2025-09-28 --to 2025-12-27

`deployment.yaml` names the table under `release.holdout`; every comparison of two versions asks both about its
rows. The days must begin after the training period of every version that is to be compared, and 90 days after its
last one, so that no order is on both sides; `train.py` puts both on record.
"""

import argparse
import os
import runpy
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from fielded.definition import Site, load_deployment, load_site

HERE = Path(__file__).resolve().parent


def hold_out(site: Site, first: date, last: date) -> tuple[str, int]:
    """The orders of the population's days in a period, with what became of them, one row an order.

    Returns:
        The table, and its rows.

    Raises:
        ValueError: no order of those days has been completed.
    """
    deployment = load_deployment(HERE)
    holdout = deployment.release.holdout
    if holdout is None:
        raise ValueError("deployment.yaml: got no release.holdout, expected the table that this writes")
    training = runpy.run_path(str(HERE / "train.py"))

    def uri(table: str) -> str:
        return f"{site.root}/{table.replace('.', '/')}"

    tables = {name: DeltaTable(uri(table)) for name, table in deployment.population.tables.items()}
    rows = training["labelled"](deployment, tables, training["days"](first, last))
    rows = rows.drop_duplicates(deployment.subject, keep="first")
    write_deltalake(uri(holdout.table), pa.Table.from_pandas(rows, preserve_index=False), mode="overwrite")
    return holdout.table, len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the labelled orders that no version was trained on.")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date(2025, 9, 28))
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date(2025, 12, 27))
    given = parser.parse_args()
    table, rows = hold_out(load_site(os.environ, Path.cwd()), given.first, given.last)
    print(f"{table}: {rows:,} orders")


if __name__ == "__main__":
    main()
