"""The queue of decodes that sessions share, with a model whose slowness is scripted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from inference.backends.whisper import Hypothesis, Passage, WhisperBackend
from inference.speech.decoding import Decoder, Kind
from inference.speech.settings import SpeechSettings
from proto.errors import FeatureMissing, Full, Unavailable
from tests.support.wait import eventually

NOTHING = Hypothesis((), "en", 1.0)


class Slow(WhisperBackend):
    """Writes down in which order it is asked, and answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(Path(), name="slow")
        self.asked: list[float] = []
        self.batches: list[list[float]] = []
        self.most_at_once = 0
        self.go = threading.Semaphore(0)
        self.fails: set[float] = set()
        self._now = 0

    def run(self, batch: Sequence[Passage]) -> list[Hypothesis | Unavailable]:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        numbers = [float(passage.samples[0]) for passage in batch]
        self.asked += numbers
        self.batches.append(numbers)
        assert self.go.acquire(timeout=20)
        self._now -= 1
        return [Unavailable("no memory") if number in self.fails else NOTHING for number in numbers]


def decoder(backend: Slow, **changes: object) -> Decoder:
    made = Decoder(SpeechSettings(**{"decoders": 1, "max_sessions": 3, **changes}))  # type: ignore[arg-type]
    made._backend = backend
    return made


def passage(number: int) -> Passage:
    return Passage(np.full(10, number, np.float32))


def ask(queue: Decoder, number: int, kind: Kind = "partial") -> asyncio.Task[Hypothesis]:
    return asyncio.create_task(queue.decode(passage(number), kind))


async def test_ends_of_utterances_come_first_then_who_asked_first() -> None:
    backend = Slow()
    async with decoder(backend) as queue:
        tasks = [ask(queue, 1)]
        await eventually(lambda: backend.asked == [1])
        tasks += [ask(queue, 2), ask(queue, 3), ask(queue, 4, "final")]
        await eventually(lambda: len(queue._waiting) == 3)
        backend.go.release(4)
        await asyncio.gather(*tasks)
    assert backend.asked == [1, 4, 2, 3]
    assert backend.most_at_once == 1


async def test_translations_wait_for_all_transcription() -> None:
    backend = Slow()
    async with decoder(backend, batch=4) as queue:
        tasks = [ask(queue, 1)]
        await eventually(lambda: backend.asked == [1])
        tasks += [ask(queue, 2, "translation"), ask(queue, 3), ask(queue, 4, "translation"), ask(queue, 5, "final")]
        await eventually(lambda: len(queue._waiting) == 4)
        backend.go.release(4)
        await asyncio.gather(*tasks)
    assert backend.batches == [[1], [5, 3], [2, 4]]


async def test_what_came_while_the_model_was_busy_is_decoded_together() -> None:
    backend = Slow()
    async with decoder(backend, batch=3) as queue:
        tasks = [ask(queue, 1)]
        await eventually(lambda: backend.asked == [1])
        tasks += [ask(queue, number) for number in range(2, 6)] + [ask(queue, 6, "final")]
        await eventually(lambda: len(queue._waiting) == 5)
        backend.go.release(3)
        await asyncio.gather(*tasks)
    assert backend.batches == [[1], [6, 2, 3], [4, 5]]


async def test_one_that_fails_in_a_batch_spoils_no_other() -> None:
    backend = Slow()
    backend.fails = {3}
    async with decoder(backend, batch=3) as queue:
        tasks = [ask(queue, 1)]
        await eventually(lambda: backend.asked == [1])
        tasks += [ask(queue, number) for number in (2, 3, 4)]
        await eventually(lambda: len(queue._waiting) == 3)
        backend.go.release(2)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, Unavailable) for answer in answers] == [False, False, True, False]


async def test_a_backend_that_breaks_is_no_hanging_session() -> None:
    class Broken(Slow):
        def run(self, batch: Sequence[Passage]) -> list[Hypothesis | Unavailable]:
            raise ZeroDivisionError

    async with decoder(Broken(), batch=3) as queue:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await queue.decode(passage(1), "partial")
        assert queue._free == 1


async def test_the_queue_has_an_end() -> None:
    backend = Slow()
    async with decoder(backend) as queue:
        tasks = [ask(queue, number) for number in range(7)]
        await eventually(lambda: len(queue._waiting) == 6)
        with pytest.raises(Full):
            await queue.decode(passage(9), "partial")
        backend.go.release(7)
        await asyncio.gather(*tasks)


async def test_as_many_at_once_as_there_are_decoders() -> None:
    backend = Slow()
    async with decoder(backend, decoders=2) as queue:
        tasks = [ask(queue, number) for number in range(4)]
        await eventually(lambda: backend.most_at_once == 2)
        backend.go.release(4)
        await asyncio.gather(*tasks)
    assert backend.most_at_once == 2


async def test_who_stops_waiting_takes_no_turn_away() -> None:
    backend = Slow()
    async with decoder(backend) as queue:
        first, given_up, last = ask(queue, 1), ask(queue, 2), ask(queue, 3)
        await eventually(lambda: len(queue._waiting) == 2)
        given_up.cancel()
        backend.go.release(3)
        await asyncio.gather(first, last)
        with pytest.raises(asyncio.CancelledError):
            await given_up
    assert backend.asked == [1, 3]


async def test_a_decode_that_hangs_is_given_up_and_holds_its_slot() -> None:
    backend = Slow()
    async with decoder(backend, decode_timeout_s=0.2) as queue:
        with pytest.raises(Unavailable, match="longer than"):
            await queue.decode(passage(1), "partial")
        with pytest.raises(Unavailable, match="for its turn"):
            await queue.decode(passage(2), "partial")
        backend.go.release(2)
        await eventually(lambda: queue._free == 1)
        assert await queue.decode(passage(3), "partial") == NOTHING
    assert backend.asked == [1, 3]


async def test_a_decode_that_fails_frees_its_slot() -> None:
    backend = Slow()
    async with decoder(backend) as queue:
        backend.fails = {1}
        backend.go.release(2)
        with pytest.raises(Unavailable, match="no memory"):
            await queue.decode(passage(1), "partial")
        assert await queue.decode(passage(2), "partial") == NOTHING


async def test_without_a_model_it_says_what_is_missing(tmp_path: Path) -> None:
    async with Decoder(SpeechSettings(models_dir=tmp_path)) as queue:
        missing = await queue.ensure()
        assert missing is not None
        assert missing.command == "candor models pull whisper-tiny"
        with pytest.raises(FeatureMissing):
            await queue.decode(passage(1), "partial")
