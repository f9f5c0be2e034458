"""A web server of files that can break off, lie and refuse; it can also stand for a proxy."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Web(ThreadingHTTPServer):
    """`files` by path. While `cuts` is not 0, an answer stops half way of what is left and it counts down. `refuse`
    answers with that status, `times` times (-1: for ever). While `drips` is not 0, an answer comes a byte at a time and
    it counts down. `ranges` False sends all of a file whatever was asked.
    `sends_on` maps a path to the address it redirects to. With `hold` set, every answer waits for that event.
    `seen` are the request lines with the range asked for.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self._scheme = "https" if tls else "http"
        if tls:
            # The handshake is for the thread that answers, not for the one that accepts.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.files = files
        self.cuts = 0
        self.drips = 0
        self.refuse = 0
        self.times = -1
        self.ranges = True
        self.chunked = False
        self.sends_on: dict[str, str] = {}
        self.hold: threading.Event | None = None
        self.seen: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"

    def wait_for(self, requests: int, timeout_s: float = 20.0) -> None:
        """Until so many requests have come."""
        deadline_s = time.monotonic() + timeout_s
        while len(self.seen) < requests:
            assert time.monotonic() < deadline_s, f"{len(self.seen)} of {requests} requests within {timeout_s} s"
            time.sleep(0.005)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """The test says what matters."""

    def do_CONNECT(self) -> None:
        self.server.seen.append((f"CONNECT {self.path}", ""))
        self._empty(502)

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.seen.append((f"GET {self.path}", asked))
        if self.server.hold:
            self.server.hold.wait(20)
        if self.server.refuse and self.server.times:
            self.server.times -= 1
            self._empty(self.server.refuse)
        elif there := self.server.sends_on.get(self.path):
            self._empty(302, {"Location": there})
        elif (data := self.server.files.get(self.path)) is None:
            self._empty(404)
        else:
            self._file(data, asked)

    def _file(self, data: bytes, asked: str) -> None:
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked and self.server.ranges else 0
        if start >= len(data):
            self._empty(416)
            return
        rest = data[start:]
        sent = rest
        if self.server.cuts:
            self.server.cuts -= 1
            sent = rest[: len(rest) // 2]
            self.close_connection = True
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.server.chunked:
            # Of unknown length: the end of the connection is the end of the file.
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.drips:
            self.server.drips -= 1
            for place in range(len(sent)):
                self.wfile.write(sent[place : place + 1])
                time.sleep(0.01)
        self.wfile.write(sent)

    def _empty(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(files: dict[str, bytes], tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    web = Web(files, tls)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        if web.hold:
            web.hold.set()
        web.shutdown()
        thread.join(10)
        web.server_close()


def tls_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for a server at 127.0.0.1, and the file of the certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, chain
