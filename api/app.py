"""The HTTP application: routers, errors, documentation, and what surrounds every request."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import answers, auth, problems
from api.middleware import BodyLimit, Cors, Guard, Trace
from api.parts import Parts
from api.routers import evidence, feed, findings, health, identity, notice, pages, sessions, whip
from api.settings import ApiSettings
from api.whip import check_turn
from runtime.bus import Bus

TITLE = "Candor"
ABOUT = (
    "Live video interviews in, an explained risk feed out. Every change of a score has a reason that can be checked; "
    "no answer here is a decision about a person."
)


def create_app(settings: ApiSettings, bus: Bus) -> FastAPI:
    """The app over a connected bus. `app.state.parts` holds the list and the hub, which `service.serve` keeps running.

    Raises:
        BadSettings: keys that do not parse, or none on a host that others can reach; half of TURN's credentials.
    """
    keys = auth.load_keys(settings)
    auth.check_exposure(settings, keys)
    check_turn(settings)
    app = FastAPI(title=TITLE, version=version("candor"), description=ABOUT, docs_url=None, redoc_url=None)
    app.state.parts = Parts.of(settings, bus, keys)
    for router in (sessions, identity, notice, findings, evidence, feed, whip, health, pages):
        app.include_router(router.router)
    pages.mount(app)
    problems.install(app)
    # Added innermost first: the outermost gives the id that all others name.
    app.add_middleware(BodyLimit, settings=settings)
    if keys.open:
        app.add_middleware(Guard, settings=settings)
    app.add_middleware(Cors, settings=settings)
    app.add_middleware(Trace)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schemas of the structs that the routes answer."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        document["components"]["schemas"].update(answers.schemas())
        _correct_validation(document)
        answers.add_examples(document)
        app.openapi_schema = document
    return app.openapi_schema


def _correct_validation(document: dict[str, Any]) -> None:
    """FastAPI documents a 422 of its own shape wherever there is a parameter; here every one is a problem."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for item in document["paths"].values():
        for operation in item.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = answers.refused(422)[422]
