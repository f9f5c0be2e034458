"""Bodies of multipart/form-data (RFC 7578), as `curl -F` and a browser's FormData send them; already in memory."""

from __future__ import annotations

from email.message import Message

import msgspec

from proto.errors import BadInput

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 16
MAX_HEAD_BYTES = 4096


class Part(msgspec.Struct, frozen=True):
    """One field of a form."""

    name: str
    data: bytes


def parse(content_type: str, body: bytes) -> dict[str, bytes]:
    """Data of each field by its name.

    Raises:
        BadInput: no boundary, no end, a part without a name, a name twice, or too many parts.
    """
    boundary = _parameters(content_type).get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise BadInput("names no boundary", field="content-type")
    delimiter = b"\r\n--" + boundary.encode()
    # The first delimiter may stand at the very beginning; what is before it says nothing.
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 2)[1:]
    if not pieces or not pieces[-1].startswith(b"--"):
        raise BadInput(f"is cut off, or has more than {MAX_PARTS} parts", field="body")
    found: dict[str, bytes] = {}
    for piece in pieces[:-1]:
        part = _part(piece)
        if part.name in found:
            raise BadInput("is given twice", field=part.name)
        found[part.name] = part.data
    return found


def _part(piece: bytes) -> Part:
    # Behind the delimiter: blanks, a line break, the part's head, an empty line, its data.
    _, _, rest = piece.partition(b"\r\n")
    head, gap, data = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if not gap or len(head) > MAX_HEAD_BYTES:
        raise BadInput("has a part without a proper head", field="body")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            name = _parameters(value.strip()).get_param("name")
            if isinstance(name, str) and name:
                return Part(name, data)
    raise BadInput("has a part without a name", field="body")


def _parameters(value: str) -> Message:
    # The standard library's parser of header parameters, quoting and all; it reads them of Content-Type.
    message = Message()
    message["Content-Type"] = value
    return message
