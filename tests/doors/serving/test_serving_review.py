"""The review routes over a real socket on a real ledger: who acts, who is first, and what nobody is told."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import ROW, Served, Stand, Tokens, serve

from conftest import DAY, Ticking, World
from fielded.services.score_day import score_day
from fielded.world.identity import Caller, Credentials
from fielded.world.workplace import Workplace
from reviews import START, defined, gold_by_id

WHY = {"reason": "agrees_with_record", "text": "The yard has the part."}
NO_CASE = "0195e8a0-7c00-7000-8000-000000000001"
TELLING = ("score", "flag", "decision", "routed_by", "audit")


class Review:
    """Somebody's client for the review routes."""

    def __init__(self, served: Served, token: str) -> None:
        self._client = served.client
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self._client.get(f"/review/{path}", params=query, headers=self._headers)

    def post(self, case: str, act: str, **body: Any) -> httpx.Response:
        return self._client.post(f"/review/cases/{case}/{act}", json=body, headers=self._headers)


@contextmanager
def serving(world: World, site: Any = None, authenticator: Any = None) -> Iterator[Served]:
    workplace = replace(world.open("os:server"), clock=Ticking(START))
    site = site or workplace.site
    stand = Stand(workplace.deployment, workplace=replace(workplace, site=site))
    with serve(workplace.deployment, site, stand, authenticator) as served:
        yield served


def scored(world: World, **settings: object) -> None:
    world.define(defined(**settings))
    score_day(*world.scorers(), DAY)


def people(served: Served, *names: str) -> tuple[Review, ...]:
    return tuple(Review(served, f"as:{name}") for name in names)


def test_a_case_is_claimed_and_decided_by_who_was_let_in(world: World) -> None:
    scored(world)
    with serving(world) as served:
        (ada,) = people(served, "ada")
        queue = ada.get("cases", limit=3).json()
        assert queue["waiting"] > 20
        assert len(queue["cases"]) == 3
        assert [case["due_at"] for case in queue["cases"]] == sorted(case["due_at"] for case in queue["cases"])
        one = queue["cases"][0]["request_id"]
        shown = ada.get(f"cases/{one}").json()
        assert set(shown["features"]) == {"hours", "age", "earlier", "month", "kind"}
        assert shown["score"] == queue["cases"][0]["score"] is not None
        claimed = ada.post(one, "claim")
        assert claimed.json()["case"]["holder"] == "oidc:ada"
        assert ada.get("cases", free="true", limit=1000).json()["cases"][0]["holder"] == "oidc:ada"
        decided = ada.post(one, "decide", outcome="override", **WHY)
        assert decided.status_code == 200
        assert decided.json()["shown"] == [DAY.isoformat()]
        assert decided.json()["not_done"] == []
        assert decided.json()["case"]["stage"] == "settled"
        detail = ada.get(f"cases/{one}").json()
        assert detail["decided"]["by"] == "oidc:ada"
        assert [event["kind"] for event in detail["history"]] == ["case_claimed", "case_decided"]
        stats = ada.get("stats", days=30).json()
        assert (stats["decided"], stats["queue"]["waiting"]) == (1, queue["waiting"] - 1)
        assert stats["overrides"]["overall"]["value"] == 1.0
        assert served.last()["caller"] == "oidc:ada"
        assert one not in served.log.getvalue().replace(NO_CASE, ""), "a log line has the route and no case"
    row = gold_by_id(world)[one]
    assert (row["decided_by"], row["review_reason"]) == ("oidc:ada", "agrees_with_record")
    acts = world.open().ledger.events_of({"case_claimed", "case_decided"})
    assert [event["actor"] for event in acts] == ["oidc:ada", "oidc:ada"]


def test_of_two_who_claim_at_once_one_has_it_and_the_other_is_told(world: World) -> None:
    scored(world)
    with serving(world) as served:
        ada, ben = people(served, "ada", "ben")
        cases = [case["request_id"] for case in ada.get("cases", limit=6).json()["cases"]]
        for one in cases:
            start = threading.Barrier(2)

            def claim(person: Review, one: str = one, start: threading.Barrier = start) -> httpx.Response:
                start.wait()
                return person.post(one, "claim")

            with ThreadPoolExecutor(2) as pool:
                found = list(pool.map(claim, (ada, ben)))
            assert sorted(response.status_code for response in found) == [200, 409]
            won, lost = sorted(found, key=lambda response: response.status_code)
            holder = won.json()["case"]["holder"]
            problem = lost.json()
            assert holder in problem["detail"], "who was first"
            assert problem["instance"] == f"urn:uuid:{lost.headers['x-request-id']}"
            assert lost.headers["content-type"] == "application/problem+json"
            assert ada.get(f"cases/{one}").json()["holder"] == holder
        events = world.open().ledger.events_of("case_claimed")
        assert sorted(event["about"] for event in events) == sorted(f"case {one}" for one in cases)


