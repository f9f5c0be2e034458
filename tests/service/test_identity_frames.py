"""A whole vision worker: who is registered over the bus is looked for in the frames that ask for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proto import subjects
from proto.identity import Registered, RegisterFace, RegisterReply, Unusable
from proto.media import Frame, Look
from proto.observations import FeatureStatus, FrameSeen, SessionCreated
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.clips import encode_jpeg, scaled
from tests.support.identity import KEY, MODEL, photo
from tests.support.vision import logged, send, vision
from tests.support.wait import eventually


class Session:
    """A session whose frames are shown one after the other."""

    def __init__(self, bus: Bus, media: Path, name: str = "s1") -> None:
        self._bus = bus
        self._media = media
        self._seq = 0
        self.name = name

    async def begin(self) -> None:
        created = SessionCreated(
            session=self.name, source="api", seq=0, t_s=0, created_unix_s=time.time(), policy_name="standard",
            policy_toml="", token_sha256="",
        )  # fmt: skip
        await self._bus.observe(created)

    def jpeg(self, name: str) -> bytes:
        return encode_jpeg(scaled(photo(self._media, name), 640))

    async def register(self, name: str) -> Registered | Unusable:
        ask = RegisterFace(session=self.name, created_unix_s=time.time(), jpeg=self.jpeg(name))
        reply: Registered | Unusable = await self._bus.request(subjects.VISION_REGISTER, ask, RegisterReply, 20)  # type: ignore[arg-type]
        return reply

    async def show(self, name: str, looks: tuple[Look, ...] = ("identity",)) -> FrameSeen:
        self._seq += 1
        seq = self._seq
        one = Frame(self.name, "peer", seq, seq / 5, 640, 480, self.jpeg(name), time.time(), looks=looks)
        await send(self._bus, [one])

        async def seen() -> FrameSeen | None:
            log = await logged(self._bus, self.name)
            return next((one for one in log if isinstance(one, FrameSeen) and one.seq == seq), None)

        found = await eventually(seen, 15)
        assert found is not None
        return found


@pytest.mark.usefixtures("real_models")
async def test_the_registered_face_is_verified_in_frames(bus: Bus, connect: Connect, media: Path) -> None:
    session, other = Session(bus, media), Session(bus, media, "s2")
    async with vision(await connect(), identity_model=MODEL, identity_key=KEY):
        await session.begin()
        assert (await session.show("person_a_2")).identity is None
        assert isinstance(await session.register("person_a_1"), Registered)
        same = await session.show("person_a_2")
        assert same.identity is not None
        assert same.identity.matches is True
        assert same.identity.similarity_pct is not None
        assert same.identity.similarity_pct >= 80
        assert same.models["identity"] == MODEL
        stranger = (await session.show("person_b_1")).identity
        assert stranger is not None
        assert (stranger.matches, stranger.similarity_pct is not None and stranger.similarity_pct < 60) == (False, True)
        several = (await session.show("two_people")).identity
        assert several is not None
        assert (several.matches, several.reason) == (None, "several_faces")
        assert (await session.show("person_b_1", looks=())).identity is None
        # What belongs to one session says nothing of another.
        assert (await other.show("person_a_2")).identity is None

        await (await bus.bucket(subjects.KV_IDENTITIES)).purge("s1")

        async def forgotten() -> bool:
            return (await session.show("person_b_1")).identity is None

        await eventually(forgotten, 20)


@pytest.mark.usefixtures("real_models")
async def test_without_a_key_it_is_a_missing_feature(bus: Bus, connect: Connect, media: Path) -> None:
    session = Session(bus, media)
    async with vision(await connect(), identity_model=MODEL):
        await session.begin()
        refused = await session.register("person_a_1")
        assert isinstance(refused, Unusable)
        assert (refused.code, refused.command) == ("unavailable", "openssl rand -base64 32")
        assert (await session.show("person_a_1")).identity is None
        told = [one for one in await logged(bus, "s1") if isinstance(one, FeatureStatus)]
        assert ("identity", "openssl rand -base64 32") in [(one.feature, one.command) for one in told]
