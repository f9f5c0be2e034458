"""Answers the api's requests about faces, and survives whatever is in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from inference.vision.identity import metrics
from inference.vision.identity.clerk import Clerk, ModelsThread
from inference.vision.identity.portraits import Trouble
from inference.vision.identity.references import References
from inference.vision.identity.vault import Vault
from inference.vision.settings import VisionSettings
from proto import subjects
from proto.errors import BadInput, BusUnavailable, FeatureMissing
from proto.identity import Code, Compared, Registered, Unusable
from runtime.bus import Bus, Delivery, Subscription
from runtime.log import get_logger

WAITING = 8
"""Requests that wait; of more, the oldest goes unanswered, which the api tells as "try again"."""

AT_ONCE = 2
ANSWER_S = 10.0
"""Time for one answer; the frames of all sessions go on in between."""

IDLE_S = 1.0
DRAIN_S = 12.0

SENTENCES: dict[Code, str] = {
    "unreadable": "The {picture} cannot be read.",
    "no_face": "No face was found in the {picture}.",
    "several_faces": "There is more than one face in the {picture}.",
    "face_too_small": "The face in the {picture} is too small: it must be nearer, or have more pixels.",
    "face_turned": "The face in the {picture} is turned away: it must look into the camera.",
    "face_unclear": "The face in the {picture} is too dark, too bright or blurred.",
    "already_registered": "A face is registered for this session already.",
    "no_session": "There is no such session.",
    "unavailable": "Faces cannot be compared now: try again.",
}
_NAMES = {"live": "live picture"}

Answer = Registered | Compared | Unusable
Handler = Callable[[bytes], Awaitable[Registered | Compared]]

log = get_logger("vision")


class Registrar:
    """An async context manager that answers until it is left; what is in hand then is finished.

    `vault` and `references` are None where faces cannot be registered; `missing` says why, and is then the answer.
    """

    def __init__(
        self,
        settings: VisionSettings,
        bus: Bus,
        lane: ModelsThread,
        vault: Vault | None,
        references: References | None,
        missing: FeatureMissing | None = None,
    ) -> None:
        self._bus = bus
        self._references = references
        self._missing = missing
        self._clerk = None
        if vault is not None and references is not None:
            self._clerk = Clerk(settings, bus, lane, vault, references)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asked: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False

    async def __aenter__(self) -> Self:
        clerk = self._clerk
        handlers: dict[str, Handler | None] = {
            subjects.VISION_REGISTER: clerk.register if clerk else None,
            subjects.VISION_DOCUMENT: clerk.compare if clerk else None,
        }
        for subject, handler in handlers.items():
            asked = await self._bus.subscribe(subject, subjects.VISION_QUEUE, WAITING).__aenter__()
            self._asked.append(asked)
            self._start(self._serve(asked, handler))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        for asked in self._asked:
            await asked.close()
        deadline = time.monotonic() + DRAIN_S
        while self._tasks and (left_s := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, asked: Subscription, handler: Handler | None) -> None:
        while True:
            delivery = await asked.next(IDLE_S)
            if self._references is not None:
                # Now and then, for the faces in memory that nobody asks for again.
                self._references.forget_old()
            if delivery is not None:
                await self._slots.acquire()
                self._start(self._answer(delivery, handler))
            elif self._leaving:
                return

    async def _answer(self, delivery: Delivery, handler: Handler | None) -> None:
        try:
            reply = await self._reply(delivery, handler)
            metrics.REQUESTS.labels(delivery.subject, reply.code if isinstance(reply, Unusable) else "done").inc()
            await delivery.respond(reply)
        except BusUnavailable as error:
            log.warning("vision.identity_not_answered", error=str(error))
        finally:
            self._slots.release()

    async def _reply(self, delivery: Delivery, handler: Handler | None) -> Answer:
        if self._missing is not None or handler is None:
            return _absent(self._missing or FeatureMissing("identity", "faces are not compared here"))
        try:
            async with asyncio.timeout(ANSWER_S):
                return await handler(delivery.data)
        except Trouble as trouble:
            return _unusable(trouble.code, trouble.picture)
        except FeatureMissing as error:
            return _absent(error)
        except BadInput:
            return _unusable("unreadable", "request")
        except (BusUnavailable, TimeoutError) as error:
            log.warning("vision.identity_unavailable", error=type(error).__name__)
        except Exception as error:
            # The boundary where whatever one picture does to a model ends.
            log.error("vision.identity_failed", error=type(error).__name__, exc_info=error)
        return _unusable("unavailable", "")


def _unusable(code: Code, picture: str) -> Unusable:
    sentence = SENTENCES[code].format(picture=_NAMES.get(picture, picture))
    return Unusable(code=code, picture=picture, detail=sentence)


def _absent(error: FeatureMissing) -> Unusable:
    return Unusable(code="unavailable", picture="", detail=error.reason, command=error.command)
