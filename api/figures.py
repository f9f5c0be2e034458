"""The figures of a report in words. Pure."""

from __future__ import annotations

from api.reported import Expressed, Measure, Voice
from proto.views import Measures, VoiceShare

NOT_MEASURED = "not measured"
GEOMETRY = "geometry"
EXPRESSION = (
    "As far as a face shows it: mostly {first} ({first_pct:g} %), then {second} ({second_pct:g} %). {how}"
    "What somebody feels cannot be read from a face; this carries no points."
)
ESTIMATE = "This is an estimate from the shape of the face, without a model. "

SIGNALS = {
    "pose": "Which way the head points",
    "gaze": "Where the eyes look",
    "expression": "The expression",
    "identity": "Whose face it is",
}
REASONS = {
    "small": "the face was too small",
    "turned": "the face was turned too far",
    "blurred": "the face was blurred",
    "dark": "the face was too dark",
    "bright": "the face was too bright",
    "occluded": "the face was covered",
    "eyes_closed": "the eyes were closed",
}

SOUND = {
    "lost": "sound was lost on its way",
    "muted": "the microphone gave no sound",
    "quiet": "the voice was too low",
    "clipped": "the sound was too loud for the microphone",
    "noisy": "there was noise",
    "music": "there was music",
}
SHORTEST_S = 0.05

_MEASURES: tuple[tuple[str, str, str], ...] = (
    ("frames_seen", "frames", "Pictures looked at"),
    ("frames_skipped", "frames", "Pictures that could not be read"),
    ("face_share", "share", "Share of time with a face"),
    ("eyes_off_share", "share", "Share of time with the eyes off the screen"),
    ("blinks_per_min", "1/min", "Blinks a minute"),
    ("speech_share", "share", "Share of time with speech"),
    ("speech_s", "s", "Speech altogether"),
    ("longest_pause_s", "s", "Longest pause"),
    ("words", "words", "Words"),
    ("words_per_min", "1/min", "Words a minute"),
    ("pauses", "pauses", "Pauses of half a second and more"),
    ("pause_mean_s", "s", "Their mean length"),
    ("speech_dbfs", "dBFS", "Level of the speech (0 is full scale)"),
    ("noise_dbfs", "dBFS", "Level of the rest"),
    ("voiced_share", "share", "Share of the speech with a pitch"),
    ("voice_unknown_s", "s", "Speech that was nobody's for certain"),
    ("overlap_s", "s", "Time in which candidate and interviewer spoke at once"),
    ("mouth_still_share", "share", "Share of the speech with a still mouth in view, where that could be compared"),
    ("identity_pct", "%", "Likeness to the reference face, on average (80 % and more count as the same person)"),
    ("identity_checks", "looks", "Looks at the face that could tell whose it is"),
    ("identity_failures", "looks", "Of these, unlike the reference face"),
    ("identity_undecided", "looks", "Looks that could not tell"),
    ("text_looks", "looks", "Searches for readable text"),
    ("text_found", "looks", "Of these, with a find"),
)
# Counts that are 0 because nothing was there to be counted; the share beside them says whether it was looked for.
_COUNTED_WITH = {
    "speech_s": "speech_share",
    "longest_pause_s": "speech_share",
    "pauses": "speech_share",
    "words": "words_per_min",
    "voice_unknown_s": "voices",
    "identity_checks": "identity_pct",
    "identity_failures": "identity_pct",
    "identity_undecided": "identity_pct",
    "text_found": "text_looks",
}


def measures(taken: Measures) -> tuple[Measure, ...]:
    """Every figure with its unit and its words; what was not measured says so."""
    found = []
    for name, unit, label in _MEASURES:
        value = getattr(taken, name)
        if not value and name in _COUNTED_WITH and getattr(taken, _COUNTED_WITH[name]) is None:
            value = None
        found.append(Measure(name=name, value=value, unit=unit, text=f"{label}: {_figure(value, unit)}."))
    return tuple(found)


def abstentions(taken: Measures) -> tuple[str, ...]:
    """A sentence for each signal that could not always be told of a face that was otherwise fit to be judged."""
    return tuple(
        f"{SIGNALS.get(shy.signal, shy.signal)} could not be told of {shy.share:.0%} of the faces looked at, "
        f"mostly because {REASONS.get(shy.reason, shy.reason)}."
        for shy in taken.abstained
    )


def voices(taken: Measures) -> tuple[Voice, ...]:
    """Every voice that was told apart, the longest first."""
    number, found = 0, []
    for one in taken.voices or ():
        number += one.role == ""
        name = "The interviewer's voice" if one.role else f"Voice {number}"
        found.append(
            Voice(
                voice=one.voice,
                role=one.role,
                share=one.share,
                speech_s=one.speech_s,
                text=f"{name}: {one.share:.0%} of the speech whose voice could be told, {one.speech_s:.1f} s.",
            )
        )
    return tuple(found)


def voices_told(taken: Measures) -> str:
    """How many voices there were, in a sentence."""
    if taken.voices is None:
        return f"Whose voices were heard was {NOT_MEASURED}."
    own = sum(one.role == "" for one in taken.voices)
    if not own:
        return "No voice could be told for certain."
    others = " beside the interviewer's" if _interviewed(taken.voices) else ""
    return f"One voice was heard{others}." if own == 1 else f"{own} voices were told apart{others}."


def sound_problems(taken: Measures) -> tuple[str, ...]:
    """A sentence for each thing that kept the sound from being judged, the longest first."""
    lasted = sorted(taken.sound_problems.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        f"The sound could not be judged for {seconds:.1f} s: {SOUND.get(problem, problem)}."
        for problem, seconds in lasted
        if seconds >= SHORTEST_S
    )


def _interviewed(voices: tuple[VoiceShare, ...]) -> bool:
    return any(one.role == "interviewer" for one in voices)


def expression(measures: Measures) -> Expressed | None:
    """The expression over the session; None where the policy does not allow it, or none was seen."""
    shares = measures.expression_mean
    if not shares:
        return None
    first, second, *_ = (*sorted(shares, key=lambda name: (-shares[name], name)), "", "")
    estimate = measures.expression_model == GEOMETRY
    return Expressed(
        dominant=first,
        percentages=shares,
        model=measures.expression_model,
        estimate=estimate,
        text=EXPRESSION.format(
            first=first.lower(),
            first_pct=shares[first],
            second=second.lower(),
            second_pct=shares.get(second, 0.0),
            how=ESTIMATE if estimate else "",
        ),
    )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return NOT_MEASURED
    if unit == "share":
        return f"{value:.0%}"
    if unit == "%":
        return f"{value:.1f} %"
    if unit == "s":
        return f"{value:.1f} s"
    if unit == "dBFS":
        return f"{value:.1f} dBFS"
    return f"{value:.1f}" if isinstance(value, float) and unit == "1/min" else f"{value:g}"
