"""A new folder says what is blank, and loads once it is filled."""

from pathlib import Path

import pytest

from fielded.definition import load_deployment
from fielded.definition.scaffold import new_deployment
from fielded.words.errors import DefinitionError, WrongUse

FILLED = {
    "purpose:": "Flag open work orders.",
    "subject:": "order_id",
    "threshold:": "0.65",
    "rationale:": "A missed case costs more.",
    "review_band:": "[0.55, 0.75]",
    "subjects:": "silver.orders",
    "output:": "gold.scores",
}
PEOPLE = ("model_owner", "monitoring_owner", "rai_approver", "authorizing_official", "isso")
BLANKS = {
    *("purpose", "subject", "decision.threshold", "decision.rationale", "decision.review_band"),
    *("population.tables.subjects", "batch.output"),
    *(f"people.{role}.{part}" for role in PEOPLE for part in ("name", "email")),
}


def fill(text: str) -> str:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        field = line.split("#")[0].strip()
        if field in FILLED:
            lines[number] = line.replace(field, f"{field} {FILLED[field]}", 1)
    text = "\n".join(lines) + "\n"
    return text.replace("{name: , email: }", "{name: Alex Example, email: alex.example@example.mil}")


def test_each_blank_is_named_with_its_line(tmp_path: Path) -> None:
    folder = new_deployment(tmp_path, "late_orders")
    with pytest.raises(DefinitionError) as caught:
        load_deployment(folder)
    lines = (folder / "deployment.yaml").read_text().splitlines()
    assert {item.field for item in caught.value.findings} == BLANKS
    for item in caught.value.findings:
        file, line = item.where.split(":")
        assert file == "deployment.yaml"
        assert f"{item.field.split('.')[-1]}:" in lines[int(line) - 1]
        assert item.got == "nothing"


@pytest.mark.parametrize("name", ["a", "late_orders", "x9_", "a" * 63])
def test_a_filled_folder_loads(tmp_path: Path, name: str) -> None:
    folder = new_deployment(tmp_path, name)
    assert folder == tmp_path / name
    file = folder / "deployment.yaml"
    text = fill(file.read_text())
    if len(name) > 40:  # its column and model names would be too long
        text = text.replace(f"{name}_", "late_")
    file.write_text(text)
    deployment = load_deployment(folder)
    assert deployment.name == name
    assert deployment.population.function in (folder / "population.py").read_text()


def test_the_population_is_python(tmp_path: Path) -> None:
    text = (new_deployment(tmp_path, "late_orders") / "population.py").read_text()
    names: dict[str, object] = {}
    exec(compile(text, "population.py", "exec"), names)  # noqa: S102 - our own template
    assert callable(names["pending"])


@pytest.mark.parametrize("name", ["", "Late", "9lives", "_a", "a-b", "a/b", "../a", "a b", "a\n", "é", "a" * 64])
def test_a_name_that_no_deployment_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongUse, match="name: got"):
        new_deployment(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "deployment.yaml").write_text("precious")
    with pytest.raises(WrongUse, match="there already"):
        new_deployment(tmp_path, "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["deployment.yaml"]
    assert (tmp_path / "mine" / "deployment.yaml").read_text() == "precious"


def test_folders_above_are_made(tmp_path: Path) -> None:
    assert (new_deployment(tmp_path / "a" / "b", "late") / "deployment.yaml").is_file()
