"""A server that speaks as much of the Hugging Face hub as a pull needs, and can break off."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPOSITORY = "someone/whisper-test"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """`files` are the repository's. While `cuts` is not 0, a download of a large file stops half way and it counts
    down; `refuse` answers all downloads with that status. With `elsewhere` files lie on another host, to which it sends
    clients on, as the real hub does. `ranges` are the byte ranges that were asked for, `tokens` the authorisations seen
    with downloads.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files = files
        self.cuts = 0
        self.refuse = 0
        self.elsewhere = False
        self.tokens: list[str | None] = []
        self.ranges: list[str] = []
        self.downloads: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """The test says what matters."""

    def do_HEAD(self) -> None:
        if self.path == "/":
            self._send(200, b"", {})
        else:
            self._file(body=False)

    def do_GET(self) -> None:
        if self.path.startswith(f"/api/models/{REPOSITORY}/tree/{REVISION}"):
            self._send(200, json.dumps([_row(name, data) for name, data in self.server.files.items()]).encode(), {})
        elif self.path.startswith("/api/"):
            code = "RevisionNotFound" if REPOSITORY in self.path else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code})
        else:
            self._file(body=True)

    def _file(self, *, body: bool) -> None:
        name = self.path.rsplit("/", 1)[-1]
        data = self.server.files.get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        if self.server.elsewhere and not self.path.startswith("/elsewhere/"):
            headers |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": headers["ETag"]}
            headers["Location"] = f"http://localhost:{self.server.server_address[1]}/elsewhere/{name}"
            self._send(302, b"", headers)
            return
        if not body:
            self._send(200, b"", headers, length=len(data))
            return
        self.server.downloads.append(name)
        self.server.tokens.append(self.headers.get("Authorization"))
        if self.server.refuse:
            self._send(self.server.refuse, b"", {})
            return
        start = 0
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        rest = data[start:]
        cut = self.server.cuts > 0 and len(data) > 100_000
        if cut:
            self.server.cuts -= 1
            # The first break comes half way, later ones before a single byte.
            rest = rest[: len(data) // 2 - start] if start < len(data) // 2 else b""
        self._send(206 if start else 200, rest, headers, length=len(data) - start)
        if cut:
            self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _row(name: str, data: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join(10)
        hub.server_close()
