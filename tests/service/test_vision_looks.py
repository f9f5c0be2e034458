"""What is looked for only where a frame asks for it, with real weights: things, expression, text."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from proto.media import Frame
from proto.observations import FrameSeen, TextSeen
from runtime.bus import Bus
from tests.conftest import Connect
from tests.support.clips import encode_jpeg, picture, scaled
from tests.support.vision import logged, send, vision, wait_for_log
from tests.support.wait import eventually

KEY = base64.b64encode(bytes(range(32))).decode()
MODELS = {"identity_model": "mobilefacenet", "expression_model": "faceapi-expression", "identity_key": KEY}

pytestmark = pytest.mark.usefixtures("real_models")


def asking(session: str, seq: int, path: Path, looks: tuple[str, ...]) -> Frame:
    rgb = scaled(picture(path))
    height_px, width_px = rgb.shape[:2]
    return Frame(session, "peer", seq, seq / 5, width_px, height_px, encode_jpeg(rgb), time.time(), looks)


async def seen_of(bus: Bus, session: str) -> FrameSeen:
    async def found() -> FrameSeen | None:
        return next((one for one in await logged(bus, session) if isinstance(one, FrameSeen)), None)

    return await eventually(found, 15)


async def test_each_frame_is_looked_at_for_what_it_asks(bus: Bus, connect: Connect, media: Path) -> None:
    photos = media / "photos"
    async with vision(await connect(), **MODELS):
        sent = [
            asking("phone", 0, photos / "phone_in_hand.jpg", ("objects",)),
            asking("smile", 0, media / "expressions" / "happy.jpg", ("expression",)),
            asking("nothing", 0, photos / "person_a_1.jpg", ()),
        ]
        await send(bus, sent)
        phone, smile, nothing = [await seen_of(bus, one.session) for one in sent]
    assert "cell phone" in {one.label for one in phone.objects}
    assert phone.models["objects"] == "yolox-nano"
    assert phone.timings_ms["objects"] > 0
    assert all(face.expression is None for face in phone.faces)
    assert max(smile.faces[0].expression, key=smile.faces[0].expression.get) == "HAPPY"
    assert sum(smile.faces[0].expression.values()) == 100
    assert (smile.objects, smile.models["expression"]) == (None, "faceapi-expression")
    assert (nothing.objects, nothing.identity, nothing.faces[0].expression) == (None, None, None)
    assert not {"objects", "identity", "expression"} & (set(nothing.models) | set(nothing.timings_ms))


async def test_text_is_searched_beside_the_faces(bus: Bus, connect: Connect, media: Path) -> None:
    async with vision(await connect(), text=True, **MODELS):
        await send(bus, [asking("s1", 0, media / "photos" / "id_specimen_passport.jpg", ("text",))])
        found = await wait_for_log(bus, "s1", 2, 30)
    (text,) = [one for one in found if isinstance(one, TextSeen)]
    assert text.regions
    assert all(region.text == "" for region in text.regions)


async def test_health_tells_what_runs_each_model(bus: Bus) -> None:
    async with vision(bus, **MODELS):
        told = bus.health.report("vision")
        parts = {part.name: part for part in told.parts}
        assert all(parts[f"feature:{name}"].ok for name in ("face", "objects", "identity", "expression"))
        assert not parts["feature:text"].ok
        assert {"face-mesh", "yolox-nano", "mobilefacenet", "faceapi-expression"} <= set(told.providers)
        assert set(told.providers.values()) <= {
            "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider",
        }  # fmt: skip
