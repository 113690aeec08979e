"""Ways to break a ready site, items 1 to 6: each does one thing to a copy; its docstring says which."""

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

from breaking import FOLDER, REGISTRY, RUNS, SITE, TOLD, ago, breaks, said
from fielded.decisions.ato import progress
from fielded.definition.prose import FUNCTIONS
from ready_site import AUTHOR, SECOND, Ready, kick_off, settle, sign_one

# Item 1


@breaks("kickoff")
def _no_kickoff(site: Ready) -> None:
    """nobody put a kickoff on record."""
    site.forget_kickoff()


@breaks("kickoff", ("kickoff",))
def _late_kickoff(site: Ready) -> None:
    """the kickoff came after the first version."""
    site.forget_kickoff()
    kick_off(site, ago(0).date())


@breaks("kickoff", ("kickoff",))
def _remembered_kickoff(site: Ready) -> None:
    """an early day is remembered and nothing shows it."""
    site.forget_kickoff()
    said(site, progress.STARTED, {"on": ago(60).date().isoformat(), "reference": "", "reason": "it was so"})


@breaks("kickoff", REGISTRY)
def _older_model(site: Ready) -> None:
    """the registry has an older version of the model."""
    with site.registry() as connection:
        then = int(ago(100).timestamp() * 1000)
        connection.execute("UPDATE model_versions SET creation_time = ? WHERE version = 1", (then,))


# Item 2


@breaks("model-card")
def _no_card(site: Ready) -> None:
    """its file is gone."""
    (site.folder / "model_card.yaml").unlink()


@breaks("model-card", FOLDER)
def _edited_card(site: Ready) -> None:
    """a word was changed after it was signed."""
    _edit_card(site)


@breaks("model-card", FOLDER)
def _unwritten_section(site: Ready) -> None:
    """nobody wrote for what it must not be used."""
    _without_part(site, "model_card", "out_of_scope")
    sign_one(site, "model_card")


@breaks("model-card", FOLDER)
def _intent(site: Ready) -> None:
    """it says that fairness was considered, and no number."""
    site.replace_in(site.folder / "model_card.yaml", "no person is scored", "fairness was considered")
    sign_one(site, "model_card")


@breaks("model-card", FOLDER)
def _signature_over(site: Ready) -> None:
    """who stood for it did so for a time that is over."""
    _edit_card(site)
    sign_one(site, "model_card", at=ago(30), days=10)


@breaks("model-card", FOLDER)
def _own_card(site: Ready) -> None:
    """only who proposed the version stands for it."""
    _edit_card(site)
    sign_one(site, "model_card", by=AUTHOR)


def _edit_card(site: Ready) -> None:
    site.replace_in(site.folder / "model_card.yaml", "before the plan of the week", "after the plan of the week")


def _without_part(site: Ready, document: str, part: str) -> None:
    """A document's file without what people wrote in a part."""
    path = site.folder / f"{document}.yaml"
    lines = path.read_text().splitlines(keepends=True)
    place = lines.index(f"  {part}:\n")
    path.write_text("".join([*lines[:place], *lines[place + 2 :]]))


# Item 3


@breaks("rai-assessment")
def _no_assessment(site: Ready) -> None:
    """its file is gone."""
    (site.folder / "rai_assessment.yaml").unlink()


@breaks("rai-assessment", FOLDER)
def _another_signs(site: Ready) -> None:
    """somebody else than its approver stands for it."""
    _edit_assessment(site)
    sign_one(site, "rai_assessment", by=SECOND)


@breaks("rai-assessment", FOLDER)
def _old_assessment(site: Ready) -> None:
    """it was signed more than a year ago."""
    _edit_assessment(site)
    sign_one(site, "rai_assessment", at=ago(400), days=1000)


@breaks("rai-assessment", FOLDER)
def _missing_principle(site: Ready) -> None:
    """nobody wrote about one of the five principles."""
    for function in FUNCTIONS:
        _without_part(site, "rai_assessment", f"equitable_{function}")
    sign_one(site, "rai_assessment")


@breaks("rai-assessment")
def _other_context(site: Ready) -> None:
    """the definition is another than the one that it was signed for."""
    site.replace_in(site.definition_file, "Flag open work orders", "Find open work orders")
    settle(site, signed=("model_card", "runbook"))


def _edit_assessment(site: Ready) -> None:
    path = site.folder / "rai_assessment.yaml"
    path.write_text(path.read_text().replace("the record shows it", "the ledger shows it"))


