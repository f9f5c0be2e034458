"""Sound into chunks and gaps; the outbox that sheds the oldest."""

from __future__ import annotations

import random

import pytest

from ingest.chunks import CHUNK_BYTES, Chunker, Gap, Sound
from ingest.outbox import AudioOutbox

FRAME = 640


def pcm(samples: int) -> bytes:
    return bytes(2 * samples)


def test_chunks_of_200_ms_one_after_the_other() -> None:
    chunker = Chunker()
    chunker.start(3.0)
    out = [sound for _ in range(50) for sound in chunker.add(pcm(FRAME // 2))]
    assert [len(sound.pcm) for sound in out] == [CHUNK_BYTES] * 5
    assert [sound.t_s for sound in out] == pytest.approx([3.0, 3.2, 3.4, 3.6, 3.8])


def test_gap_ends_the_chunk_before_and_starts_the_next() -> None:
    chunker = Chunker()
    chunker.start(0.0)
    chunker.add(pcm(1600))
    out = chunker.gap(0.16, "loss")
    assert out == [Sound(0.0, pcm(1600)), Gap(0.1, pytest.approx(0.06), "loss")]
    assert chunker.add(pcm(3200))[0].t_s == pytest.approx(0.16)


def test_rounding_is_no_gap() -> None:
    chunker = Chunker()
    chunker.start(0.0)
    chunker.add(pcm(1600))
    assert chunker.gap(0.105, "loss") == []


@pytest.mark.parametrize("seed", range(10))
def test_nothing_overlaps_and_nothing_is_missing(seed: int) -> None:
    chance = random.Random(seed)
    chunker = Chunker()
    chunker.start(1.0)
    out: list[Sound | Gap] = []
    for _ in range(500):
        if chance.random() < 0.1:
            out += chunker.gap(chunker.end_s + chance.uniform(0.02, 3), "loss")
        out += chunker.add(pcm(chance.choice([160, 320, 960])))
    out += chunker.flush()
    at_s = 1.0
    for item in out:
        assert item.t_s == pytest.approx(at_s, abs=1e-6)
        at_s = item.end_s


def test_outbox_keeps_order_and_bound() -> None:
    outbox = AudioOutbox(limit_s=1.0)
    for number in range(50):
        outbox.push(Sound(number * 0.2, pcm(3200)))
    first = outbox.pop()
    assert first == Gap(0.0, pytest.approx(9.0), "loss")
    sounds = [outbox.pop() for _ in range(5)]
    assert [item.t_s for item in sounds if item] == pytest.approx([9.0, 9.2, 9.4, 9.6, 9.8])
    assert outbox.pop() is None
    assert outbox.dropped == 45


def test_outbox_merges_gaps_it_sheds_into() -> None:
    outbox = AudioOutbox(limit_s=0.4)
    for item in (Gap(0.0, 0.5, "jump"), Sound(0.5, pcm(3200)), Gap(0.7, 0.3, "loss"), Sound(1.0, pcm(3200))):
        outbox.push(item)
    outbox.push(Sound(1.2, pcm(3200)))
    assert outbox.pop() == Gap(0.0, pytest.approx(1.0), "loss")
    assert outbox.pop() == Sound(1.0, pcm(3200))


def test_outbox_stays_small_under_endless_loss() -> None:
    outbox = AudioOutbox(limit_s=2.0)
    for number in range(10_000):
        outbox.push(Sound(number * 0.5, pcm(1600)))
        outbox.push(Gap(number * 0.5 + 0.1, 0.4, "loss"))
    assert len(outbox) <= 2 * 21
