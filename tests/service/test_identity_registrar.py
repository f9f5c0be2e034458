"""Registering a face and comparing documents through a real bus, with real models: what is stored, logged, answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inference.vision.faces import FaceFinder
from inference.vision.identity import Vault, portraits
from inference.vision.identity.vault import load_key
from inference.vision.settings import VisionSettings
from proto import codec, subjects
from proto.errors import FeatureMissing
from proto.identity import Compared, CompareDocument, CompareReply, Registered, RegisterFace, RegisterReply, Unusable
from proto.observations import DocumentCompared, FaceRegistered, Observation, SessionCreated
from runtime.bus import Bus, NoResponders
from tests.conftest import TEST_DATA, Connect, missing
from tests.support.clips import encode_jpeg, picture, scaled
from tests.support.identity import KEY, MODEL, Models, Pasted, card, face_models, photo, portrait, registering, turned
from tests.support.vision import logged
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def models(built_dir: Path) -> Iterator[Models]:
    if not (TEST_DATA / "models").is_dir():
        missing("the folder of test models")
    with face_models(TEST_DATA / "models", built_dir) as found:
        yield found


async def a_session(bus: Bus, session: str = "s1") -> str:
    created = SessionCreated(
        session=session, source="api", seq=0, t_s=0, created_unix_s=time.time(), policy_name="standard",
        policy_toml="", token_sha256="",
    )  # fmt: skip
    await bus.observe(created)
    return session


async def register(bus: Bus, session: str, jpeg: bytes, **more: bool) -> Registered | Unusable:
    ask = RegisterFace(session=session, created_unix_s=time.time() - 5, jpeg=jpeg, **more)
    reply: Registered | Unusable = await bus.request(subjects.VISION_REGISTER, ask, RegisterReply, 20)  # type: ignore[arg-type]
    return reply


async def compare(bus: Bus, session: str, document: bytes, live: bytes, **more: bool) -> Compared | Unusable:
    ask = CompareDocument(
        session=session, created_unix_s=time.time(), document_jpeg=document, live_jpeg=live, document_type="pan", **more
    )
    reply: Compared | Unusable = await bus.request(subjects.VISION_DOCUMENT, ask, CompareReply, 20)  # type: ignore[arg-type]
    return reply


async def seen(bus: Bus, session: str) -> list[Observation]:
    return [one for one in await logged(bus, session) if not isinstance(one, SessionCreated)]


async def stored(bus: Bus, session: str) -> bytes | None:
    entry = await (await bus.bucket(subjects.KV_IDENTITIES)).get(session)
    return entry.value if entry else None


async def test_a_face_is_registered_and_can_be_compared_with(
    bus: Bus, connect: Connect, models: Models, media: Path
) -> None:
    session = await a_session(bus)
    async with registering(await connect(), models) as references:
        assert references is not None
        assert await references.of(session) is None
        jpeg = encode_jpeg(photo(media, "person_a_1"))
        reply = await register(bus, session, jpeg)
        assert isinstance(reply, Registered), reply
        assert (reply.model, reply.face_px > 300, reply.confidence > 0.9) == (MODEL, True, True)
        # The worker that registered it knows at once, whatever it remembered.
        reference = await references.of(session)
        assert reference is not None
        own = portraits.of_photo(models, photo(media, "person_a_1")).embedding
        assert float(own @ reference.embedding) > 0.95
    (observed,) = await seen(bus, session)
    assert isinstance(observed, FaceRegistered)
    assert (observed.seq, observed.origin, observed.model) == (0, "photo", MODEL)
    assert 5 <= observed.t_s < 60


async def test_nothing_that_is_stored_or_logged_shows_the_face(
    bus: Bus, connect: Connect, models: Models, media: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = await a_session(bus)
    image = photo(media, "person_b_1")
    async with registering(await connect(), models):
        assert isinstance(await register(bus, session, encode_jpeg(image)), Registered)
        live = encode_jpeg(photo(media, "person_b_2"))
        document = encode_jpeg(card(Pasted(portrait(models, image), 260, 60, 240)))
        assert isinstance(await compare(bus, session, document, live), Compared)
    raw = await stored(bus, session)
    assert raw is not None
    reference = Vault(load_key(VisionSettings(identity_key=KEY))).open(session, raw)  # type: ignore[arg-type]
    pieces = [reference.embedding.tobytes()[at : at + 8] for at in range(0, reference.embedding.nbytes - 8, 4)]
    log = [delivery.data async for delivery in bus.read(subjects.LOG, subjects.log_session(session))]
    assert len(log) == 4
    for place in (raw, *log):
        assert not any(piece in place for piece in pieces)
    assert all(len(one) < 600 for one in log)
    output = "".join(capfd.readouterr())
    assert not any(f"{number:.4f}" in output for number in reference.embedding[:64] if abs(number) > 0.01)


async def test_pictures_that_cannot_be_used_say_why(bus: Bus, connect: Connect, models: Models, media: Path) -> None:
    session = await a_session(bus)
    good = photo(media, "person_a_1")
    spoilt: dict[str, np.ndarray | bytes] = {
        "no_face": np.full((480, 640, 3), 130, dtype=np.uint8),
        "several_faces": photo(media, "two_people"),
        "face_too_small": scaled(good, 180),
        "face_turned": scaled(picture(media / "headpose" / "image00251.jpg"), 900),
        "face_unclear": (good * 0.04).astype(np.uint8),
        "unreadable": b"\xff\xd8\xff not a jpeg",
    }
    async with registering(await connect(), models):
        for code, image in spoilt.items():
            jpeg = image if isinstance(image, bytes) else encode_jpeg(image)
            reply = await register(bus, session, jpeg)
            assert isinstance(reply, Unusable)
            assert (reply.code, reply.picture) == (code, "photo")
            assert reply.detail.endswith(".")
            assert "photo" in reply.detail
    assert await stored(bus, session) is None
    assert await seen(bus, session) == []


async def test_replacing_is_asked_for(bus: Bus, connect: Connect, models: Models, media: Path) -> None:
    session = await a_session(bus)
    one, other = (encode_jpeg(photo(media, name)) for name in ("person_a_1", "person_b_1"))
    async with registering(await connect(), models):
        assert isinstance(await register(bus, session, one, replace=False), Registered)
        first = await stored(bus, session)
        refused = await register(bus, session, other, replace=False)
        assert isinstance(refused, Unusable)
        assert refused.code == "already_registered"
        assert await stored(bus, session) == first
        assert isinstance(await register(bus, session, other), Registered)
        assert await stored(bus, session) != first
    assert [one.seq for one in await seen(bus, session)] == [0, 1]


async def test_a_session_that_is_not_there_gets_nothing_stored(
    bus: Bus, connect: Connect, models: Models, media: Path
) -> None:
    async with registering(await connect(), models):
        reply = await register(bus, "ghost", encode_jpeg(photo(media, "person_a_1")))
        assert isinstance(reply, Unusable)
        assert reply.code == "no_session"
    assert await stored(bus, "ghost") is None


async def test_a_session_erased_meanwhile_leaves_nothing(
    bus: Bus, connect: Connect, models: Models, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await a_session(bus)
    worker = await connect()
    put = type(await bus.bucket(subjects.KV_IDENTITIES)).put

    async def erased_while_putting(bucket: object, key: str, value: bytes) -> int:
        await bus.purge(subjects.LOG, subjects.log_session(key))
        return await put(bucket, key, value)  # type: ignore[arg-type]

    monkeypatch.setattr("runtime.bus.buckets.Bucket.put", erased_while_putting)
    async with registering(worker, models):
        reply = await register(bus, session, encode_jpeg(photo(media, "person_a_1")))
        assert isinstance(reply, Unusable)
        assert reply.code == "no_session"
    assert await stored(bus, session) is None


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
async def test_a_document_in_any_position(
    bus: Bus, connect: Connect, models: Models, media: Path, quarters: int
) -> None:
    session = await a_session(bus)
    face = portrait(models, photo(media, "person_a_2"))
    document = turned(card(Pasted(face, 110, 60, 240)), quarters)
    async with registering(await connect(), models) as references:
        reply = await compare(bus, session, encode_jpeg(document), encode_jpeg(photo(media, "person_a_1")))
        assert isinstance(reply, Compared), reply
        assert (reply.matches, reply.registered, reply.rotation_deg) == (True, True, 90 * quarters)
        assert reply.similarity_pct >= reply.threshold_pct == 80.0
        assert references is not None
        assert await references.of(session) is not None
    compared, registered = sorted(await seen(bus, session), key=lambda one: one.kind)
    assert isinstance(compared, DocumentCompared)
    assert isinstance(registered, FaceRegistered)
    assert (compared.document_type, compared.matches, compared.rotation_deg) == ("pan", True, 90 * quarters)
    assert registered.origin == "live"


async def test_another_persons_document_registers_nobody(
    bus: Bus, connect: Connect, models: Models, media: Path
) -> None:
    session = await a_session(bus)
    passport = encode_jpeg(turned(photo(media, "id_specimen_passport"), 1))
    async with registering(await connect(), models):
        reply = await compare(bus, session, passport, encode_jpeg(photo(media, "person_c_1")))
        assert isinstance(reply, Compared)
        assert (reply.matches, reply.registered, reply.rotation_deg) == (False, False, 90)
        assert reply.similarity_pct < 60
    assert await stored(bus, session) is None
    assert [one.kind for one in await seen(bus, session)] == ["identity.document"]


@pytest.mark.parametrize(("register_it", "replace", "registered"), [(False, True, False), (True, False, False)])
async def test_a_match_registers_only_where_it_is_asked_for(
    bus: Bus, connect: Connect, models: Models, media: Path, register_it: bool, replace: bool, registered: bool
) -> None:
    session = await a_session(bus)
    face = portrait(models, photo(media, "person_a_2"))
    document, live = encode_jpeg(card(Pasted(face, 260, 60, 240))), encode_jpeg(photo(media, "person_a_1"))
    async with registering(await connect(), models):
        if not replace:
            await register(bus, session, encode_jpeg(photo(media, "person_b_1")))
        before = await stored(bus, session)
        reply = await compare(bus, session, document, live, register=register_it, replace=replace)
        assert isinstance(reply, Compared)
        assert (reply.matches, reply.registered) == (True, registered)
        assert await stored(bus, session) == before


async def test_a_document_with_several_faces(bus: Bus, connect: Connect, models: Models, media: Path) -> None:
    session = await a_session(bus)
    holder, other = (portrait(models, photo(media, name)) for name in ("person_a_2", "person_b_2"))
    live = encode_jpeg(photo(media, "person_a_1"))
    main = Pasted(holder, 260, 60, 240)
    async with registering(await connect(), models):
        for ghost in (
            Pasted(holder, 150, 950, 540, 0.4),
            Pasted(holder, 250, 930, 490, 0.7),
            Pasted(other, 110, 950, 560),
        ):
            reply = await compare(bus, session, encode_jpeg(card(main, ghost)), live)
            assert isinstance(reply, Compared), reply
            assert reply.matches
        reply = await compare(bus, session, encode_jpeg(card(main, Pasted(other, 255, 930, 480))), live)
        assert isinstance(reply, Unusable)
        assert (reply.code, reply.picture) == ("several_faces", "document")
        empty = await compare(bus, session, encode_jpeg(card()), live)
        assert isinstance(empty, Unusable)
        assert (empty.code, empty.picture) == ("no_face", "document")
        nobody = await compare(bus, session, encode_jpeg(card(main)), encode_jpeg(card()))
        assert isinstance(nobody, Unusable)
        assert (nobody.code, nobody.picture) == ("no_face", "live")


async def test_without_key_or_model_the_answer_is_the_command(bus: Bus, connect: Connect, media: Path) -> None:
    absent = FeatureMissing("identity", "no key is set", "openssl rand -base64 32")
    nothing = Models(None, None)  # type: ignore[arg-type]
    jpeg = encode_jpeg(photo(media, "person_a_1"))
    with pytest.raises(NoResponders):
        await register(bus, "s1", jpeg)
    async with registering(await connect(), nothing, missing=absent) as references:
        assert references is None
        for reply in (await register(bus, "s1", jpeg), await compare(bus, "s1", jpeg, jpeg)):
            assert isinstance(reply, Unusable)
            assert (reply.code, reply.command) == ("unavailable", "openssl rand -base64 32")


class Broken:
    """Models that break over every picture."""

    comparer = None

    @property
    def finder(self) -> object:
        raise RuntimeError("a model broke")


async def test_a_request_that_breaks_something_spoils_only_itself(bus: Bus, connect: Connect, media: Path) -> None:
    session = await a_session(bus)
    jpeg = encode_jpeg(photo(media, "person_a_1"))
    async with registering(await connect(), Broken()):  # type: ignore[arg-type]
        for _ in range(3):
            reply = await register(bus, session, jpeg)
            assert isinstance(reply, Unusable)
            assert reply.code == "unavailable"
        for data in (b"\xc1", b"", codec.encode(RegisterFace(session="../x", created_unix_s=0, jpeg=b""))):
            answer = await bus._client.request(subjects.VISION_REGISTER, data, timeout=10)
            assert codec.decode(answer.data, RegisterReply).code == "unreadable"


class Held:
    """The models, whose finder waits until it may go on."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.comparer = models.comparer
        self.entered, self.may_go_on = threading.Event(), threading.Event()

    @property
    def finder(self) -> FaceFinder:
        self.entered.set()
        self.may_go_on.wait(10)
        return self._models.finder


async def test_what_is_in_hand_when_the_worker_leaves_is_answered(
    bus: Bus, connect: Connect, models: Models, media: Path
) -> None:
    session = await a_session(bus)
    held = Held(models)
    async with registering(await connect(), held):
        asking = asyncio.create_task(register(bus, session, encode_jpeg(photo(media, "person_a_1"))))
        await eventually(held.entered.is_set)
        asyncio.get_running_loop().call_later(0.1, held.may_go_on.set)
    assert isinstance(await asyncio.wait_for(asking, 5), Registered)
