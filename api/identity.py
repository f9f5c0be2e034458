"""Registering a face and comparing documents: who may, what is taken, and what the workers say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal, TypeVar

from api import auth, pictures
from api.auth import Keys, Right, Unauthorized
from api.models import DocumentResult, Identity
from api.problems import HttpRefused
from api.sessions import Sessions
from api.settings import ApiSettings
from proto import codec, subjects
from proto.errors import BusUnavailable, Full, NotFound
from proto.identity import (
    Code,
    Compared,
    CompareDocument,
    CompareReply,
    Registered,
    RegisterFace,
    RegisterReply,
    Unusable,
)
from proto.observations import FaceRegistered, SessionCreated
from runtime.bus import Bucket, Bus, NoResponders
from runtime.log import get_logger

DOCUMENT_TYPES = ("aadhaar", "pan", "passport", "driving_license", "voter_id", "other")
DocumentType = Literal["aadhaar", "pan", "passport", "driving_license", "voter_id", "other"]

ANSWER_S = 15.0
"""Longer than a worker takes for one answer, so that its own sentence arrives."""

DECODED_AT_ONCE = 2
"""A picture of the largest size takes 120 MB while it is decoded."""

PHOTO_BYTES = 900_000
"""Largest picture sent to a worker, which by default reads none of more than a million bytes."""

ROOM_BYTES = 4096
"""What a request takes besides its pictures."""

STATUS: dict[Code, int] = {"already_registered": 409, "no_session": 404, "unavailable": 503}
"""What a worker's refusal is in HTTP; 422 where nothing else is said."""

NOBODY = (
    "identity: no vision worker answers. One needs a face model (run: candor models pull sface) and a key in "
    "CANDOR_VISION_IDENTITY_KEY (run: openssl rand -base64 32)"
)

T = TypeVar("T")
log = get_logger("api")


class Identities:
    """Reference faces of sessions. Every method raises BusUnavailable when NATS does not answer in time."""

    def __init__(self, settings: ApiSettings, bus: Bus, keys: Keys, sessions: Sessions) -> None:
        self._bus = bus
        self._keys = keys
        self._sessions = sessions
        self._timeout_s = settings.bus_timeout_s
        self._room = asyncio.Semaphore(settings.max_uploads)
        self._decoding = asyncio.Semaphore(DECODED_AT_ONCE)
        self._bucket: Bucket | None = None

    async def authorize(self, session: str, credential: str, right: Right) -> tuple[SessionCreated, bool]:
        """The session's record, and whether the credential is only the session's token, if it has this right.

        Raises:
            Unauthorized, Forbidden: it has not.
            NotFound: no such session.
        """
        if not credential:
            self._keys.check("", right)
        record = await self._sessions.record(session)
        if credential and auth.token_matches(credential, record.token_sha256):
            return record, True
        if credential and self._keys.open:
            raise Unauthorized("this is not the token of this session")
        self._keys.check(credential, right)
        return record, False

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[None]:
        """Room for one request with pictures, to be taken before its body is read. Raises Full."""
        if self._room.locked():
            raise Full("other pictures are being read: try again")
        async with self._room:
            yield

    async def register(self, record: SessionCreated, photo: bytes, *, replace: bool) -> Identity:
        """Make the face in a photo the session's reference.

        Raises:
            BadInput, HttpRefused: the photo or its face cannot be used; the worker's sentence, with its code.
        """
        await self._not_over(record.session)
        jpeg = await self._normalised(photo, PHOTO_BYTES, "photo")
        ask = RegisterFace(session=record.session, created_unix_s=record.created_unix_s, jpeg=jpeg, replace=replace)
        reply: Registered = accepted(await self._ask(subjects.VISION_REGISTER, ask, RegisterReply))
        log.info("api.identity_registered", session=record.session, model=reply.model)
        return await self.of(record)

    async def compare(
        self, record: SessionCreated, document: bytes, live: bytes, document_type: DocumentType, *, replace: bool
    ) -> DocumentResult:
        """Compare a document's portrait with a live picture; a match is registered. Raises as `register`."""
        await self._not_over(record.session)
        room = (codec.MAX_MESSAGE_BYTES - ROOM_BYTES) // 2
        ask = CompareDocument(
            session=record.session,
            created_unix_s=record.created_unix_s,
            document_jpeg=await self._normalised(document, room, "document"),
            live_jpeg=await self._normalised(live, room, "live"),
            document_type=document_type,
            replace=replace,
        )
        reply: Compared = accepted(await self._ask(subjects.VISION_DOCUMENT, ask, CompareReply))
        log.info("api.document_compared", session=record.session, model=reply.model)
        return DocumentResult(
            session=record.session,
            document_type=document_type,
            model=reply.model,
            similarity_pct=reply.similarity_pct,
            threshold_pct=reply.threshold_pct,
            matches=reply.matches,
            registered=reply.registered,
            rotation_deg=reply.rotation_deg,
            document_confidence=reply.document_confidence,
            live_confidence=reply.live_confidence,
        )

    async def of(self, record: SessionCreated) -> Identity:
        """Whether a face is registered, with which model, when: never the face itself."""
        bucket = await self._opened()
        if await self._within(bucket.get(record.session)) is None:
            return Identity(session=record.session, registered=False)
        found = await self._sessions.last(record.session, FaceRegistered)
        if found is None:
            return Identity(session=record.session, registered=True)
        last, _ = found
        at = datetime.fromtimestamp(record.created_unix_s + last.t_s, UTC)
        return Identity(
            session=record.session,
            registered=True,
            model=last.model,
            origin=last.origin,
            registered_at=at.isoformat(timespec="milliseconds"),
            t_s=last.t_s,
        )

    async def erase(self, session: str) -> None:
        """Erase the reference; workers that have it in memory drop it within seconds. Raises NotFound where none is."""
        bucket = await self._opened()
        if await self._within(bucket.get(session)) is None:
            raise NotFound("no face is registered for this session")
        await self._within(bucket.purge(session))
        log.info("api.identity_erased", session=session)

    async def _not_over(self, session: str) -> None:
        if await self._sessions.over(session):
            raise HttpRefused(410, "this session is over: create a new one")

    async def _normalised(self, data: bytes, max_bytes: int, field: str) -> bytes:
        async with self._decoding:
            return await asyncio.to_thread(pictures.normalised, data, max_bytes, field)

    async def _ask(self, subject: str, message: RegisterFace | CompareDocument, kind: UnionType) -> Any:
        try:
            return await self._bus.request(subject, message, kind, ANSWER_S)  # type: ignore[arg-type]
        except NoResponders as error:
            raise HttpRefused(503, NOBODY, {"Retry-After": "5"}, code="unavailable") from error

    async def _opened(self) -> Bucket:
        if self._bucket is None:
            self._bucket = await self._within(self._bus.bucket(subjects.KV_IDENTITIES))
        return self._bucket

    async def _within(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError as error:
            raise BusUnavailable("NATS did not answer in time") from error


def accepted(reply: T | Unusable) -> T:
    """What a worker found, or its refusal as HTTP says it.

    Raises:
        HttpRefused: 404, 409, 422 or 503.
    """
    if not isinstance(reply, Unusable):
        return reply
    status = STATUS.get(reply.code, 422)
    detail = f"{reply.detail} (run: {reply.command})" if reply.command else reply.detail
    headers = {"Retry-After": "5"} if status == 503 else {}
    raise HttpRefused(status, detail, headers, code=reply.code, field=reply.picture)
