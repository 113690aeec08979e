"""The plan of a real ledger: acts on record, in their order and by who may."""

import json
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from conftest import DEFINITION, Ticking, World
from fielded.decisions.ato import progress as rules
from fielded.services.ato import progress as service
from fielded.services.ato.plan import Plan, plan_of
from fielded.services.release.record import about
from fielded.services.verify import verify
from fielded.words.errors import Refused, WrongUse
from fielded.world.workplace import Workplace

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
WHY = "The program asks for it"
ATO = "ato: {need_date: 2026-10-01, boundary: new, impact_level: IL4}\n"


@pytest.fixture
def asked(world: World) -> World:
    """A world whose definition asks for an authorization with a new boundary."""
    world.define(DEFINITION + ATO)
    return world


def at(world: World, days: float = 0, user: str = "os:ada") -> Workplace:
    """A workplace so many days after the start."""
    return replace(world.open(user), clock=Ticking(START + timedelta(days=days)))


def under_way(world: World) -> Plan:
    """A plan of which something is done, something is under way and the rest is open."""
    service.kickoff(at(world), WHY)
    service.start_item(at(world), "boundary", "boundary begun")
    service.start_item(at(world, 10), "ai-documentation", "model card begun")
    service.finish_item(at(world, 30), "ai-documentation", "model card signed")
    return plan_of(at(world, 40), draws=2000)


class TestActs:
    def test_a_kickoff_is_the_first_that_a_site_hears_of(self, world: World) -> None:
        nowhere = Path(world.site.root).parent / "fresh"
        fresh = replace(world, site=replace(world.site, root=str(nowhere)))
        done = service.kickoff(at(fresh), WHY)
        assert (done.on, done.recorded_by, done.days_later) == (START.date(), "os:ada", 0)
        assert plan_of(at(fresh)).schedule.kickoff == done

    def test_it_is_an_event_about_the_model_and_is_sealed(self, asked: World) -> None:
        service.kickoff(at(asked), WHY, on=date(2026, 2, 1), reference="minutes of a meeting")
        workplace = at(asked)
        (event,) = workplace.ledger.events_of(rules.STARTED, about(workplace))
        assert event["details"] == {"on": "2026-02-01", "reference": "minutes of a meeting", "reason": WHY}
        verified = verify(workplace)
        assert not verified.findings

    def test_the_second_is_refused_with_the_first(self, asked: World) -> None:
        service.kickoff(at(asked), WHY)
        with pytest.raises(Refused, match="kickoff on 2026-03-02, recorded that day by os:ada"):
            service.kickoff(at(asked, 1, "os:eve"), WHY, on=date(2026, 1, 5), reference="minutes of a meeting")
        assert plan_of(at(asked, 2)).acts == 1

    def test_of_two_at_once_one_is_first(self, asked: World) -> None:
        ended: list[str] = []

        def run(user: str) -> None:
            try:
                ended.append(service.kickoff(at(asked, user=user), WHY).recorded_by)
            except Refused as refusal:
                ended.append(str(refusal))

        threads = [threading.Thread(target=run, args=(user,)) for user in ("os:ada", "os:eve")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kickoff = plan_of(at(asked)).schedule.kickoff
        assert kickoff is not None
        assert sorted(one.startswith("kickoff: got a second one") for one in ended) == [False, True]
        assert kickoff.recorded_by in ended
        assert plan_of(at(asked)).acts == 1

    def test_who_may_not_release_says_nothing(self, asked: World) -> None:
        guarded = replace(asked, site=replace(asked.site, roles={"os:ada": ("release",), "os:eve": ("review",)}))
        for act in (
            lambda workplace: service.kickoff(workplace, WHY),
            lambda workplace: service.start_item(workplace, "boundary", WHY),
            lambda workplace: service.finish_item(workplace, "boundary", WHY),
            lambda workplace: service.estimate_item(workplace, "boundary", 1, 2, WHY),
        ):
            with pytest.raises(Refused, match="os:eve with review, expected `release`"):
                act(at(guarded, user="os:eve"))
        assert plan_of(at(guarded, user="os:eve")).acts == 0
        service.kickoff(at(guarded), WHY)

    def test_an_item_that_the_plan_does_not_have_is_told_with_those_it_has(self, world: World) -> None:
        service.kickoff(at(world), WHY)
        with pytest.raises(
            WrongUse, match=r"joins a boundary that is authorized.*ai-documentation, monitoring-plan"
        ):
            service.start_item(at(world), "boundary", WHY)

    def test_an_act_changes_the_plan(self, asked: World) -> None:
        service.kickoff(at(asked), WHY)
        before = plan_of(at(asked), draws=200).schedule
        service.estimate_item(at(asked), "assessment", 70, 70, "the assessor's offer")
        service.start_item(at(asked), "boundary", "boundary begun")
        service.finish_item(at(asked, 5), "boundary", "boundary is agreed")
        after = plan_of(at(asked, 5), draws=200).schedule
        assert (after.earliest - before.earliest).days == 5 - 91 + 70 - 28
        assert (after.latest - before.latest).days == 5 - 183 + 70 - 56


class TestPlan:
    def test_it_is_by_the_definition(self, world: World) -> None:
        low = "{confidentiality: low, integrity: low, availability: low}"
        world.define(f"{DEFINITION}ato: {{categorization: {low}, need_date: 2026-10-01}}\n")
        plan = plan_of(at(world), draws=200)
        assert set(plan.left_out) == {"boundary", "penetration-test"}
        assert plan.asked == {"boundary": "existing", "level": "low", "baseline": "nist-low", "impact_level": None}
        assert plan.schedule.need == date(2026, 10, 1)
        assert plan.definition_sha256 == at(world).deployment.sha256

    def test_the_same_ledger_and_day_give_the_same_plan_and_nothing_is_written(self, asked: World) -> None:
        first = under_way(asked)
        assert plan_of(at(asked, 40), draws=2000).as_dict() == first.as_dict()
        assert plan_of(at(asked, 40), draws=2000, seed=1).as_dict() != first.as_dict()
        json.dumps(first.as_dict())

    @pytest.mark.parametrize("draws", [0, 10_000_000])
    def test_draws_have_bounds(self, asked: World, draws: int) -> None:
        with pytest.raises(WrongUse, match=f"draws: got {draws}"):
            plan_of(at(asked), draws=draws)

    def test_an_event_that_somebody_else_wrote_is_refused(self, asked: World) -> None:
        workplace = at(asked)
        workplace.record(rules.ITEM_DONE, about(workplace), {"item": "boundary"})
        with pytest.raises(Refused, match="ato_item_done without a readable 'on'"):
            plan_of(at(asked))
