"""Structs as JSON answers, and how FastAPI's OpenAPI document learns of them."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from api import problems

_encoder = msgspec.json.Encoder()
# Every struct that `described` was asked for: the app puts their schemas into the document.
_described: dict[str, type[msgspec.Struct]] = {"Problem": problems.Problem}

_examples: dict[str, Any] = {}

REF = "#/components/schemas/{name}"


def json(content: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A struct as JSON."""
    return Response(_encoder.encode(content), status, headers, "application/json")


def described(
    kind: type[msgspec.Struct], example: object, *, status: int = 200, refusals: tuple[int, ...] = ()
) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that answers `kind`; refusals are documented as problems."""
    _described[kind.__name__] = kind
    _examples[kind.__name__] = msgspec.to_builtins(example)
    content = {"schema": {"$ref": REF.format(name=kind.__name__)}}
    doc = (kind.__doc__ or kind.__name__).strip().split("\n\n")[0]
    return {
        status: {"description": " ".join(doc.split()), "content": {"application/json": content}},
        **refused(*refusals),
    }


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` for refusals."""
    problem = {"schema": {"$ref": REF.format(name="Problem")}}
    return {code: {"description": _SAYS[code], "content": {problems.MEDIA_TYPE: problem}} for code in statuses}


def schemas() -> dict[str, Any]:
    """JSON schemas of everything described, by name."""
    _, components = msgspec.json.schema_components(list(_described.values()), ref_template=REF)
    return components


def add_examples(document: dict[str, Any]) -> None:
    """Put the examples into an OpenAPI document; FastAPI would drop their nulls."""
    for item in document["paths"].values():
        for operation in item.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    if name in _examples:
                        content["example"] = _examples[name]


_SAYS = {
    400: "The body is not what it should be.",
    401: "No credential, or an unknown one.",
    403: "The credential does not allow this.",
    404: "There is no such session or file.",
    406: "The answer cannot be had in an accepted format.",
    408: "The body took too long to arrive.",
    409: "There is something already that this would replace.",
    410: "The session is over.",
    412: "If-Match does not name the current ICE session.",
    413: "The body is too large.",
    415: "The body has the wrong media type.",
    422: "Something in the request is wrong; `errors` names it.",
    428: "If-Match is missing.",
    503: "Something needed is away or full; try again after `Retry-After` seconds.",
}
