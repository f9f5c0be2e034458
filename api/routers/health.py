"""Probes and metrics."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api import answers
from api.health import EXAMPLE, SystemHealth
from api.parts import Uses
from proto import subjects
from proto.errors import Unavailable

router = APIRouter(tags=["operation"])


class Part(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    detail: str = ""


class HealthReport(msgspec.Struct, frozen=True):
    """Whether the process works, and each part it needs."""

    ok: bool
    parts: tuple[Part, ...]


_EXAMPLE = HealthReport(True, (Part("nats", True), Part("log", True), Part("list", True), Part("feed", True)))


@router.get(
    "/healthz", summary="Is the process alive?", responses=answers.described(HealthReport, HealthReport(True, ()))
)
async def healthz() -> Response:
    """Always 200 while the process answers: a NATS that is away is no reason to restart it."""
    return answers.json(HealthReport(True, ()))


@router.get(
    "/readyz",
    summary="Can it do its work?",
    responses=answers.described(HealthReport, _EXAMPLE)
    | {503: {"description": "Not now; `parts` says why.", "content": {"application/json": {}}}},
)
async def readyz(parts: Uses) -> Response:
    """200 when NATS is connected with its streams, the list has been read, and the feed is subscribed."""
    found = [Part("nats", parts.bus.connected, "" if parts.bus.connected else "not connected")]
    if parts.bus.connected:
        try:
            await parts.bus.info(subjects.LOG)
            found.append(Part("log", True))
        except Unavailable as error:
            found.append(Part("log", False, str(error)))
    found.append(Part("list", parts.listing.ready))
    found.append(Part("feed", parts.hub.subscribed.is_set()))
    report = HealthReport(all(part.ok for part in found), tuple(found))
    return answers.json(report, 200 if report.ok else 503)


@router.get(
    "/health",
    summary="How is everything?",
    responses=answers.described(SystemHealth, EXAMPLE),
)
async def health(parts: Uses) -> Response:
    """Every process of the system as it answers over the bus, the features that are missing with the command that
    fetches each, and the provider that really runs each model. 200 even where something is wrong: `/readyz` is for
    load balancers. At most a second old; takes half a second when it is asked anew.
    """
    return answers.json(await parts.overview.read())


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics() -> Response:
    """In the Prometheus text format. No label names a session or a person."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
