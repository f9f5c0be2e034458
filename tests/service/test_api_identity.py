"""Faces and documents over HTTP: who may, what is taken, what is answered, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import simplejpeg
from pydantic import SecretStr

from api import middleware
from api.settings import ApiSettings
from inference.vision.identity import Reference, Vault, load_key
from inference.vision.settings import VisionSettings
from proto import codec, subjects
from proto.identity import Compared, CompareDocument, Registered, RegisterFace, Unusable
from runtime.bus import Bus
from tests.conftest import TEST_DATA, Connect, missing
from tests.support.api import assert_problem, create, running_api
from tests.support.clips import encode_jpeg
from tests.support.identity import KEY, MODEL, Models, Pasted, card, face_models, photo, portrait, registering, turned
from tests.support.wait import eventually

KEYS = {"ingest": "i" * 24, "supervise": "s" * 24, "admin": "a" * 24}
SETTINGS = ApiSettings(
    host="127.0.0.1",
    keys=SecretStr(",".join(f"{role}:{key}" for role, key in KEYS.items())),
    settle_timeout_s=0,
)
GREY = encode_jpeg(np.full((200, 300, 3), 128, dtype=np.uint8))
JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
async def http(bus: Bus) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(bus) as base_url, httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def models(built_dir: Path) -> Iterator[Models]:
    if not (TEST_DATA / "models").is_dir():
        missing("the folder of test models")
    with face_models(TEST_DATA / "models", built_dir) as found:
        yield found


class Scripted:
    """A worker that says what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RegisterFace | CompareDocument] = []
        self.says: Registered | Compared | Unusable = Registered(model=MODEL, face_px=200.0, confidence=0.99)


@asynccontextmanager
async def scripted(bus: Bus) -> AsyncIterator[Scripted]:
    worker = Scripted()
    kinds: dict[str, Any] = {subjects.VISION_REGISTER: RegisterFace, subjects.VISION_DOCUMENT: CompareDocument}

    async def serve(subject: str) -> None:
        async for delivery in subscriptions[subject]:
            worker.asked.append(codec.decode(delivery.data, kinds[subject]))
            await delivery.respond(worker.says)

    subscriptions = {subject: bus.subscribe(subject, subjects.VISION_QUEUE) for subject in kinds}
    for subscription in subscriptions.values():
        await subscription.__aenter__()
    serving = [asyncio.create_task(serve(subject)) for subject in kinds]
    try:
        yield worker
    finally:
        for subscription in subscriptions.values():
            await subscription.close()
        await asyncio.gather(*serving)


async def put(http: httpx.AsyncClient, session: str, data: bytes = GREY, **headers: str) -> httpx.Response:
    return await http.put(f"/v1/sessions/{session}/identity", content=data, headers={**JPEG, **headers})


async def post(http: httpx.AsyncClient, session: str, document: bytes, live: bytes, **form: str) -> httpx.Response:
    files = {"document": ("card.jpg", document, "image/jpeg"), "live": ("me.jpg", live, "image/jpeg")}
    return await http.post(f"/v1/sessions/{session}/identity/document", files=files, data=form)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def test_register_ask_erase(
    http: httpx.AsyncClient, bus: Bus, connect: Connect, models: Models, media: Path
) -> None:
    session = (await create(http))["id"]
    url = f"/v1/sessions/{session}/identity"
    async with registering(await connect(), models):
        nothing = (await http.get(url)).json()
        assert nothing["registered"] is False
        assert_problem(await http.delete(url), 404, "no face is registered")
        for suffix, kind in ((".jpg", "image/jpeg"), (".png", "image/png"), (".webp", "image/webp")):
            data = bytes(cv2.imencode(suffix, photo(media, "person_a_1")[..., ::-1])[1])
            answer = await http.put(url, content=data, headers={"Content-Type": kind})
            assert answer.status_code == 200, answer.text
            assert answer.json() == (await http.get(url)).json()
        registered = answer.json()
        assert (registered["registered"], registered["model"], registered["origin"]) == (True, MODEL, "photo")
        assert registered["registered_at"].endswith("+00:00")
        assert set(registered) == {"session", "registered", "model", "origin", "registered_at", "t_s"}
        assert (await http.delete(url)).status_code == 204
        assert (await http.get(url)).json() == nothing
    assert await remains(bus, session) == []


async def remains(bus: Bus, session: str) -> list[bytes]:
    """What the bucket's stream still has under the session's key; erasing leaves an empty marker for an hour."""
    stream = f"KV_{subjects.KV_IDENTITIES}"
    return [
        delivery.data async for delivery in bus.read(stream, f"$KV.{subjects.KV_IDENTITIES}.{session}") if delivery.data
    ]


