"""Each of the twelve items, broken on a real site in several ways: exactly that item turns red.

The site is complete, and all twelve hold on it. Each test takes a copy, breaks one thing (`ready_mutations`,
`ready_mutations_late`), has every item looked at that reads what was broken, and all twelve are judged: of the
others counts what was put on record before the harm, as long as its scope stands.
"""

from collections import Counter
from pathlib import Path

import pytest

import ready_mutations
import ready_mutations_late
from breaking import BREAKS, EVERYBODY, Break
from fielded.decisions.readiness.items import ITEMS
from fielded.services.readiness.ready import on_record_now
from fielded.words.errors import DefinitionError
from ready_site import Ready, built_once, look_at

LEAST = 3  # ways for each item
assert ready_mutations, ready_mutations_late  # whose import puts them on the list


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    return built_once(tmp_path_factory)


def test_nothing_is_red_before_anything_is_broken(pristine: Ready) -> None:
    found = on_record_now(pristine.open())
    assert {one.item.key: dict(one.in_the_way) for one in found.results if one.state != "passed"} == {}
    assert found.holds


def test_each_item_is_broken_in_several_ways() -> None:
    counts = Counter(one.item for one in BREAKS)
    assert {item.key for item in ITEMS} == set(counts)
    assert min(counts.values()) >= LEAST
    assert all(one.item in one.seen_by for one in BREAKS)
    assert {one.item for one in BREAKS if one.seen_by == EVERYBODY} == set(counts)
    assert len({one.name for one in BREAKS}) == len(BREAKS)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.name)
def test_exactly_that_item_turns_red(pristine: Ready, broken: Break, tmp_path: Path) -> None:
    site = pristine.copied(tmp_path / "site")
    broken.do(site)
    found = look_at(site, *broken.seen_by)
    red = {key: dict(one.in_the_way) for key, one in found.items() if one.state != "passed"}
    assert set(red) == {broken.item}, red
    assert found[broken.item].step, "what to do next is said"


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Watch Team", "blair.example@example.mil"),
        ("Blair Example", "ml-ops@example.mil"),
        ("Blair", "b@example.mil"),
    ],
)
def test_a_team_as_owner_is_no_definition_at_all(pristine: Ready, tmp_path: Path, name: str, email: str) -> None:
    site = pristine.copied(tmp_path / "site")
    old = "{name: Blair Example, email: blair.example@example.mil}"
    site.replace_in(site.definition_file, old, f"{{name: {name}, email: {email}}}")
    with pytest.raises(DefinitionError, match=r"people\.monitoring_owner"):
        look_at(site)
