"""Messages on the wire: standard MessagePack that any language can read."""

from __future__ import annotations

import os

import msgpack
import msgspec
import pytest

from proto import codec, subjects
from proto.errors import BadInput, BadMessage
from proto.media import Audio, AudioChunk, AudioEnd, AudioGap, Frame
from proto.observations import AnyObservation, FrameSeen, Quality, SessionCreated, Word, WordsCommitted

OBSERVATIONS = msgspec.inspect.type_info(AnyObservation).types


def test_the_msgpack_package_reads_an_observation():
    seen = FrameSeen(
        session="s",
        source="p",
        seq=7,
        t_s=1.5,
        faces=(),
        quality=Quality(brightness=1, sharpness=2),
        models={"face": "m"},
    )
    assert msgpack.unpackb(codec.encode(seen)) == {
        "kind": "frame.seen",
        "session": "s",
        "source": "p",
        "seq": 7,
        "t_s": 1.5,
        "faces": [],
        "quality": {"brightness": 1, "sharpness": 2},
        "models": {"face": "m"},
    }


def test_what_the_msgpack_package_writes_is_read_and_unknown_fields_are_ignored():
    data = msgpack.packb({"kind": "session.ended", "session": "s", "source": "x", "seq": 0, "t_s": 1.0, "later": [1]})
    assert codec.decode(data, AnyObservation).session == "s"


def test_media_round_trips():
    for message in (
        AudioChunk("s", "p", 0, 0.0, b"\0" * 6400),
        AudioGap("s", "p", 1, 0.2, 0.4, "loss"),
        AudioEnd("s", "p", 2, 0.6),
    ):
        assert codec.decode(codec.encode(message), Audio) == message
    frame = Frame("s", "p", 1, 0.2, 640, 360, b"jpeg", 12.5)
    assert codec.decode(codec.encode(frame), Frame) == frame
    assert AudioChunk("s", "p", 0, 0.0, b"\0" * 6400).duration_s == pytest.approx(0.2)


def test_words_round_trip():
    words = (Word(text="hello", start_s=1.0, end_s=1.4, probability=0.9),)
    message = WordsCommitted(
        session="s", source="speech", seq=1, t_s=1.4, utterance=1, words=words, language="en", model="tiny", final=True,
        heard_until_s=1.4,
    )  # fmt: skip
    assert codec.decode(codec.encode(message), AnyObservation) == message


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"{}", b"\x81\xa4kind\xa4what", os.urandom(64)])
def test_garbage_is_a_bad_message_that_keeps_its_bytes(data):
    with pytest.raises(BadMessage) as caught:
        codec.decode(data, AnyObservation)
    assert caught.value.data == data


@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1x"], ids=["arrays", "maps"])
def test_nesting_deeper_than_the_stack_is_a_bad_message(level):
    # In a field nobody knows, so that it is skipped, not refused for its type.
    data = b"\x82\xa4kind\xaaframe.seen\xa7unknown" + level * 200_000 + b"\xc0"
    with pytest.raises(BadMessage):
        codec.decode(data, AnyObservation)


def test_a_wrong_type_names_the_field():
    data = msgpack.packb({"kind": "session.ended", "session": "s", "source": "x", "seq": "one", "t_s": 1.0})
    with pytest.raises(BadMessage, match=r"\$\.seq"):
        codec.decode(data, AnyObservation)


@pytest.mark.parametrize("t_s", [float("nan"), float("inf"), -5.0, 1e9])
def test_time_that_cannot_be_is_refused(t_s):
    data = msgpack.packb({"kind": "session.ended", "session": "s", "source": "x", "seq": 0, "t_s": t_s})
    with pytest.raises(BadMessage):
        codec.decode(data, AnyObservation)


def test_every_observation_has_a_kind_of_its_own_that_fits_a_subject():
    kinds = [info.tag for info in OBSERVATIONS]
    assert len(set(kinds)) == len(kinds) > 10
    for kind in kinds:
        assert subjects.session_of(subjects.log("s-1", kind)) == "s-1"
        assert " " not in kind


def test_partitions_are_stable_for_ever():
    # The log is addressed by these: a change would orphan every stored session.
    assert [subjects.partition(s) for s in ("a", "b", "session-1", "x" * 64)] == [3, 9, 14, 2]
    assert {subjects.partition(str(n)) for n in range(1000)} == set(range(subjects.PARTITIONS))


@pytest.mark.parametrize("session", ["", "a.b", "a b", "*", ">", "x" * 65, "é"])
def test_a_session_id_is_one_token(session):
    with pytest.raises(BadInput, match="session"):
        subjects.check_session(session)


def test_the_session_carries_its_policy():
    created = SessionCreated(
        session="s", source="api", seq=0, t_s=0, created_unix_s=1.0, policy_name="standard", policy_toml="name='x'",
        token_sha256="00",
    )  # fmt: skip
    assert codec.decode(codec.encode(created), AnyObservation) == created


def test_dead_letters_are_filed_by_session_whatever_their_subject_was():
    assert subjects.dead_of("vision", "frames.s-1") == subjects.dead("vision", "s-1")
    assert subjects.dead_of("aggregator", "log.3.s-1.frame.seen") == subjects.dead("aggregator", "s-1")
    for subject in ("log.3", "frames", "frames.*", "frames.>"):
        assert subjects.dead_of("vision", subject) == "dead.vision._"
