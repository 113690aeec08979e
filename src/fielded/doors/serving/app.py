"""The application: FastAPI, with the guard in the place of its own middleware."""

import importlib.metadata
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response
from starlette.types import ASGIApp

from fielded.definition.deployment import Deployment
from fielded.definition.site import Site
from fielded.doors.serving.answers import state
from fielded.doors.serving.calls import Call, GuardedRoute
from fielded.doors.serving.documentation import Documentation
from fielded.doors.serving.guard import Guard
from fielded.doors.serving.lifespan import OpenService, Serving
from fielded.doors.serving.limits import Limits
from fielded.doors.serving.logs import Logs
from fielded.doors.serving.metrics import Metrics
from fielded.doors.serving.request_model import RequestModel
from fielded.doors.serving.review_documentation import ReviewDocumentation
from fielded.doors.serving.review_requests import ReviewRequests
from fielded.doors.serving.review_routes import ReviewRoutes
from fielded.doors.serving.routes import Routes
from fielded.words.identifiers import RandomBytes
from fielded.world.identity import Authenticator

# FastAPI would send requests with their bodies to a collector that the environment names.
_NO_TELEMETRY: Any = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}


class Application(FastAPI):
    """FastAPI's routes, matching and OpenAPI; every request passes the guard."""

    def __init__(
        self, documentation: Documentation, serving: Serving, guard: Callable[[ASGIApp], Guard], **settings: Any
    ) -> None:
        super().__init__(
            openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=_NO_TELEMETRY,
            **settings,
        )  # fmt: skip
        self._documentation = documentation
        self._serving = serving
        self._guard = guard

    @property
    def failed(self) -> bool:
        """Whether this worker ended because it could score no more."""
        return self._serving.failed

    def build_middleware_stack(self) -> ASGIApp:
        """The guard, and nothing else: it turns every error into a problem."""
        return self._guard(self.router)

    def openapi(self) -> dict[str, Any]:
        """The API's description."""
        if self.openapi_schema is None:
            described = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            described["components"] = self._documentation.components()
            self.openapi_schema = described
        return self.openapi_schema


def build_app(
    deployment: Deployment,
    site: Site,
    *,
    open_service: OpenService,
    authenticator: Authenticator,
    logs: Logs,
    clock: Callable[[], datetime],
    random_bytes: RandomBytes,
) -> Application:
    """The API of a deployment at a site. Nothing is loaded before the server starts it.

    Args:
        deployment: what is served.
        site: where.
        open_service: opens what scores.
        authenticator: who calls.
        logs: where lines go.
        clock: the time now, UTC.
        random_bytes: source of randomness.
    """
    model = RequestModel(deployment.features, site.api.max_batch_rows)
    documentation = Documentation(deployment, model)
    name = deployment.model.name
    serving = Serving(open_service, name, site.api, authenticator, logs, Metrics(name), random_bytes)
    requests = ReviewRequests(deployment.review)
    reviewing = ReviewRoutes(site, serving, requests, ReviewDocumentation(deployment, requests))
    routes = [*Routes(deployment, site, serving, model, documentation).all(), *reviewing.all()]

    async def openapi(_call: Call) -> Response:
        return state(app.openapi())

    if site.environment == "development":
        # No pages beside it: theirs would fetch their scripts from somebody else's servers.
        routes.append(GuardedRoute("/openapi.json", openapi, role=None, include_in_schema=False))

    def guard(router: ASGIApp) -> Guard:
        return Guard(
            router,
            routes,
            serving=serving,
            authenticator=authenticator,
            limits=Limits(site.api),
            clock=clock,
            random_bytes=random_bytes,
        )

    app = Application(
        documentation,
        serving,
        guard,
        routes=routes,
        title=deployment.name,
        description=deployment.purpose,
        version=importlib.metadata.version("fielded"),
    )
    return app