async def test_erasing_the_session_leaves_no_byte_of_the_face(http: httpx.AsyncClient, bus: Bus) -> None:
    session, other = [(await create(http))["id"] for _ in range(2)]
    vault = Vault(load_key(VisionSettings(identity_key=SecretStr(KEY))))
    bucket = await bus.bucket(subjects.KV_IDENTITIES)
    for owner in (session, other, session):
        await bucket.put(owner, vault.seal(owner, Reference(MODEL, np.ones(512, dtype=np.float32))))
    assert len(await remains(bus, session)) == len(await remains(bus, other)) == 1
    receipt = (await http.delete(f"/v1/sessions/{session}")).json()
    assert receipt["identity"] is True
    assert await remains(bus, session) == []
    assert len(await remains(bus, other)) == 1
    third = (await create(http))["id"]
    assert (await http.delete(f"/v1/sessions/{third}")).json()["identity"] is False


async def test_a_document_in_a_form(http: httpx.AsyncClient, connect: Connect, models: Models, media: Path) -> None:
    session = (await create(http))["id"]
    document = encode_jpeg(turned(card(Pasted(portrait(models, photo(media, "person_b_2")), 200, 60, 240)), 3))
    async with registering(await connect(), models):
        answer = await post(http, session, document, encode_jpeg(photo(media, "person_b_1")), document_type="aadhaar")
        assert answer.status_code == 200, answer.text
        result = answer.json()
        assert result["similarity_pct"] >= result["threshold_pct"] == 80
        assert (result["matches"], result["registered"], result["rotation_deg"]) == (True, True, 270)
        assert (result["document_type"], result["model"]) == ("aadhaar", MODEL)
        state = (await http.get(f"/v1/sessions/{session}/identity")).json()
        assert (state["registered"], state["origin"]) == (True, "live")
        refused = await post(http, session, encode_jpeg(card()), encode_jpeg(photo(media, "person_b_1")))
        assert_problem(refused, 422, "No face was found in the document.")
        problem = refused.json()
        assert (problem["code"], problem["errors"][0]["field"]) == ("no_face", "document")


async def test_what_a_worker_refuses_is_a_problem_with_its_code(http: httpx.AsyncClient, connect: Connect) -> None:
    session = (await create(http))["id"]
    statuses = {"no_face": 422, "several_faces": 422, "face_too_small": 422, "face_turned": 422, "face_unclear": 422}
    statuses |= {"unreadable": 422, "already_registered": 409, "no_session": 404, "unavailable": 503}
    async with scripted(await connect()) as worker:
        for code, status in statuses.items():
            worker.says = Unusable(code=code, picture="photo", detail="So it is.", command="make it so")  # type: ignore[arg-type]
            for answer in (await put(http, session), await post(http, session, GREY, GREY)):
                assert_problem(answer, status, "So it is. (run: make it so)")
                assert answer.json()["code"] == code
                assert ("retry-after" in answer.headers) == (status == 503)


async def test_without_a_worker_the_answer_says_what_to_run(http: httpx.AsyncClient) -> None:
    session = (await create(http))["id"]
    for answer in (await put(http, session), await post(http, session, GREY, GREY)):
        assert_problem(answer, 503, "candor models pull sface", "openssl rand -base64 32")
        assert answer.json()["code"] == "unavailable"


async def test_what_reaches_the_worker_is_small_upright_and_without_metadata(
    http: httpx.AsyncClient, connect: Connect
) -> None:
    session = (await create(http))["id"]
    noise = np.random.default_rng(0).integers(0, 255, (2000, 2400, 3), dtype=np.uint8)
    data = bytes(simplejpeg.encode_jpeg(noise, quality=85))
    assert 3_000_000 < len(data) < SETTINGS.max_picture_bytes
    async with scripted(await connect()) as worker:
        await put(http, session, data)
        worker.says = Compared(
            model=MODEL, similarity_pct=12.3, threshold_pct=80, matches=False, registered=False, rotation_deg=0,
            document_confidence=1, live_confidence=1,
        )  # fmt: skip
        assert (await post(http, session, data, data, document_type="pan")).status_code == 200
        register, compare = worker.asked
        assert isinstance(register, RegisterFace)
        assert isinstance(compare, CompareDocument)
        assert (compare.document_type, compare.replace, compare.register) == ("pan", True, True)
        assert len(codec.encode(compare)) <= codec.MAX_MESSAGE_BYTES
        for jpeg in (register.jpeg, compare.document_jpeg, compare.live_jpeg):
            height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
            assert 800 <= width <= 1600
            assert width / height == pytest.approx(1.2, rel=0.01)
        created = (await http.get(f"/v1/sessions/{session}")).json()["created_unix_s"]
        assert register.created_unix_s == compare.created_unix_s == created


