"""The registry has every collector that there is, each under an id of its own."""

import ast
from pathlib import Path

import fielded.services.evidence
from fielded.decisions.readiness.items import ITEMS
from fielded.services.evidence import registry
from fielded.services.evidence.registry import COLLECTORS, command_of

FOLDER = Path(fielded.services.evidence.__file__).parent


def made_in(file: Path) -> int:
    """How many collectors a module makes."""
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    names = [node.func.value if isinstance(node.func, ast.Subscript) else node.func for node in calls]
    return sum(isinstance(name, ast.Name) and name.id == "Collector" for name in names)


def test_no_collector_is_left_out() -> None:
    made = {file.relative_to(FOLDER).as_posix(): made_in(file) for file in sorted(FOLDER.rglob("*.py"))}
    assert made["rollback.py"] == 1, made
    assert sum(made.values()) == len(registry._ALL), {name: number for name, number in made.items() if number}


def test_each_has_an_id_of_its_own() -> None:
    assert len(COLLECTORS) == len(registry._ALL)
    assert all(key == one.id and one.title and one.expected for key, one in COLLECTORS.items())


def test_each_item_is_collected() -> None:
    assert {item.key for item in ITEMS} < set(COLLECTORS)
    assert {key for item in ITEMS for key in item.rests_on} <= set(COLLECTORS)


def test_each_can_be_collected_again_by_a_command() -> None:
    assert command_of("kickoff") == "fielded ready --item 1"
    assert command_of("evaluation") == "fielded ato collect --evidence evaluation"
