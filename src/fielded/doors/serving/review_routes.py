"""The routes of the review console. Each parses, has one service do one thing in the caller's name, and renders.

1. Who acts is who was let in; nothing in a body, a path or a query can say otherwise.
2. Whatever touches the ledger is done off the event loop, on threads that nothing else waits for
   (`lifespan.Serving.review`).
3. An answer is made of what the caller may see after the act, and not of what the act knew.
4. 409 is what a rule of a case or another reviewer said no to: nothing was changed.

Controls: AC-3 and AC-6 (role `review`), AU-10 (the identity goes into the event).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from starlette.responses import Response

from fielded.decisions.review.acts import Outcome
from fielded.decisions.review.queue import waiting
from fielded.definition.site import Site
from fielded.doors.serving import review_answers as answers
from fielded.doors.serving.answers import state
from fielded.doors.serving.calls import Call, GuardedRoute
from fielded.doors.serving.lifespan import Serving
from fielded.doors.serving.problems import Problem, unavailable
from fielded.doors.serving.review_documentation import ReviewDocumentation
from fielded.doors.serving.review_requests import ReviewRequests, case_id, no_case, nobody_here
from fielded.doors.serving.routes import expect_json
from fielded.services.authority import roles_of
from fielded.services.review import act
from fielded.services.review.cases import list_cases, show_case, view_of
from fielded.services.review.record import Lost
from fielded.services.review.stats import stats
from fielded.words.errors import Refused, Unreachable, WrongUse
from fielded.world.identity import Caller
from fielded.world.workplace import Workplace

Json = dict[str, Any]
_T = TypeVar("_T")
_Act = Callable[[Workplace, str, Json], act.Done]

_READING = "The ledger cannot be read now. Try again."
_ACTING = "Whether this is on record is not known. Look at the case, and then try again."
_BROKEN = "The ledger's events about cases break a rule. It was logged under this request's id."


class ReviewRoutes:
    """The endpoints of one deployment's reviewers.

    Args:
        site: where; for the size of bodies.
        serving: in which acts are done.
        requests: reads what is sent.
        documentation: describes the routes.
    """

    def __init__(
        self, site: Site, serving: Serving, requests: ReviewRequests, documentation: ReviewDocumentation
    ) -> None:
        self._most_bytes = site.api.max_body_bytes
        self._serving = serving
        self._requests = requests
        self._documentation = documentation

    def all(self) -> list[GuardedRoute]:
        """Every route, with what it asks of its caller."""
        tell, case = self._documentation, self._act
        return [
            GuardedRoute("/review/cases", self.cases, role="review", **tell.cases()),
            GuardedRoute("/review/cases/{id}", self.case, role="review", **tell.case()),
            GuardedRoute("/review/stats", self.stats, role="review", **tell.stats()),
            GuardedRoute("/review/cases/{id}/claim", case("claim", _claim), role="review", **tell.act("claim")),
            GuardedRoute(
                "/review/cases/{id}/release", case("release", _release), role="review", **tell.act("release")
            ),
            GuardedRoute("/review/cases/{id}/judge", case("judge", _judge), role="review", **tell.act("judge")),
            GuardedRoute(
                "/review/cases/{id}/decide", case("decide", _decide), role="review", **tell.act("decide")
            ),
            GuardedRoute(
                "/review/cases/{id}/second", case("second", _second), role="review", **tell.act("second")
            ),
            GuardedRoute(
                "/review/cases/{id}/reassign", case("reassign", _reassign), role="review", **tell.act("reassign")
            ),
            GuardedRoute(
                "/review/cases/{id}/escalate", case("escalate", _escalate), role="review", **tell.act("escalate")
            ),
            GuardedRoute(
                "/review/cases/{id}/appeal", case("appeal", _appeal), role="review", **tell.act("appeal")
            ),
        ]

    async def cases(self, call: Call) -> Response:
        """The queue, what is due first before the rest."""
        asked = self._requests.query(call, self._requests.of_list)
        found = await self._read(call, lambda workplace: list_cases(workplace, asked["limit"], free=asked["free"]))
        return state(answers.queue(found))

    async def case(self, call: Call) -> Response:
        """A case, as the caller may see it."""
        self._requests.query(call, {})
        request_id = case_id(call)
        return state(answers.detail(await self._read(call, lambda workplace: show_case(workplace, request_id))))

    async def stats(self, call: Call) -> Response:
        """How the review goes."""
        asked = self._requests.query(call, self._requests.of_stats)
        return state(answers.stats(await self._read(call, lambda workplace: stats(workplace, asked["days"]))))

    def _act(self, name: str, do: _Act) -> Callable[[Call], Any]:
        async def endpoint(call: Call) -> Response:
            self._requests.query(call, {})
            expect_json(call)
            sent = self._requests.body(name, await call.whole_body(self._most_bytes))
            return await self._acted(call, partial(_acted, do, case_id(call), sent))

        return endpoint

    async def _acted(self, call: Call, do: Callable[[Workplace], Json]) -> Response:
        try:
            return state(await self._serving.review(_caller(call), do))
        except WrongUse:
            raise no_case() from None
        except Problem:
            raise
        except Lost as lost:
            raise Problem(409, "lost", str(lost)) from None
        except Refused as refusal:
            raise Problem(409, "refused", str(refusal)) from None
        except Unreachable as error:
            raise self._not_now(call, error, _ACTING) from None

    async def _read(self, call: Call, do: Callable[[Workplace], _T]) -> _T:
        try:
            return await self._serving.review(_caller(call), do)
        except WrongUse:
            raise no_case() from None
        except Problem:
            raise
        except Refused as refusal:  # the role was asked for before: what is left is a ledger that was meddled with
            self._serving.logs.event("error", "cases not read", route=call.route, message=str(refusal))
            raise Problem(500, "ledger", _BROKEN) from None
        except Unreachable as error:
            raise self._not_now(call, error, _READING) from None

    def _not_now(self, call: Call, error: Unreachable, detail: str) -> Problem:
        self._serving.logs.event("error", "unavailable", route=call.route, message=str(error))
        return unavailable("unavailable", detail)


def _caller(call: Call) -> Caller:
    if call.caller is None:
        raise RuntimeError("a review by nobody")
    return call.caller


def _acted(do: _Act, request_id: str, sent: Json, workplace: Workplace) -> Json:
    """Do something, and look at the case as the caller may see it then."""
    made = do(workplace, request_id, sent)
    item = waiting(made.case, made.state, workplace.deployment.review)
    return answers.done(made, view_of(workplace, item, workplace.clock()))


def _claim(workplace: Workplace, request_id: str, _sent: Json) -> act.Done:
    return act.claim(workplace, request_id)


def _release(workplace: Workplace, request_id: str, _sent: Json) -> act.Done:
    return act.release(workplace, request_id)


def _judge(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    return act.judge(workplace, request_id, flag=sent["flag"])


def _decide(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    return act.decide(workplace, request_id, cast("Outcome", sent["outcome"]), sent["reason"], sent["text"])


def _second(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    return act.judge_second(workplace, request_id, flag=sent["flag"])


def _reassign(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    if "review" not in roles_of(workplace.site, sent["to"]):
        raise nobody_here("to")  # so that it is told by its field; the service refuses it all the same
    return act.reassign(workplace, request_id, sent["to"], sent["reason"])


def _escalate(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    return act.escalate(workplace, request_id, sent["reason"])


def _appeal(workplace: Workplace, request_id: str, sent: Json) -> act.Done:
    return act.appeal(workplace, request_id, sent["reason"])
