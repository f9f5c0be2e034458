"""What it takes to register a face and to compare a document: look, judge, encrypt, store, log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from inference.backends.base import Image
from inference.signals import identity
from inference.vision.decode import picture_of
from inference.vision.identity import portraits
from inference.vision.identity.portraits import FaceModels, Portrait, Taken, Trouble
from inference.vision.identity.references import References
from inference.vision.identity.vault import Reference, Vault
from inference.vision.settings import VisionSettings
from proto import codec, subjects
from proto.errors import BadInput, BusUnavailable, Conflict
from proto.identity import Compared, CompareDocument, Registered, RegisterFace
from proto.observations import DocumentCompared, FaceRegistered, Observation, SessionCreated
from runtime.bus import Bus

SOURCE = "vision"
PHOTO, DOCUMENT, LIVE = "photo", "document", "live"
"""Which picture, in `Unusable.picture` and `FaceRegistered.origin`."""

BUS_S = 3.0

T = TypeVar("T")


class ModelsThread(Protocol):
    """Runs a function on the models' thread, as `Lane.run` does."""

    async def run(self, work: Callable[[FaceModels], T], /) -> T: ...


class Clerk:
    """Handles one request at a time each; every method raises what the `Registrar` turns into an answer: `Trouble`,
    FeatureMissing, BusUnavailable, BadInput.
    """

    def __init__(
        self, settings: VisionSettings, bus: Bus, lane: ModelsThread, vault: Vault, references: References
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._lane = lane
        self._vault = vault
        self._references = references

    async def register(self, data: bytes) -> Registered:
        """Make the only face of a photo the session's reference."""
        asked = codec.decode(data, RegisterFace)
        subjects.check_session(asked.session)
        taken = await self._lane.run(lambda models: self._photo(models, asked.jpeg, PHOTO))
        if not await self._store(asked.session, taken, asked.replace):
            raise Trouble("already_registered")
        await self._tell_registered(asked.session, asked.created_unix_s, taken, PHOTO)
        return Registered(model=taken.model, face_px=taken.portrait.face_px, confidence=taken.portrait.score)

    async def compare(self, data: bytes) -> Compared:
        """Compare a document's portrait with a live face, and register that where they match."""
        asked = codec.decode(data, CompareDocument)
        subjects.check_session(asked.session)
        live = await self._lane.run(lambda models: self._photo(models, asked.live_jpeg, LIVE))
        document = await self._document(asked.document_jpeg)
        similarity = await self._lane.run(lambda models: portraits.similarity_pct(models, document, live))
        compared = Compared(
            model=live.model,
            similarity_pct=similarity,
            threshold_pct=identity.THRESHOLD_PCT,
            matches=identity.matches(similarity),
            registered=False,
            rotation_deg=document.portrait.rotation_deg,
            document_confidence=document.portrait.score,
            live_confidence=live.portrait.score,
        )
        await self._tell_compared(asked, compared)
        if not (compared.matches and asked.register and await self._store(asked.session, live, asked.replace)):
            return compared
        await self._tell_registered(asked.session, asked.created_unix_s, live, LIVE)
        return msgspec.structs.replace(compared, registered=True)

    def _photo(self, models: FaceModels, jpeg: bytes, picture: str) -> Taken:
        with portraits.of_picture(picture):
            return portraits.of_photo(models, self._decoded(jpeg))

    async def _document(self, jpeg: bytes) -> Taken:
        """The holder's face. Each turn is a task of its own for the models' thread, so that frames go on in between."""
        with portraits.of_picture(DOCUMENT):
            image = await self._lane.run(lambda _: self._decoded(jpeg))
            found: list[Portrait] = []
            for tiling in portraits.TILINGS:
                for rotation_deg in portraits.ROTATIONS_DEG:
                    found += await self._lane.run(_searching(image, tiling, rotation_deg))
                if any(portrait.likeness >= portraits.SURE for portrait in found):
                    break
            return await self._lane.run(lambda models: portraits.of_document(models, portraits.best_rotation(found)))

    def _decoded(self, jpeg: bytes) -> Image:
        try:
            return picture_of(jpeg, self._settings.max_jpeg_bytes, self._settings.max_pixels)
        except BadInput as error:
            raise Trouble("unreadable") from error

    async def _store(self, session: str, taken: Taken, replace: bool) -> bool:
        """Encrypt and keep a face; False where there is one that may not be replaced.

        Raises:
            Trouble: the session is not, or no longer, there.
        """
        sealed = self._vault.seal(session, Reference(taken.model, taken.embedding))
        await self._must_exist(session)
        bucket = await _within(self._bus.bucket(subjects.KV_IDENTITIES))
        try:
            await _within(bucket.put(session, sealed) if replace else bucket.create(session, sealed))
        except Conflict:
            return False
        try:
            await self._must_exist(session)
        except Trouble:
            # Erased meanwhile, perhaps after the eraser had been here.
            await _within(bucket.purge(session))
            raise
        finally:
            self._references.forget(session)
        return True

    async def _must_exist(self, session: str) -> None:
        kind = str(SessionCreated.__struct_config__.tag)
        if await _within(self._bus.last(subjects.LOG, subjects.log(session, kind))) is None:
            raise Trouble("no_session")

    async def _tell_registered(self, session: str, created_unix_s: float, taken: Taken, origin: str) -> None:
        kind = str(FaceRegistered.__struct_config__.tag)
        last = await _within(self._bus.last(subjects.LOG, subjects.log(session, kind)))
        seq = 0 if last is None else codec.decode(last.data, FaceRegistered).seq + 1
        await self._observe(
            FaceRegistered(
                session=session,
                source=_source(),
                seq=seq,
                t_s=_since(created_unix_s),
                model=taken.model,
                origin=origin,
                face_px=round(taken.portrait.face_px, 1),
            )
        )

    async def _tell_compared(self, asked: CompareDocument, compared: Compared) -> None:
        await self._observe(
            DocumentCompared(
                session=asked.session,
                source=_source(),
                seq=0,
                t_s=_since(asked.created_unix_s),
                model=compared.model,
                document_type=asked.document_type,
                similarity_pct=compared.similarity_pct,
                matches=compared.matches,
                rotation_deg=compared.rotation_deg,
            )
        )

    async def _observe(self, observation: Observation) -> None:
        await self._bus.observe(observation, self._settings.publish_timeout_s)


def _searching(image: Image, tiling: int, rotation_deg: int) -> Callable[[FaceModels], list[Portrait]]:
    return lambda models: portraits.search(models, image, tiling, rotation_deg)


def _source() -> str:
    # Of each request its own: two workers that answer at once do not take each other's number in the log.
    return f"{SOURCE}-{secrets.token_hex(4)}"


def _since(created_unix_s: float) -> float:
    return max(0.0, time.time() - created_unix_s)


async def _within(call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(BUS_S):
            return await call
    except TimeoutError as error:
        raise BusUnavailable("NATS did not answer in time") from error
