"""What a session's transcriber asks the model, with hypotheses written by hand and no model."""

from __future__ import annotations

import numpy as np
import pytest

from inference.backends.whisper import Hypothesis, RawSegment, RawWord
from inference.speech.hearing import SafePoint, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.resume import memory
from inference.speech.transcriber import (
    CONTEXT_CHARACTERS,
    CONTEXT_PAUSE_S,
    CONTEXT_WORDS,
    Memory,
    Outcome,
    Request,
    Transcriber,
)
from inference.speech.vad import Window
from proto.media import SAMPLE_RATE_HZ
from proto.observations import Word, WordsCommitted

EACH_S = 0.5
BLOCK_S = 0.5


def heard(words: list[str], *, log_probability: float = -0.3) -> Hypothesis:
    """Words of half a second each from the beginning of the sound."""
    raw = tuple(RawWord(f" {text}", i * EACH_S, (i + 1) * EACH_S, 0.9) for i, text in enumerate(words))
    return Hypothesis((RawSegment(raw, 0.0, log_probability),), "en", 1.0)


def window(t_s: float) -> Window:
    return Window(t_s, np.zeros(round(BLOCK_S * SAMPLE_RATE_HZ), np.int16), speech=True)


def transcriber(known: Memory | None = None, **changes: object) -> Transcriber:
    made: dict[str, object] = {"step_s": 1.0, "window_s": 12.0, "memory": known or Memory(), "context": True}
    return Transcriber(**(made | changes))  # type: ignore[arg-type]


def speak(under_test: Transcriber, start_s: float, texts: list[str]) -> list[tuple[Request, Outcome]]:
    """An utterance in which a word is said every half second, with a model that hears each well."""
    done: list[tuple[Request, Outcome]] = []
    said = [(text, start_s + i * EACH_S) for i, text in enumerate(texts)]

    def answer(request: Request | None) -> None:
        if request is None:
            return
        from_s = request.until_s - len(request.samples) / SAMPLE_RATE_HZ
        raw = tuple(
            RawWord(text, at_s - from_s, at_s - from_s + EACH_S, 0.9)
            for text, at_s in said
            if at_s >= from_s - 0.01 and at_s + EACH_S <= request.until_s + 0.01
        )
        done.append((request, under_test.apply(request, Hypothesis((RawSegment(raw, 0.0, -0.3),), "en", 1.0))))

    answer(under_test.take(UtteranceOpened(start_s, (window(start_s),), None)))
    for i in range(1, len(texts)):
        answer(under_test.take(UtteranceSound(window(start_s + i * EACH_S))))
    end_s = start_s + len(texts) * EACH_S
    answer(under_test.take(UtteranceClosed(end_s, SafePoint(end_s, 1))))
    return done


def as_message(outcome: Outcome, seq: int) -> WordsCommitted:
    return WordsCommitted(
        session="s",
        source="speech",
        seq=seq,
        t_s=outcome.heard_until_s,
        utterance=outcome.utterance,
        words=outcome.words,
        language=outcome.language,
        model="m",
        final=outcome.final,
        heard_until_s=outcome.heard_until_s,
        window_start_s=outcome.window_start_s,
    )


def test_what_was_said_before_goes_along_as_a_prompt() -> None:
    under_test = transcriber()
    first = speak(under_test, 1.0, ["hello", "there"])
    second = speak(under_test, 4.0, ["and", "now"])
    assert {request.prompt for request, _ in first} == {""}
    assert {request.prompt for request, _ in second} == {"hello there"}


def test_what_was_said_long_ago_does_not() -> None:
    under_test = transcriber()
    speak(under_test, 1.0, ["hello", "there"])
    (request, _), *_ = speak(under_test, 2.0 + CONTEXT_PAUSE_S + 0.5, ["and", "now"])
    assert request.prompt == ""


def test_without_context_nothing_goes_along() -> None:
    under_test = transcriber(context=False)
    speak(under_test, 1.0, ["hello", "there"])
    assert {request.prompt for request, _ in speak(under_test, 4.0, ["and", "now"])} == {""}


def test_a_prompt_is_short_and_begins_with_a_whole_word() -> None:
    under_test = transcriber()
    text = (
        "every morning candidates describe complicated projects together although nobody remembers exactly which "
        "technology mattered because several colleagues changed responsibilities halfway through last october"
    )
    texts = text.split() * 2
    speak(under_test, 1.0, texts)
    (request, _), *_ = speak(under_test, 2.0 + len(texts) * EACH_S, ["and", "now"])
    assert 0 < len(request.prompt) <= CONTEXT_CHARACTERS
    assert request.prompt.split() == texts[-len(request.prompt.split()) :]


def test_words_that_left_the_window_are_the_prompt_for_what_follows() -> None:
    requests = [request for request, _ in speak(transcriber(), 1.0, [f"w{i}" for i in range(60)])]
    assert requests[0].prompt == ""
    last = requests[-1]
    from_s = last.until_s - len(last.samples) / SAMPLE_RATE_HZ
    inside = [f"w{i}" for i in range(60) if 1.0 + i * EACH_S >= from_s - 0.01]
    assert last.prompt.split()[-1] == f"w{60 - len(inside) - 1}"


