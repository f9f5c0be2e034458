"""Whatever comes over the wire, in whatever order: the state stays bounded, the score honest, the hash the same."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aggregator.risk import expression, fold, ledger, mouth, state, text, voices
from aggregator.risk.view import view
from proto.errors import BadMessage
from proto.observations import (
    AnyObservation,
    EvidenceStored,
    FeatureStatus,
    FrameSkipped,
    IdentityCheck,
    Quality,
    SessionEnded,
    SessionExpired,
    SourceLost,
    SourceStalled,
    Word,
    WordsCommitted,
)
from tests.support.observed import (
    CREATED_UNIX_S,
    FULL,
    STANDARD,
    Folded,
    alike,
    calm,
    created,
    document,
    face,
    frame,
    piece,
    read,
    region,
    registered,
    second,
    span,
    stats,
    thing,
    unfit,
    up,
)

NAN, INFINITY = math.nan, math.inf
HOSTILE = ["", "text", "\x00\n\u202e", "{{<script>}}", "\U0001f600" * 400, "x" * 100_000]
SEEDS = range(12)


def some(random_: random.Random, t_s: float) -> AnyObservation:
    """Anything at all, often wrong."""
    wild = random_.choice([0.0, 1.0, -1.0, 400.0, -1e30, 1e300, NAN, INFINITY, -INFINITY])
    angle = random_.choice([random_.gauss(0, 20), wild])
    hostile = random_.choice(HOSTILE)
    faces = [
        face(
            yaw_deg=angle,
            gaze_yaw_deg=random_.choice([None, random_.gauss(0, 12), wild]),
            height=random_.choice([0.5, wild]),
            abstains=random_.choice([{}, {}, {"gaze": hostile}, {"pose": "small", hostile: hostile}]),
            expression=random_.choice([None, felt(random_), felt(random_) | {"SAD": wild}, {hostile: wild}]),
        )
        for _ in range(random_.choice([0, 1, 1, 1, 2, 3]))
    ]
    likeness = random_.choice([None, random_.uniform(0, 100), wild])
    check = random_.choice([None, IdentityCheck(similarity_pct=likeness, matches=random_.choice([None, True, False]))])
    regions = tuple(
        region(x=random_.choice([0.1, wild]), width=random_.choice([0.2, wild]), confidence=random_.choice([0.9, wild]),
               text=hostile)
        for _ in range(random_.choice([0, 1, 1, 40]))
    )  # fmt: skip
    quality = unfit(*random_.sample(["dark", "blurred", "occluded", "odd"], random_.choice([0, 0, 0, 1, 2])))
    objects = random_.choice(
        [None, (), (thing("cell phone", random_.choice([0.9, wild])),), (thing("book", partial=True),)]
    )
    phone = thing("cell phone", random_.choice([0.3, 0.9]), partial=random_.random() < 0.5)
    whisper = random_.choice([None, 0.9, wild])
    person = random_.choice([None, True, False])
    number = random_.randrange(10**6)
    words = (Word(text="so", start_s=wild, end_s=wild, probability=wild),)
    makers: list[Callable[[], AnyObservation]] = [
        lambda: frame(
            t_s,
            *faces,
            quality=quality,
            objects=objects,
            person_present=person,
            identity=check,
            models={"expression": hostile},
        ),
        lambda: read(t_s, *regions),
        lambda: read(t_s, region(text=hostile)),
        lambda: registered(t_s, origin=hostile),
        lambda: document(t_s, random_.choice([40.0, 95.0, wild]), document_type=hostile),
        lambda: frame(t_s, *faces, quality=Quality(brightness=wild, sharpness=wild)),
        lambda: frame(t_s),
        lambda: frame(t_s, face()),
        *[lambda: frame(t_s, face(expression=felt(random_)), identity=alike(30.0), objects=(phone,))] * 6,
        lambda: FrameSkipped(**about(t_s), reason="broken"),
        lambda: second(t_s, speech_s=wild, pause_s=wild, duration_s=wild, whisper_likelihood=whisper),
        lambda: second(
            t_s, speech_dbfs=wild, noise_dbfs=wild, voiced_share=wild, ended_pause_s=wild,
            problems=random_.choice([(), (), ("muted",), ("noisy", "music")]),
        ),
        lambda: piece(
            t_s, random_.choice([None, 0, 0, 1, number]), duration_s=random_.choice([0.8, 0.8, wild]),
            overlap_s=random_.choice([0.0, 0.0, wild]), silhouette=random_.choice([None, 0.5, wild]),
            role=random_.choice(["", "", "", "interviewer"]), reason=hostile,
        ),
        lambda: stats(t_s, packets_lost=random_.choice([0, 500, -5]), frames_sent=random_.choice([0, 50])),
        lambda: up(t_s, source=f"cam{number % 20}"),
        lambda: SourceLost(**about(t_s, f"cam{number % 20}"), reason="failed"),
        lambda: SourceStalled(**about(t_s, "aggregator"), silent_s=5.0),
        lambda: FeatureStatus(**about(t_s), feature=f"f{number % 99}", available=True),
        lambda: EvidenceStored(
            **about(t_s), alert_id="a", name=f"n{number}", media_type="image/jpeg", sha256="", size_bytes=1
        ),
        lambda: committed(t_s, words),
    ]  # fmt: skip
    return random_.choice(makers)()


def felt(random_: random.Random) -> dict[str, float]:
    """Percentages that a face may have."""
    shares = [random_.random() for _ in expression.NAMES]
    return {name: 100 * share / sum(shares) for name, share in zip(expression.NAMES, shares, strict=True)}


def about(t_s: float, source: str = "cam") -> dict[str, Any]:
    return {"session": "s1", "source": source, "seq": 1, "t_s": t_s}


def committed(t_s: float, words: tuple[Word, ...]) -> WordsCommitted:
    return WordsCommitted(
        **about(t_s, "speech"), utterance=1, words=words, language="en", model="m", final=True, heard_until_s=t_s
    )


def chaos(seed: int, count: int = 1500) -> list[AnyObservation]:
    random_ = random.Random(seed)
    t_s, observations = 0.0, []
    for _ in range(count):
        t_s += random_.choice([0.2, 0.2, 0.2, 0.0, 1.5, 4.0])
        seen_s = t_s + random_.choice([0.0, 0.0, 0.0, -0.4, -3.0])
        seen_s = random_.choice([seen_s] * 30 + [-0.9, 9e6])
        observations.append(some(random_, max(-1.0, seen_s)))
    return observations


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_log_gives_the_same_hash_however_it_is_cut(seed):
    observations = chaos(seed, 400)
    whole = Folded(observations)
    random_ = random.Random(seed)
    parts = Folded()
    start = 0
    while start < len(observations):
        end = start + random_.randrange(1, 40)
        parts.add(observations[start:end])
        parts.state = state.unpack(state.pack(parts.state))
        parts.policy = parts.state.head.policy
        start = end
    assert parts.hash == whole.hash


@pytest.mark.parametrize("seed", SEEDS)
def test_under_every_policy_the_hash_is_that_of_the_log(seed):
    observations = chaos(seed, 400)
    keeps = FULL.replace("keep_text = false", "keep_text = true")
    one, other = Folded(observations, keeps), Folded(observations, keeps)
    assert one.hash == other.hash
    told = view(one.state).measures
    for percentages in (told.expression, told.expression_mean):
        if percentages is not None:
            assert percentages.keys() == set(expression.NAMES)
            assert all(0.0 <= value <= 100.0 for value in percentages.values())
            assert sum(percentages.values()) == pytest.approx(100.0)
    assert told.identity_pct is None or 0.0 <= told.identity_pct <= 100.0
    assert msgspec.json.decode(msgspec.json.encode(view(one.state))) is not None
    assert all(len(episode.detail) < 400 for episode in one.state.timeline)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_comes_the_score_is_a_score_and_the_sum_of_its_lines(seed):
    folded = Folded()
    for observation in chaos(seed, 600):
        folded.add([observation])
        now = folded.state
        shown = view(now)
        assert math.isfinite(now.clock_s)
        assert now.clock_s >= 0.0
        assert 0.0 <= shown.score <= 100.0
        expected = math.fsum(line.weight * 0.5 ** ((now.clock_s - line.t_s) / line.half_life_s) for line in now.ledger)
        assert shown.score == pytest.approx(min(100.0, expected), abs=1e-6)
    assert b"null" not in msgspec.json.encode(view(folded.state).ledger)


def test_could_not_tell_never_raises_the_score():
    random_ = random.Random(5)
    folded = Folded([*calm(0.0, 10.0), *(frame(t) for t in span(10.0, 11.8))])
    for t in span(11.8, 200.0):
        faces = [
            face(yaw_deg=random_.gauss(0, 60), gaze_yaw_deg=random_.gauss(0, 40)) for _ in range(random_.randrange(3))
        ]
        folded.add([frame(t, *faces, quality=unfit("dark"), objects=(thing("cell phone"),))])
        assert view(folded.state).score == 0.0
    assert folded.rules == []


def test_ten_hours_are_no_bigger_than_their_bounds():
    folded = Folded(chaos(3, 30_000), FULL.replace("keep_text = false", "keep_text = true"))
    now = folded.state
    assert len(now.ledger) <= ledger.MAX_LINES
    assert len(now.timeline) <= state.MAX_TIMELINE
    assert len(now.alerts) <= state.MAX_ALERTS
    assert len(now.evidence) <= state.MAX_EVIDENCE
    assert len(now.features) <= state.MAX_FEATURES
    assert len(now.sources) <= state.MAX_SOURCES
    assert len(now.text.boxes) <= text.MAX_REGIONS
    assert len(now.voices.shares) <= voices.MAX_VOICES
    assert len(now.mouth.looks) <= mouth.MAX_SECONDS
    assert now.ledger_dropped > 0
    assert len(state.pack(now)) + len(msgspec.msgpack.encode(view(now))) < 700_000


@pytest.mark.parametrize("t_s", [NAN, INFINITY, -INFINITY, -2.0, 9e6, 1e12])
def test_an_impossible_time_is_counted_and_changes_nothing_else(t_s):
    folded = Folded(calm(0.0, 5.0))
    before = folded.state
    after, alerts = fold.apply(before, frame(t_s), folded.policy, 999, CREATED_UNIX_S + 10.0)
    assert alerts == ()
    assert after.tally.rejected == 1
    assert msgspec.structs.replace(after, seq=before.seq, tally=before.tally) == before


def test_a_session_that_went_on_while_nobody_folded_is_believed():
    folded = Folded(calm(0.0, 5.0))
    late_s = 5.0 + folded.policy.idle_limit_s + 4000.0
    wire = frame(late_s, face())
    after, _ = fold.apply(folded.state, wire, folded.policy, 999, CREATED_UNIX_S + late_s)
    assert after.clock_s == late_s
    rejected, _ = fold.apply(folded.state, wire, folded.policy, 999, CREATED_UNIX_S + 10.0)
    assert rejected.clock_s == folded.state.clock_s


def test_numbers_that_are_none_are_could_not_tell():
    broken = [face(yaw_deg=NAN), face(pitch_deg=INFINITY), face(yaw_deg=1e9)]
    for one in broken:
        folded = Folded([*calm(0.0, 10.0), *(frame(t, one) for t in span(10.0, 20.0))])
        assert folded.rules == []
        assert folded.state.blind.reasons == ("unreadable",)


def test_late_and_doubled_frames_are_counted_and_drive_nothing():
    moments = calm(0.0, 10.0)
    folded = Folded(moments)
    before = folded.state
    folded.add([frame(t, face(), face(x=0.7)) for t in span(5.0, 9.0)])
    folded.add([moments[-1]])
    assert folded.rules == []
    assert folded.state.tally.frames_seen == before.tally.frames_seen + 21
    assert folded.state.tally.frames_late == 21
    assert folded.state.trackers == before.trackers
    assert folded.state.clock_s == before.clock_s


def test_one_frame_from_a_broken_clock_does_not_blind_the_session():
    folded = Folded([*calm(0.0, 10.0), frame(700.0, face())])
    assert folded.state.clock_s == 700.0
    folded.add(frame(t) for t in span(10.0, 16.0))
    assert folded.rules == ["NO_FACE"]
    assert 12.0 < folded.lines("NO_FACE")[0] < 15.0
    assert folded.state.clock_s == pytest.approx(15.8)
    assert view(folded.state).score == pytest.approx(20.0, abs=0.5)
    assert folded.state.tally.frames_late == 9


def test_after_the_end_only_words_and_evidence_are_filed():
    folded = Folded([up(), *calm(0.0, 5.0), *(frame(t) for t in span(5.0, 9.0))])
    folded.add([SessionEnded(session="s1", source="api", seq=1, t_s=9.5, reason="done")])
    ended = folded.state
    assert ended.status == "ended"
    assert ended.open == {}
    assert ended.timeline[-1].kind == "NO_FACE"
    folded.add(frame(t, face(), face(x=0.7)) for t in span(10.0, 20.0))
    folded.add([SourceLost(session="s1", source="cam", seq=1, t_s=10.0, reason="closed"), second(10.0)])
    folded.add([SessionExpired(session="s1", source="aggregator", seq=1, t_s=2000.0, idle_s=900.0)])
    words = (Word(text="bye", start_s=9.0, end_s=9.4, probability=0.9),)
    folded.add([committed(9.4, words)])
    assert folded.state.status == "ended"
    assert folded.state.clock_s == 9.5
    assert folded.rules == ["NO_FACE"]
    assert folded.state.tally.words == 1


def test_a_second_creation_cannot_change_the_policy():
    folded = Folded([created(policy_toml=STANDARD.replace("weight = 20", "weight = 1"))])
    assert folded.state.head.policy == Folded().state.head.policy
    assert folded.state.tally.rejected == 1


def test_frames_in_flight_do_not_bring_a_lost_source_back():
    folded = Folded([up(), *calm(0.0, 5.0)])
    folded.add(
        [SourceLost(session="s1", source="cam", seq=1, t_s=5.0, reason="closed"), frame(5.1, face()), stats(5.2)]
    )
    assert folded.state.status == "stalled"


def test_a_stalled_source_that_speaks_again_is_live():
    folded = Folded([up(), *calm(0.0, 5.0)])
    folded.add([SourceStalled(session="s1", source="aggregator", seq=1, t_s=10.0, silent_s=5.0)])
    assert folded.state.status == "stalled"
    folded.add([frame(4.9, face())])
    assert folded.state.status == "stalled"
    folded.add([frame(12.0, face())])
    assert folded.state.status == "live"
    assert folded.rules == ["SOURCE_LOST"]


def test_the_hash_is_the_same_in_another_process(tmp_path: Path):
    observations = chaos(7, 300)
    script = (
        "import sys, msgspec\n"
        "from proto.observations import AnyObservation\n"
        "from tests.support.observed import Folded\n"
        "data = sys.stdin.buffer.read()\n"
        "print(Folded(msgspec.msgpack.decode(data, type=list[AnyObservation])).hash)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=msgspec.msgpack.encode(observations),
        capture_output=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).resolve().parents[2],
        env={"PYTHONHASHSEED": "12345", "PYTHONPATH": ".", "PATH": ""},
    )
    assert done.stdout.decode().strip() == Folded(observations).hash


def test_a_state_of_another_version_is_refused():
    old = msgspec.structs.replace(Folded().state, version=state.FOLD_VERSION + 1)
    with pytest.raises(BadMessage, match="version"):
        state.unpack(state.pack(old))
    with pytest.raises(BadMessage):
        state.unpack(b"\xc1 not a state")