def test_a_hidden_score_is_in_no_answer(world: World) -> None:
    scored(world, first_judgement="[[0.0, 1.0]]", second_share=1.0)
    gold = gold_by_id(world)
    with serving(world) as served:
        ada, ben, cleo = people(served, "ada", "ben", "cleo")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        score = repr(gold[one]["overrun_probability"])

        def hidden(response: httpx.Response) -> None:
            assert score not in response.text
            told = response.json()
            told = told.get("case", told)
            for view in told.get("cases", [told]):
                assert view["hidden"]
                assert all(view[name] is None for name in TELLING)

        hidden(ada.get("cases"))
        hidden(ada.get(f"cases/{one}"))
        hidden(ada.post(one, "claim"))
        early = ada.post(one, "decide", outcome="keep", **WHY)
        assert (early.status_code, score in early.text) == (409, False)
        judged = ada.post(one, "judge", flag=True)
        assert judged.json()["case"]["score"] == gold[one]["overrun_probability"]
        hidden(ben.get(f"cases/{one}"))
        assert ada.post(one, "decide", outcome="keep", **WHY).status_code == 200
        hidden(ben.get("cases", limit=1000))
        seen = ben.get(f"cases/{one}")
        hidden(seen)
        assert seen.json()["decided"] is None
        final = gold_by_id(world)[one]["final_decision"]
        for event in seen.json()["history"]:
            assert not {"flag", "final", "outcome", "reason", "text", "score"} & set(event["details"])
        hidden(ben.post(one, "claim"))
        second = ben.post(one, "second", flag=final == "flagged")
        assert second.json()["case"]["stage"] == "settled"
        assert second.json()["case"]["score"] == gold[one]["overrun_probability"], "settled hides nothing"
        hidden(cleo.get("cases"))


def test_the_whole_way_of_a_contested_case(world: World) -> None:
    scored(world)
    with serving(world) as served:
        ada, ben, cleo = people(served, "ada", "ben", "cleo")
        one, two = (case["request_id"] for case in ada.get("cases", limit=2).json()["cases"])
        ada.post(one, "claim")
        assert ada.post(one, "escalate", reason="I know the ship.").json()["case"]["stage"] == "escalated"
        assert ada.post(one, "claim").status_code == 409
        ben.post(one, "claim")
        assert ben.post(one, "release").json()["case"]["holder"] is None
        given = ben.post(one, "reassign", to="oidc:cleo", reason="She is on watch.")
        assert given.json()["case"]["holder"] == "oidc:cleo"
        assert ben.post(one, "decide", outcome="keep", **WHY).status_code == 409
        assert cleo.post(one, "decide", outcome="keep", **WHY).json()["case"]["stage"] == "settled"
        appealed = ben.post(one, "appeal", reason="The record changed.")
        assert appealed.json()["case"]["stage"] == "appealed"
        assert appealed.json()["shown"] == [DAY.isoformat()]
        for person in (ben, cleo):
            assert person.post(one, "claim").status_code == 409, "not who appealed, nor who decided"
        assert ada.post(two, "second", flag=True).status_code == 409


def test_nobody_acts_without_the_role_or_in_another_name(world: World) -> None:
    scored(world)
    with serving(world) as served:
        (ada,) = people(served, "ada")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        for role in ("score", "audit", "release"):
            other = Review(served, f"role:{role}")
            for response in (
                other.get("cases"),
                other.get(f"cases/{one}"),
                other.get("stats"),
                other.post(one, "claim"),
            ):
                assert response.status_code == 403
                assert response.json()["instance"] == f"urn:uuid:{response.headers['x-request-id']}"
        assert Review(served, "nobody").get("cases").status_code == 401
        forged = ada.post(one, "claim", actor="oidc:ben")
        assert forged.status_code == 422
        assert forged.json()["errors"] == [
            {"field": "actor", "got": "an unknown field", "expected": "no field of that name"}
        ]
        headers = {"Authorization": "Bearer as:ada", "X-User": "oidc:ben", "Content-Type": "application/json"}
        claimed = served.client.post(f"/review/cases/{one}/claim", content="{}", headers=headers)
        assert claimed.json()["case"]["holder"] == "oidc:ada"


@pytest.mark.parametrize("environment", ["development", "production"])
def test_roles_that_came_with_the_credentials_count_for_that_caller_alone(world: World, environment: str) -> None:
    scored(world)
    roles = {"os:tester": ("review",), "oidc:dan": ("review",)}
    site = replace(world.site, environment=environment, roles=roles)
    with serving(world, site) as served:
        ada, ben = people(served, "ada", "ben")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        assert ada.post(one, "claim").status_code == 200
        refused = ada.post(one, "reassign", to="oidc:ben", reason="He is on watch.")
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == ["to"]
        assert "oidc:ben" not in refused.text
        given = ada.post(one, "reassign", to="oidc:dan", reason="He is on watch.")
        assert given.json()["case"]["holder"] == "oidc:dan"
        assert ben.post(one, "claim").status_code == 409