@pytest.mark.parametrize("final", [False, True])
def test_a_successor_gives_the_same_prompt(final: bool) -> None:
    """From the commits alone, in mid-utterance and between two."""
    alone = transcriber()
    outcomes = [outcome for _, outcome in speak(alone, 1.0, [f"w{i}" for i in range(30)])]
    commits = [as_message(o, seq) for seq, o in enumerate(o for o in outcomes if o.words or o.final)]
    if not final:
        commits = commits[:12]
        known = memory(commits)
        assert known.unfinished is not None
        successor = transcriber(known)
        requests = [request for request, _ in speak(successor, 1.0, [f"w{i}" for i in range(30)])]
        again = {request.until_s: request.prompt for request in requests}
        before = {
            request.until_s: request.prompt for request, _ in speak(transcriber(), 1.0, [f"w{i}" for i in range(30)])
        }
        assert again == {until_s: before[until_s] for until_s in again}
        assert any(again.values())
    else:
        successor = transcriber(memory(commits))
        assert [r.prompt for r, _ in speak(successor, 18.0, ["and", "now"])] == [
            r.prompt for r, _ in speak(alone, 18.0, ["and", "now"])
        ]


def test_the_memory_of_a_long_session_is_short() -> None:
    words = tuple(Word(text="w", start_s=i * 1.0, end_s=i + 0.5, probability=0.9) for i in range(500))
    outcome = Outcome(0, words, True, 500.0, 0.0, "en", "", 500.0, None, True)
    assert memory([as_message(outcome, 0)]).recent == words[-CONTEXT_WORDS:]


def test_a_request_is_made_again_without_its_prompt_where_the_answer_is_in_doubt() -> None:
    request = Request(np.zeros(16_000, np.float32), "en", True, 1.0, "hello there", ("Candor",))
    assert request.again(heard(["fine"])) is None
    again = request.again(heard(["go", "on"] * 8))
    assert again is not None
    assert (again.prompt, again.hotwords, again.final) == ("", ("Candor",), True)
    assert again.again(heard(["go", "on"] * 8)) is None
    assert request.again(heard(["guess"], log_probability=-2.0)) is not None


def test_hotwords_go_along_with_every_request() -> None:
    under_test = transcriber(hotwords=("Candor", "Kubernetes"))
    passages = [request.passage for request, _ in speak(under_test, 1.0, ["hello", "there"])]
    assert {passage.hotwords for passage in passages} == {("Candor", "Kubernetes")}


def test_a_hypothesis_in_doubt_commits_nothing_and_forgets_nothing() -> None:
    under_test = transcriber(context=False)
    request = under_test.take(UtteranceOpened(0.0, tuple(window(i * BLOCK_S) for i in range(2)), None))
    assert request is not None
    assert under_test.apply(request, heard(["hello", "there"])).tentative == "hello there"
    for i in (2, 3):
        request = under_test.take(UtteranceSound(window(i * BLOCK_S))) or request
    doubtful = under_test.apply(request, heard(["hello", "there", "thank", "you"], log_probability=-1.5))
    assert (doubtful.words, doubtful.tentative) == ((), "hello there")
    for i in (4, 5):
        request = under_test.take(UtteranceSound(window(i * BLOCK_S))) or request
    agreed = under_test.apply(request, heard(["hello", "there", "my", "friend"]))
    assert [word.text for word in agreed.words] == ["hello", "there"]


def test_an_end_in_doubt_commits_nothing() -> None:
    under_test = transcriber()
    under_test.take(UtteranceOpened(0.0, (window(0.0),), None))
    request = under_test.take(UtteranceClosed(0.5, None))
    assert request is not None
    outcome = under_test.apply(request, heard(["you"], log_probability=-1.5))
    assert outcome.final
    assert outcome.words == ()
    assert not outcome.worth_telling


def test_a_window_is_cut_behind_a_sentence() -> None:
    """Of many places without a pause the one behind a full stop."""
    texts = [f"w{i}" for i in range(40)]
    texts[9] = "stop."
    outcomes = [outcome for _, outcome in speak(transcriber(), 0.0, texts)]
    cuts_s = [o.window_start_s for o in outcomes if o.window_start_s > 0]
    assert cuts_s[0] == pytest.approx(10 * EACH_S)


def test_a_worker_that_decodes_seldom_still_waits_for_two_that_agree() -> None:
    done = speak(transcriber(step_s=6.0), 0.0, [f"w{i}" for i in range(40)])
    first, second = done[:2]
    assert first[1].words == ()
    assert [word.text for word in second[1].words] == first[1].tentative.split()
    assert max(len(request.samples) for request, _ in done) <= 12.1 * SAMPLE_RATE_HZ
