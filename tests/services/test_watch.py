"""A watch scores when there is something new, says what goes wrong once, and goes on."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from books import assert_shown, clean, faulty, runs_of
from conftest import DAY, DEFINITION, SHIPS, World, make_orders
from fielded.decisions.runs import RunSummary
from fielded.services.approve import approve
from fielded.services.watch import watch
from fielded.words.errors import FieldedError, NotApproved, RunRefused, Unreachable

Seen = list[RunSummary | FieldedError]


class Watching:
    """Runs a watch: before each look but the first, one of `steps` happens; after the last it ends."""

    def __init__(self, world: World, *steps: Callable[[], object]) -> None:
        self.day = DAY
        self.looks: list[Seen] = [[]]
        waiting = iter(steps)

        def wait() -> bool:
            step = next(waiting, None)
            if step is not None:
                step()
                self.looks.append([])
            return step is None

        for item in watch(*world.scorers(), lambda: self.day, wait):
            self.looks[-1].append(item)


def _nothing() -> None:
    pass


def test_a_new_version_of_any_input_table_starts_a_run(world: World) -> None:
    fewer, more = make_orders(40), make_orders(10, first=40)
    world.write("silver.orders", fewer)
    looks = Watching(
        world,
        _nothing,
        lambda: world.write("silver.orders", more, mode="append"),
        _nothing,
        lambda: world.write("reference.ships", SHIPS.slice(0, 20)),
    ).looks
    assert [len(seen) for seen in looks] == [1, 0, 1, 0, 1]
    assert [seen[0].population for seen in looks if seen] == [40, 50, 50]
    assert {seen[0].state for seen in looks if seen} == {"published"}
    assert len(runs_of(world)) == 3
    subjects = {*fewer["order_id"].to_pylist(), *more["order_id"].to_pylist()}
    shown = looks[-1][0]
    assert shown.inputs == {"silver.orders": 2, "reference.ships": 1}
    assert len(subjects) == shown.scored


def test_it_ends_when_told(world: World) -> None:
    asked = []

    def wait() -> bool:
        asked.append(1)
        return True

    seen = list(watch(*world.scorers(), lambda: DAY, wait))
    assert [item.state for item in seen] == ["published"]
    assert len(asked) == 1


def test_a_finished_day_is_not_scored_again_by_a_new_watch(world: World) -> None:
    assert [item.state for item in Watching(world).looks[0]] == ["published"]
    assert [item.state for item in Watching(world).looks[0]] == ["already done"]


def test_a_new_day_is_scored(world: World) -> None:
    world.write("silver.orders", make_orders(40))
    days = iter([DAY, DAY, DAY + timedelta(days=1), DAY + timedelta(days=1)])
    waits = iter([False, False, False, True])
    seen = list(watch(*world.scorers(), lambda: next(days), lambda: next(waits)))
    assert [item.day for item in seen] == [DAY, DAY + timedelta(days=1)]


def test_a_refused_input_is_said_once_and_the_next_version_is_scored(world: World) -> None:
    world.define(DEFINITION.replace("quarantine_limit: 0.2", "quarantine_limit: 0.01"))
    bad, good = faulty(300), clean(300)
    world.write("silver.orders", bad.orders)
    looks = Watching(
        world,
        _nothing,
        _nothing,
        lambda: world.write("silver.orders", bad.orders),  # new, and as bad as before
        lambda: world.write("silver.orders", good.orders),
        _nothing,
    ).looks
    assert [len(seen) for seen in looks] == [1, 0, 0, 1, 1, 0]
    assert [type(seen[0]) for seen in looks if seen] == [RunRefused, RunRefused, RunSummary]
    assert_shown(world, looks[4][0].run_id, good)


def test_a_table_out_of_reach_is_said_once_and_looked_at_again(world: World) -> None:
    world.write("silver.orders", make_orders(40))
    folder = Path(world.site.root) / "reference"
    aside = folder.with_name("aside")
    looks = Watching(
        world,
        lambda: shutil.move(folder, aside),
        _nothing,
        lambda: shutil.move(aside, folder),
        lambda: shutil.move(folder, aside),
        _nothing,
    ).looks
    assert [[type(item) for item in seen] for seen in looks] == [
        [RunSummary], [type(looks[1][0])], [], [], [type(looks[1][0])], [],
    ]  # fmt: skip
    assert isinstance(looks[1][0], Unreachable)


def test_what_was_put_right_without_a_new_version_is_scored_at_the_next_look(bare: World) -> None:
    bare.write("silver.orders", make_orders(40))
    looks = Watching(bare, _nothing, lambda: approve(bare.open(), "2"), _nothing).looks
    assert [[type(item) for item in seen] for seen in looks] == [[NotApproved], [], [RunSummary], []]