def test_what_is_wrong_is_told_field_by_field_and_changes_nothing(world: World) -> None:
    scored(world)
    with serving(world) as served:
        (ada,) = people(served, "ada")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        ada.post(one, "claim")
        before = len(world.open().ledger.events_of("case_claimed"))
        wrong = ada.post(one, "decide", outcome="maybe", reason="MARK", extra=1)
        assert wrong.status_code == 422
        told = {error["field"]: (error["got"], error["expected"]) for error in wrong.json()["errors"]}
        assert set(told) == {"outcome", "reason", "text", "extra"}
        assert told["text"][0] == "nothing"
        assert "agrees_with_record" in told["reason"][1]
        assert "MARK" not in wrong.text
        for text in ("", "  \n", "\x1b[2Jgone", "x" * 4001, 7, None):
            sent = {**WHY, "outcome": "keep", "text": text}
            assert ada.post(one, "decide", **sent).status_code == 422, repr(text)
        assert ada.post(one, "judge", flag="yes").status_code == 422
        headers = {"Authorization": "Bearer as:ada"}
        path = f"/review/cases/{one}/release"
        plain = served.client.post(path, content="{}", headers={**headers, "Content-Type": "text/plain"})
        assert plain.status_code == 415, "what a form of another site could send"
        for content in ("", "[]", "{", "\xff"):
            response = served.client.post(
                path, content=content, headers={**headers, "Content-Type": "application/json"}
            )
            assert response.status_code == 422
        for query in ({"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"free": "yes"}, {"other": "1"}):
            assert ada.get("cases", **query).status_code == 422, query
        assert ada.get("stats", days="0").status_code == 422
        assert ada.get("cases", limit=["1", "2"]).status_code == 422
        assert len(world.open().ledger.events_of("case_claimed")) == before


def test_a_case_that_is_none_is_not_found(world: World) -> None:
    scored(world)
    clear = next(key for key, row in gold_by_id(world).items() if row["decision"] != "review")
    with serving(world) as served:
        (ada,) = people(served, "ada")
        for one in (NO_CASE, NO_CASE.upper(), "x", "..", "0" * 36, clear):
            assert ada.get(f"cases/{one}").status_code == 404, one
            assert ada.post(one, "claim").status_code == 404, one
        assert ada.get(f"cases/{NO_CASE}/claim").status_code == 405
        assert served.client.delete("/review/cases").status_code == 405


def test_a_ledger_that_was_meddled_with_is_told_without_its_inside(world: World) -> None:
    scored(world)
    with serving(world) as served:
        (ada,) = people(served, "ada")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        workplace: Workplace = served.stand.workplace
        workplace.record("case_decided", f"case {one}", {"turn": 9, "subject": "WO-1", "scored_date": str(DAY)})
        broken = ada.get("cases")
        assert broken.status_code == 500
        assert "fielded" not in broken.text
        assert any(line["event"] == "cases not read" for line in served.lines())


def test_a_ledger_that_cannot_be_read_is_no_fault_of_the_caller(world: World) -> None:
    scored(world)
    with serving(world) as served:
        (ada,) = people(served, "ada")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        table = world.open().tables.uri(world.open().ledger.predictions).removeprefix("file://")
        for file in Path(table).rglob("*.parquet"):
            file.write_bytes(b"no parquet")
        for response in (ada.get("cases"), ada.get("stats"), ada.get(f"cases/{one}"), ada.post(one, "claim")):
            assert response.status_code == 503, served.lines()[-3:]
            assert response.headers["retry-after"]
            assert table not in response.text


def test_more_reviews_than_are_taken_are_refused_and_scores_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(world)
    go = threading.Event()

    def waits(*_: object, **__: object) -> Any:
        go.wait(30)
        raise AssertionError

    monkeypatch.setattr("fielded.doors.serving.review_routes.list_cases", waits)
    with serving(world) as served:
        token = {"Authorization": "Bearer as:ada"}
        with ThreadPoolExecutor(33) as pool:
            url = f"http://127.0.0.1:{served.port}/review/cases"
            asked = [pool.submit(httpx.get, url, headers=token, timeout=60) for _ in range(33)]
            done = next(one for one in iter(lambda: next((a for a in asked if a.done()), None), 0) if one)
            assert done.result().status_code == 503
            assert done.result().json()["detail"].startswith("As many reviews")
            assert served.client.post("/score", json=ROW).status_code == 200
            assert served.client.get("/health/ready").status_code == 200
            go.set()
            statuses = sorted(one.result().status_code for one in asked)
        assert statuses == [500] * 32 + [503]
        assert served.client.get("/review/stats", headers=token).status_code == 200


def test_a_reviewer_may_be_known_by_a_certificate(world: World) -> None:
    scored(world)

    class Certificates(Tokens):
        def authenticate(self, credentials: Credentials) -> Caller:
            return Caller("cert:CN=Ada", frozenset({"review"}), credentials.peer, "certificate")

    with serving(world, authenticator=Certificates()) as served:
        ada = Review(served, "none")
        one = ada.get("cases").json()["cases"][0]["request_id"]
        assert ada.post(one, "claim").json()["case"]["holder"] == "cert:CN=Ada"
