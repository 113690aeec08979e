"""The API in this process: it is the real one, its rows are probes, and only its own token opens one way more."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import World
from fielded.decisions.rows import API, PROBE
from fielded.definition.serving import Identity
from fielded.doors.serving.probing import InProcessDoor, open_door
from fielded.services.audit import Books, find_subject
from fielded.words.errors import FieldedError, NotApproved, WrongUse
from fielded.world.workplace import Workplace

TOKEN = "a-token-of-these-tests-only"  # noqa: S105 - of these tests
BODY = {"subject": "P-1", "features": {"hours": 31.5, "age": None, "earlier": 3, "month": 7, "kind": "engine"}}


@pytest.fixture
def workplace(world: World, tmp_path: Path) -> Workplace:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    world.site = replace(world.site, identity=Identity(development_token=f"file:{token}"))
    return world.open("os:prober")


@pytest.fixture
def door(workplace: Workplace) -> Iterator[InProcessDoor]:
    with open_door(workplace) as opened:
        yield opened


def books(workplace: Workplace) -> Books:
    return Books(workplace.tables, workplace.ledger.predictions, workplace.journals)


def test_a_score_of_the_door_is_a_probe_of_the_user(workplace: Workplace, door: InProcessDoor) -> None:
    answer = door.ask("POST", "/score", json=BODY, headers=door.credentials)
    assert answer.status == 200, answer.text
    (row,) = find_subject(books(workplace), "P-1")
    assert (row["channel"], row["requested_by"], row["client_address"]) == (PROBE, "os:prober", "127.0.0.1")
    assert row["request_id"] == answer.body["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["fielded-receipt"].startswith(row["journal"])


def test_the_guard_stands_in_this_door_too(workplace: Workplace, door: InProcessDoor) -> None:
    assert door.ask("POST", "/score", json=BODY).status == 401
    assert door.ask("POST", "/score", json=BODY, headers={"Authorization": "Bearer not-a-token"}).status == 401
    assert door.ask("GET", "/review/cases", headers=door.credentials).status == 403
    assert door.ask("GET", "/nowhere", headers=door.credentials).status == 404
    assert door.ask("GET", "/score", headers=door.credentials).status == 405
    form = {**door.credentials, "Content-Type": "text/plain"}
    assert door.ask("POST", "/score", body=b"hello", headers=form).status == 415
    wrong = {**BODY, "features": {**BODY["features"], "month": 13}}
    refused = door.ask("POST", "/score", json=wrong, headers=door.credentials)
    assert (refused.status, refused.headers["content-type"]) == (422, "application/problem+json")
    assert find_subject(books(workplace), "P-1") == []


def test_the_sites_own_identity_is_asked(workplace: Workplace, door: InProcessDoor) -> None:
    answer = door.ask("POST", "/score", json=BODY, headers={"Authorization": f"Bearer {TOKEN}"}, peer="10.9.8.7")
    assert answer.status == 200, answer.text
    (row,) = find_subject(books(workplace), "P-1")
    assert (row["requested_by"], row["client_address"]) == ("development", "10.9.8.7")


def test_the_token_of_one_door_is_worth_nothing_at_another(workplace: Workplace, door: InProcessDoor) -> None:
    with open_door(workplace) as other:
        assert door.ask("POST", "/score", json=BODY, headers=other.credentials).status == 401


def test_a_probing_process_is_not_among_those_who_serve(workplace: Workplace, door: InProcessDoor) -> None:
    assert door.ask("GET", "/health/ready").status == 200
    assert workplace.journals.serving() == []


def test_a_door_of_another_channel_serves(workplace: Workplace) -> None:
    with open_door(workplace, API) as door:
        assert door.ask("POST", "/score", json=BODY, headers=door.credentials).status == 200
        assert len(workplace.journals.serving()) == 1
    (row,) = find_subject(books(workplace), "P-1")
    assert row["channel"] == API


def test_what_it_logs_holds_no_subject_and_no_token(door: InProcessDoor) -> None:
    door.ask("POST", "/score?x=P-1", json=BODY, headers=door.credentials)
    lines = door.lines
    (line,) = [json.loads(line) for line in lines if "/score" in line]
    assert (line["status"], line["caller"]) == (422, "os:prober")
    assert not any("P-1" in line or door.credentials["authorization"][7:] in line for line in lines)


def test_several_may_ask_at_once(workplace: Workplace, door: InProcessDoor) -> None:
    def score(number: int) -> int:
        return door.ask("POST", "/score", json={**BODY, "subject": f"P-{number}"}, headers=door.credentials).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(score, range(40))) == {200}
    assert len(workplace.journals.backlogs()) == 1, "it was opened once"


def test_a_door_that_nobody_asks_opens_nothing(world: World) -> None:
    workplace = world.open()
    with open_door(workplace):
        pass
    assert workplace.journals.backlogs() == []


def test_what_keeps_it_from_opening_is_told_every_time(world: World) -> None:
    with open_door(world.open()) as door:
        for _ in range(2):
            with pytest.raises(WrongUse, match="no way of telling who calls"):
                door.ask("GET", "/health/live")


def test_a_failure_to_load_keeps_its_kind(workplace: Workplace, bare: World) -> None:
    with open_door(replace(workplace, ledger=bare.open().ledger)) as door, pytest.raises(NotApproved):
        door.ask("GET", "/health/live")


def test_after_its_end_it_answers_nothing(workplace: Workplace) -> None:
    with open_door(workplace) as door:
        assert door.ask("GET", "/health/live").status == 200
    with pytest.raises(FieldedError, match="after its end"):
        door.ask("GET", "/health/live")
