"""Sessions in another language: what is transcribed, what is put into English, and by whom after a takeover."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inference.backends.whisper import ENGLISH
from inference.speech import decoding, metrics
from inference.speech.decoding import Decoder
from inference.speech.service import serve
from inference.speech.settings import SpeechSettings
from inference.speech.translation import Spoken, Translator
from proto.observations import (
    FeatureStatus,
    Observation,
    SessionCreated,
    SpeechHeard,
    Word,
    WordsCommitted,
    WordsTranslated,
)
from runtime.bus import Bus
from tests.support.polyglot import LANGUAGE, Polyglot
from tests.support.sessions import POLICY, observations, send
from tests.support.speech import TEST_MODEL, Clip, joined, load, messages
from tests.support.wait import eventually

Connect = Callable[[], Awaitable[Bus]]


@pytest.fixture
def clip(media: Path) -> Clip:
    clips = load(media)
    return joined([clips["02_short_gb"], clips["01_short_us"]], pause_s=1.5)


@pytest.fixture
def settings(models_dir: Path, tmp_path: Path) -> SpeechSettings:
    return SpeechSettings(
        model=str(models_dir / TEST_MODEL), models_dir=tmp_path, device="cpu", compute_type="int8", threads=1
    )


@pytest.fixture
def polyglot(monkeypatch: pytest.MonkeyPatch) -> type[Polyglot]:
    monkeypatch.setattr(decoding, "WhisperBackend", Polyglot)
    monkeypatch.setattr(Polyglot, "mute", False)
    Polyglot.asked.clear()
    return Polyglot


@asynccontextmanager
async def worker(connect: Connect, settings: SpeechSettings) -> AsyncIterator[Bus]:
    bus, stop = await connect(), asyncio.Event()
    task = asyncio.create_task(serve(settings, bus, stop))
    try:
        yield bus
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def create(bus: Bus, session: str, **wishes: object) -> None:
    created = SessionCreated(
        session=session,
        source="api",
        seq=0,
        t_s=0.0,
        created_unix_s=1_700_000_000.0,
        policy_name="test",
        policy_toml=POLICY,
        token_sha256="0" * 64,
        **wishes,  # type: ignore[arg-type]
    )
    await bus.observe(created)


async def commits_of(bus: Bus, session: str) -> list[WordsCommitted]:
    return await observations(bus, session, "words.committed", WordsCommitted)


async def translations_of(bus: Bus, session: str) -> list[WordsTranslated]:
    return await observations(bus, session, "words.translated", WordsTranslated)


async def features_of(bus: Bus, session: str) -> dict[str, FeatureStatus]:
    found = await observations(bus, session, "feature.status", FeatureStatus)
    assert len({status.feature for status in found}) == len(found)
    return {status.feature: status for status in found}


async def finals(bus: Bus, session: str) -> int:
    return sum(commit.final for commit in await commits_of(bus, session))


async def heard(bus: Bus, session: str) -> int:
    return len(await observations(bus, session, "speech.heard", SpeechHeard))


async def spoken(bus: Bus, session: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for commit in await commits_of(bus, session):
        for word in commit.words:
            found[commit.utterance] = f"{found.get(commit.utterance, '')} {word.text}".strip()
    return found


async def check_translations(bus: Bus, session: str, language: str = LANGUAGE) -> None:
    """Each utterance once, its words in capitals, and the time from its first word to its last."""
    found = await translations_of(bus, session)
    assert {message.utterance: message.text for message in found} == {
        utterance: text.upper() for utterance, text in (await spoken(bus, session)).items()
    }
    assert len(found) == len({message.seq for message in found}) >= 2
    assert all(message.seq == message.utterance and message.language == language for message in found)
    words = [word for commit in await commits_of(bus, session) for word in commit.words]
    assert found[0].start_s == words[0].start_s
    assert found[-1].end_s == words[-1].end_s


async def test_each_finished_utterance_is_put_into_english_once(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip, polyglot: type[Polyglot]
) -> None:
    await create(bus, "s1", translate=True)
    async with worker(connect, settings):
        await send(bus, messages(clip.samples, "s1", t_s=5.0))
        await eventually(lambda: _translated(bus, "s1", 2), 40)
    await check_translations(bus, "s1")
    features = await features_of(bus, "s1")
    assert features["transcript"].available
    assert features["translation"].available


async def _translated(bus: Bus, session: str, count: int) -> bool:
    return len(await translations_of(bus, session)) >= count


async def test_the_sessions_own_language_beats_the_workers(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip, polyglot: type[Polyglot]
) -> None:
    await create(bus, "s1", translate=True, language="fr")
    async with worker(connect, settings.model_copy(update={"language": "es"})):
        await send(bus, messages(clip.samples, "s1"))
        await eventually(lambda: _translated(bus, "s1", 2), 40)
    assert {commit.language for commit in await commits_of(bus, "s1")} == {"fr"}
    await check_translations(bus, "s1", "fr")


@pytest.mark.parametrize("wishes", [{"translate": True, "language": ENGLISH}, {"language": LANGUAGE}])
async def test_english_and_what_nobody_asked_for_is_not_translated(
    wishes: dict[str, object],
    bus: Bus,
    connect: Connect,
    settings: SpeechSettings,
    clip: Clip,
    polyglot: type[Polyglot],
) -> None:
    await create(bus, "s1", **wishes)
    async with worker(connect, settings):
        await send(bus, messages(clip.samples, "s1"))
        await eventually(lambda: _finished(bus, "s1", 2), 40)
    assert await translations_of(bus, "s1") == []
    assert "translation" not in await features_of(bus, "s1")


async def test_the_model_is_told_the_sessions_hotwords_and_language(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip, polyglot: type[Polyglot]
) -> None:
    await create(bus, "s1", hotwords=("Candor", "Kubernetes"), language="fr", translate=True)
    async with worker(connect, settings):
        await send(bus, messages(clip.samples, "s1"))
        await eventually(lambda: _translated(bus, "s1", 2), 40)
    transcribed = [passage for passage in polyglot.asked if passage.task == "transcribe"]
    assert {(passage.hotwords, passage.language) for passage in transcribed} == {(("Candor", "Kubernetes"), "fr")}
    translated = [passage for passage in polyglot.asked if passage.task == "translate"]
    assert len(translated) == 2
    assert {(passage.hotwords, passage.language) for passage in translated} == {((), "fr")}


async def _finished(bus: Bus, session: str, count: int) -> bool:
    return await finals(bus, session) >= count


async def test_a_model_that_knows_english_only_says_once_that_it_cannot_translate(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip
) -> None:
    await create(bus, "s1", translate=True)
    for part in (clip.samples[: 16_000 * 4], clip.samples[16_000 * 4 :]):
        async with worker(connect, settings):
            before = await heard(bus, "s1")
            await send(bus, messages(part, "s1", source=f"peer-{before}", t_s=before * 10.0))
            await eventually(lambda before=before: _more_heard(bus, "s1", before), 30)
    features = await features_of(bus, "s1")
    assert features["transcript"].available
    assert not features["translation"].available
    assert "English only" in features["translation"].reason
    assert await translations_of(bus, "s1") == []


async def _more_heard(bus: Bus, session: str, before: int) -> bool:
    return await heard(bus, session) >= before + 3


async def test_a_model_that_does_not_know_the_language_makes_no_words_up(
    bus: Bus, connect: Connect, settings: SpeechSettings, clip: Clip
) -> None:
    await create(bus, "s1", language=LANGUAGE)
    async with worker(connect, settings):
        await send(bus, messages(clip.samples, "s1"))
        await eventually(lambda: _more_heard(bus, "s1", 3), 30)
    features = await features_of(bus, "s1")
    assert not features["transcript"].available
    assert LANGUAGE in features["transcript"].reason
    assert await commits_of(bus, "s1") == []


@pytest.mark.timeout(180)
async def test_a_successor_translates_what_was_left_and_nothing_twice(
    bus: Bus,
    connect: Connect,
    settings: SpeechSettings,
    clip: Clip,
    polyglot: type[Polyglot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = messages(clip.samples, "s1")
    await create(bus, "s1", translate=True)
    async with worker(connect, settings):
        await send(bus, sound[:25])
        await eventually(lambda: _translated(bus, "s1", 1), 40)
    monkeypatch.setattr(Polyglot, "mute", True)
    async with worker(connect, settings):
        await send(bus, sound[25:])
        await eventually(lambda: _finished(bus, "s1", 2), 40)
    assert len(await translations_of(bus, "s1")) == 1
    monkeypatch.setattr(Polyglot, "mute", False)
    async with worker(connect, settings):
        await eventually(lambda: _translated(bus, "s1", 2), 40)
    await check_translations(bus, "s1")
    assert len(await translations_of(bus, "s1")) == 2


async def test_an_utterance_whose_sound_is_gone_stays_as_it_is(
    bus: Bus, settings: SpeechSettings, clip: Clip, polyglot: type[Polyglot]
) -> None:
    published: list[Observation] = []

    async def observe(observation: Observation) -> None:
        published.append(observation)

    async with Decoder(settings) as decoder:
        assert await decoder.ensure() is None
        translator = Translator(bus, "s1", decoder, observe)
        task = asyncio.create_task(translator.run())
        before = metrics.TRANSLATIONS.labels("gone")._value.get()
        late = messages(clip.samples, "s1", t_s=30.0)
        await send(bus, late)
        words = (Word(text="wort", start_s=3.0, end_s=4.0, probability=0.9),)
        translator.add(Spoken(0, LANGUAGE, words, 1))
        assert await translator.drained(20.0)
        assert metrics.TRANSLATIONS.labels("gone")._value.get() == before + 1
        assert published == []
        there = (Word(text="wort", start_s=30.2, end_s=32.0, probability=0.9),)
        translator.add(Spoken(1, LANGUAGE, there, 1))
        assert await translator.drained(20.0)
        assert [message.seq for message in published] == [1]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
