"""Fetching one file over HTTP: goes on after a break, takes no more than was announced, honours the proxy variables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import httpx

from proto.errors import BadSettings, NotFound, Unavailable

TIMEOUT = httpx.Timeout(connect=10.0, read=30.0, write=30.0, pool=10.0)
MAX_IDLE_TRIES = 3
"""Attempts in a row that bring not one byte, after which it is over."""
MAX_TRIES = 50
PAUSE_S = 1.0
SLOW_S = 60.0
SLOW_BYTES = 60 << 10
"""Who sends less than `SLOW_BYTES` in `SLOW_S` is asked anew."""
MAX_REDIRECTS = 5
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_GONE = (404, 410)
_NOBODY = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


class _Break(Exception):
    """The transfer stopped before its end; the next attempt goes on."""


def fetch(url: str, part: Path, size_bytes: int, told: Callable[[int], None] = lambda _have: None) -> None:
    """Bring `part` to `size_bytes`, going on with what is there. `told` hears how many bytes there are.

    Raises:
        BadSettings: a proxy variable that is no address.
        NotFound: there is no such file.
        Unavailable: nobody answers, it is refused, broke off for good, or is another size.
        OSError: the disk refused.
    """
    idle = 0
    with _client() as client:
        for attempt in range(1, MAX_TRIES + 1):
            have = _usable(part, size_bytes)
            told(have)
            if have == size_bytes:
                return
            try:
                _go_on(client, url, part, have, size_bytes, told)
            except (httpx.TransportError, _Break) as error:
                brought = _usable(part, size_bytes) > have
                idle = 0 if brought else idle + 1
                if attempt == 1 and not brought and isinstance(error, _NOBODY):
                    raise Unavailable(_unreachable(url, error)) from error
                if idle >= MAX_IDLE_TRIES or attempt == MAX_TRIES:
                    raise Unavailable(
                        f"{_shown(url)} broke off: {_cause(error)}. Run the same command again: it goes on where it was"
                    ) from error
                time.sleep(PAUSE_S * 2 ** max(idle - 1, 0))


@contextmanager
def _client() -> Iterator[httpx.Client]:
    headers = {"User-Agent": "candor", "Accept-Encoding": "identity"}
    try:
        client = httpx.Client(timeout=TIMEOUT, headers=headers, follow_redirects=False)
    except (ValueError, httpx.InvalidURL, ImportError) as error:
        raise BadSettings(str(error), field="HTTPS_PROXY, HTTP_PROXY or ALL_PROXY") from error
    with client:
        yield client


def _usable(part: Path, size_bytes: int) -> int:
    """Bytes that are there already. More than there should be are of another file, and thrown away."""
    have = part.stat().st_size if part.is_file() else 0
    if have > size_bytes:
        part.unlink()
        return 0
    return have


def _go_on(client: httpx.Client, url: str, part: Path, have: int, size_bytes: int, told: Callable[[int], None]) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _answer(client, url, headers) as answer:
        if answer.status_code == HTTPStatus.OK:
            # A server that knows no ranges sends all of it again.
            have = 0
        elif answer.status_code != HTTPStatus.PARTIAL_CONTENT or not _begins_at(answer, have):
            part.unlink(missing_ok=True)
            raise _Break(f"it answered {answer.status_code} to a request for the rest")
        announced = answer.headers.get("Content-Length", "")
        if announced.isdigit() and have + int(announced) != size_bytes:
            raise Unavailable(
                f"{_shown(url)} offers {have + int(announced)} bytes where the manifest says {size_bytes}: another file"
            )
        since_s, before = time.monotonic(), have
        with part.open("ab" if have else "wb") as file:
            # In blocks as they come: with a size of its own it would drop the last, broken one.
            for block in answer.iter_raw():
                have += len(block)
                if have > size_bytes:
                    raise Unavailable(f"{_shown(url)} sends more than the {size_bytes} bytes that the manifest says")
                file.write(block)
                told(have)
                if (now_s := time.monotonic()) - since_s > SLOW_S:
                    if have - before < SLOW_BYTES:
                        raise _Break(f"it sent {have - before} bytes in {SLOW_S:g} s")
                    since_s, before = now_s, have
    if have < size_bytes:
        raise _Break(f"it ended after {have} of {size_bytes} bytes")


@contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """What the address, or the one it sends us on to, answers: 200, 206 or 416; all else is an error."""
    here = httpx.URL(url)
    for _ in range(MAX_REDIRECTS + 1):
        with client.stream("GET", here, headers=headers) as answer:
            if not answer.has_redirect_location:
                _check_status(str(here), answer)
                yield answer
                return
            try:
                there = here.join(answer.headers["Location"])
            except httpx.InvalidURL as error:
                raise Unavailable(f"{_shown(url)} sends us on to what is no address") from error
        if there.scheme not in ("http", "https") or (here.scheme == "https" and there.scheme != "https"):
            raise Unavailable(f"{_shown(url)} sends us on to {_shown(str(there))}, which is not https")
        here = there
    raise Unavailable(f"{_shown(url)} sends us on more than {MAX_REDIRECTS} times")


def _check_status(url: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        return
    if status in _GONE:
        raise NotFound(f"{_shown(url)} is not there ({status})")
    if status in _PASSING:
        raise _Break(f"it answered {status} {answer.reason_phrase}".rstrip())
    raise Unavailable(f"{_shown(url)} refuses: {status} {answer.reason_phrase}".rstrip())


def _begins_at(answer: httpx.Response, have: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _unreachable(url: str, error: Exception) -> str:
    told = f"{_shown(url)} cannot be reached: {_cause(error)}. "
    if "CERTIFICATE" in str(error):
        return told + "Where a proxy signs with its own certificate, name it in SSL_CERT_FILE"
    return told + "Behind a firewall set HTTPS_PROXY, or CANDOR_MODELS_MIRROR to a web folder that has the file"


def _cause(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _shown(url: str) -> str:
    """An address without names, passwords and signatures."""
    parts = httpx.URL(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.host}{port}{parts.path}"
