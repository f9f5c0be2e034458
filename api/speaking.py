"""How somebody spoke, in plain words: one table of bands, used by every answer that says so. Pure.

The words are those of recorded assessments as they are common in recruiting ("Fairly active", "Ideal pace", "Fluent");
the limits between them are our own, laid so that known examples keep their words: a speaking ratio of 0.56 to 0.59, 150
words a minute, pauses of 0.7 to 1.7 s on average. A pace of 120 to 160 words a minute is that of English talks and
audio books; other languages have other paces. They describe a way of speaking and are no judgement of a person: an
interview has listening in it, thinking takes time, and people stammer. None of it carries points.

The pages have the same table in `static/js/speaking.js`; a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from proto.views import Measures

MIN_SPEECH_S = 5.0
"""Less speech says nothing of how somebody speaks."""

MIN_PAUSES = 3
TOO_LITTLE = "too little was heard to say"


class Band(NamedTuple):
    """From `least` on, up to the next band. `text` follows on the figure in a sentence."""

    least: float
    word: str
    text: str


class Scale(NamedTuple):
    """One figure: what it is called, its unit, and its bands, the lowest first (from 0 on)."""

    label: str
    unit: str
    bands: tuple[Band, ...]


SCALES: dict[str, Scale] = {
    "speaking_ratio": Scale(
        "Share of the time with speech",
        "share",
        (
            Band(0.0, "Mostly silent", "little of the time was spent speaking"),
            Band(0.2, "Reserved", "less than half of the time was spent speaking"),
            Band(0.45, "Fairly active", "about half of the time or more was spent speaking"),
            Band(0.7, "Very active", "most of the time was spent speaking"),
        ),
    ),
    "speech_rate_wpm": Scale(
        "Words a minute of speech",
        "1/min",
        (
            Band(0.0, "Slow pace", "slower than most people converse"),
            Band(100.0, "Calm pace", "on the slow side of a conversation"),
            Band(120.0, "Ideal pace", "as fast as talks and audio books are spoken"),
            Band(160.0, "Brisk pace", "on the fast side of a conversation"),
            Band(190.0, "Fast pace", "faster than most people converse"),
        ),
    ),
    "pause_mean_s": Scale(
        "Mean length of the pauses of half a second and more",
        "s",
        (
            Band(0.0, "Fluent", "speech went on after short pauses"),
            Band(2.0, "Some long pauses", "pauses were longer than in running speech"),
            Band(4.0, "Long pauses", "speech came with long pauses between"),
        ),
    ),
}
LISTENING = " Pauses in which somebody else spoke are among them."


class Interpreted(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its band in plain words; `value` is null and `interpretation` empty where it was not measured."""

    name: str
    value: float | None
    unit: str
    interpretation: str
    text: str


def interpret(measures: Measures) -> tuple[Interpreted, ...]:
    """Every figure of how somebody spoke, in the order of the table."""
    enough = measures.speech_s >= MIN_SPEECH_S
    values = {
        "speaking_ratio": measures.speech_share if enough else None,
        "speech_rate_wpm": measures.words_per_min if enough else None,
        "pause_mean_s": measures.pause_mean_s if enough and measures.pauses >= MIN_PAUSES else None,
    }
    return tuple(_interpreted(name, value) for name, value in values.items())


def band(name: str, value: float) -> Band:
    """The band of `SCALES[name]` in which a value lies; one below 0 is in the lowest."""
    bands = SCALES[name].bands
    return next((one for one in reversed(bands) if value >= one.least), bands[0])


def _interpreted(name: str, value: float | None) -> Interpreted:
    scale = SCALES[name]
    if value is None:
        return Interpreted(
            name=name, value=None, unit=scale.unit, interpretation="", text=f"{scale.label}: {TOO_LITTLE}."
        )
    found = band(name, value)
    figure = {"share": f"{value:.0%}", "1/min": f"{value:.0f}", "s": f"{value:.1f} s"}[scale.unit]
    listening = LISTENING if name == "pause_mean_s" else ""
    return Interpreted(
        name=name,
        value=value,
        unit=scale.unit,
        interpretation=found.word,
        text=f"{scale.label}: {figure}. {found.word}: {found.text}.{listening}",
    )
