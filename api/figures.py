"""The figures of a report in words. Pure."""

from __future__ import annotations

from api.reported import Expressed, Measure
from proto.views import Measures

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
    "words": "words_per_min",
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
    return f"{value:.1f}" if isinstance(value, float) and unit == "1/min" else f"{value:g}"