async def test_wrong_bodies_are_refused(http: httpx.AsyncClient, connect: Connect) -> None:
    session = (await create(http))["id"]
    form = f"/v1/sessions/{session}/identity/document"
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 30_000, 30_000, 8, 2, 0, 0, 0)
    huge += struct.pack(">I", zlib.crc32(huge[12:]))
    async with scripted(await connect()) as worker:
        assert_problem(await put(http, session, **{"Content-Type": "image/gif"}), 415, "image/webp")
        assert_problem(await put(http, session, **{"Content-Type": "application/json"}), 415)
        assert_problem(await http.post(form, json={}), 415, "multipart/form-data")
        assert_problem(await put(http, session, b""), 422, "photo: is neither")
        assert_problem(await put(http, session, GREY[:200]), 422, "photo: cannot be")
        assert_problem(await put(http, session, huge), 422, "photo: is 30000x30000", "40 megapixels")
        assert_problem(await post(http, session, GREY, b""), 422, "live: is missing")
        assert_problem(await post(http, session, b"x", GREY), 422, "document: is neither")
        assert_problem(
            await post(http, session, GREY, GREY, document_type="visa"), 422, "document_type: must be one of"
        )
        broken = await http.post(form, content=b"--x\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert_problem(broken, 422, "body: is cut off")
        over = bytes(SETTINGS.max_picture_bytes + middleware.FORM_BYTES + 1)
        assert_problem(await put(http, session, over), 413, "larger than")
        assert_problem(await http.put("/v1/sessions/x/y/identity", content=bytes(100_000)), 413)
        for path in ("/identity", "/identity/document"):
            assert (await http.get(f"/v1/sessions/nobody{path}")).status_code in (404, 405)
        assert_problem(await put(http, "nobody"), 404)
        assert worker.asked == []


async def test_a_session_that_is_over_takes_no_face(http: httpx.AsyncClient, connect: Connect) -> None:
    session = (await create(http))["id"]
    await http.post(f"/v1/sessions/{session}/end")
    async with scripted(await connect()) as worker:
        assert_problem(await put(http, session), 410, "over")
        assert_problem(await post(http, session, GREY, GREY), 410, "over")
        assert worker.asked == []


async def test_only_so_many_pictures_are_taken_at_once(bus: Bus, connect: Connect) -> None:
    settings = ApiSettings(max_uploads=1)
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url, timeout=30) as http:
        session = (await create(http))["id"]
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield GREY[:100]
            begun.set()
            await may_end.wait()
            yield GREY[100:]

        async with scripted(await connect()):
            url = f"/v1/sessions/{session}/identity"
            first = asyncio.create_task(http.put(url, content=slow(), headers=JPEG))
            await begun.wait()

            async def refused() -> bool:
                answer = await put(http, session)
                return answer.status_code == 503 and "retry-after" in answer.headers

            await eventually(refused)
            may_end.set()
            assert (await first).status_code == 200
            assert (await put(http, session)).status_code == 200


MATRIX = {
    "none": (401, 401, 401, 401),
    "unknown": (401, 401, 401, 401),
    "token": (200, 200, 403, 200),
    "ingest": (200, 403, 404, 200),
    "supervise": (403, 200, 403, 403),
    "admin": (200, 200, 404, 200),
}
"""PUT, GET, DELETE (there is none: 404), POST document."""


@pytest.mark.parametrize("who", MATRIX)
async def test_the_matrix(bus: Bus, connect: Connect, who: str) -> None:
    async with running_api(bus, SETTINGS) as base_url, httpx.AsyncClient(base_url=base_url, timeout=30) as http:
        created = (await http.post("/v1/sessions", headers=bearer(KEYS["admin"]))).json()
        other = (await http.post("/v1/sessions", headers=bearer(KEYS["admin"]))).json()
        credential = {"none": "", "unknown": other["token"], "token": created["token"], **KEYS}[who]
        http.headers.update(bearer(credential) if credential else {})
        session, url = created["id"], f"/v1/sessions/{created['id']}/identity"
        async with scripted(await connect()) as worker:
            found = [await put(http, session), await http.get(url), await http.delete(url)]
            worker.says = Compared(
                model=MODEL, similarity_pct=90, threshold_pct=80, matches=True, registered=True, rotation_deg=0,
                document_confidence=1, live_confidence=1,
            )  # fmt: skip
            found.append(await post(http, session, GREY, GREY))
            assert tuple(answer.status_code for answer in found) == MATRIX[who]
            # The session's token, which the candidate holds, registers once: it must not put somebody else in place.
            assert all(asked.replace == (who != "token") for asked in worker.asked)
            assert bool(worker.asked) == (MATRIX[who][0] == 200)


async def test_a_web_page_may_put(bus: Bus) -> None:
    settings = ApiSettings(allow_origins="https://platform.example")
    async with running_api(bus, settings) as base_url, httpx.AsyncClient(base_url=base_url) as http:
        asked = {"Origin": "https://platform.example", "Access-Control-Request-Method": "PUT"}
        answer = await http.options("/v1/sessions/x/identity", headers=asked)
        assert "PUT" in answer.headers["access-control-allow-methods"]