# Item 4


@breaks("training-data")
def _unnamed_tables(site: Ready) -> None:
    """the registry does not name the tables that were read."""
    _without_parameter(site, "tables")


@breaks("training-data", RUNS)
def _uncounted_rows(site: Ready) -> None:
    """the registry has no count of its rows."""
    _without_parameter(site, "rows")


@breaks("training-data", RUNS)
def _period_backwards(site: Ready) -> None:
    """its period ends before it begins."""
    with site.registry() as connection:
        connection.execute("UPDATE params SET value = '2020-01-01' WHERE key = 'fielded.training.to'")


@breaks("training-data", RUNS)
def _no_inputs(site: Ready) -> None:
    """the run has no input data set."""
    with site.registry() as connection:
        connection.execute("DELETE FROM inputs WHERE source_type = 'DATASET'")


def _without_parameter(site: Ready, name: str) -> None:
    with site.registry() as connection:
        found = connection.execute("DELETE FROM params WHERE key = ?", (f"fielded.training.{name}",))
        assert found.rowcount


# Item 5


@breaks("credentials")
def _planted_key(site: Ready) -> None:
    """a cloud key lies in the deployment's folder."""
    (site.folder / "notes.py").write_text(f'aws_access_key_id = "{_cloud_key()}"\n')


@breaks("credentials", FOLDER)
def _planted_private_key(site: Ready) -> None:
    """a private key lies in the deployment's folder."""
    (site.folder / "old.pem").write_text((site.base / "keys" / "seal.pem").read_text())


@breaks("credentials", TOLD)
def _key_in_the_site(site: Ready) -> None:
    """a cloud key is written in site.yaml."""
    site.replace_in(site.site_file, "system: Overrun", f"system: Overrun\n  cssp: key {_cloud_key()}")


@breaks("credentials", TOLD)
def _password_in_a_url(site: Ready) -> None:
    """a URL of the site has a password in it."""
    url = "https://someone:{}@gate.example.mil/".format("twelve-to-go")
    site.replace_in(site.site_file, "system: Overrun", f"system: Overrun\n  boundary_access: {url}")


@breaks("credentials", TOLD)
def _unresolved(site: Ready) -> None:
    """a reference of the site leads nowhere."""
    notify = "notify: {webhook: {url: 'https://hook.example.mil/', secret: 'env:OVERRUN_NOT_SET'}}"
    site.replace_in(site.site_file, "roles:\n", f"{notify}\nroles:\n")


@breaks("credentials", SITE)
def _readable_secret(site: Ready) -> None:
    """everybody on the machine may read a secret."""
    (site.base / "secrets" / "token").chmod(0o644)


def _cloud_key() -> str:
    """What looks like one, and is in no file of ours."""
    return "AKIA" + "".join(random.Random(4).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))


# Item 6


@breaks("audit-probe")
def _no_journal(site: Ready) -> None:
    """the journal cannot be written."""
    shutil.rmtree(site.base / "journal", ignore_errors=True)
    (site.base / "journal").write_text("no folder")


@breaks("audit-probe")
def _unsealed_row(site: Ready) -> None:
    """somebody wrote a row past fielded."""
    table = DeltaTable(site.uri("ledger.overrun.predictions"))
    row = table.to_pyarrow_table().slice(0, 1)
    write_deltalake(table, row, mode="append")


@breaks("audit-probe")
def _edited_row(site: Ready) -> None:
    """a recorded score was edited in its file."""
    path = _files_of_predictions(site, "2")[0]
    rows = pq.read_table(path, partitioning=None)
    place = rows.schema.get_field_index("requested_by")
    pq.write_table(rows.set_column(place, rows.schema.field(place), pa.array(["os:nobody"] * rows.num_rows)), path)


@breaks("audit-probe")
def _other_key(site: Ready) -> None:
    """the key that sealed the ledger was replaced."""
    shutil.rmtree(site.base / "keys")


def _files_of_predictions(site: Ready, version: str) -> list[Path]:
    folder = Path(site.uri("ledger.overrun.predictions"))
    found = [
        path
        for path in sorted(folder.rglob("*.parquet"))
        if "_delta_log" not in path.parts
        and pc.all(
            pc.equal(pq.read_table(path, columns=["model_version"], partitioning=None).column(0), version)
        ).as_py()
    ]
    assert found
    return found
