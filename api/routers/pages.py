"""The pages for people: dashboard, candidate page, and the api's documentation."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from api import docs
from proto.errors import NotFound

STATIC = Path(__file__).resolve().parent.parent / "static"

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


class Static(StaticFiles):
    """Files that a browser asks about each time: a new release is seen at once, an old file costs a 304."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(PAGE_HEADERS)
        return response


def mount(app: FastAPI) -> None:
    """Serve the files under /static."""
    app.mount("/static", Static(directory=STATIC, check_dir=False), name="static")


def _page(name: str) -> Response:
    path = STATIC / name
    if not path.is_file():
        raise NotFound(f"this build has no {name}")
    return FileResponse(path, headers=PAGE_HEADERS, media_type="text/html; charset=utf-8")


@router.get("/")
async def dashboard() -> Response:
    return _page("index.html")


@router.get("/candidate")
async def candidate() -> Response:
    return _page("candidate.html")


@router.get("/docs")
async def documentation(request: Request) -> Response:
    page, csp = docs.page(request.app.openapi())
    return Response(page, headers={"Content-Security-Policy": csp, "Cache-Control": "no-cache"}, media_type="text/html")


@router.get("/redoc")
async def redoc() -> Response:
    return RedirectResponse("/docs", 308)
