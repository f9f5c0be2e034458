"""Which models take a window as long as the sound instead of 30 s of it. Pure.

Whisper was trained on windows padded to 30 s. The encoder takes shorter ones, in proportion faster, but a model
that never saw any may repeat itself or leave words out. So it is on by itself only for models with which the word error
rate was measured both ways, on sound of known words.
"""

from __future__ import annotations

from typing import Literal

Fitting = Literal["auto", "on", "off"]

MEASURED: dict[str, tuple[float, float]] = {
    # The small model of the tests, on 426 words of synthetic speech, alike for windows of 8, 12 and 20 s. In single
    # decodes of 3 to 14 s (210 windows) it wrote the same both ways: 230 ms of CPU padded, 20 to 37 ms fitted.
    "whisper-espeak-test": (0.0, 0.0),
}
"""By the model's name: the word error rate with padded and with fitted windows."""
HARMLESS = 0.005
"""A word error rate may be so much higher with fitted windows and still be called the same."""


def fitted(setting: Fitting, model: str) -> bool:
    """Whether a model's windows are fitted to the sound."""
    if setting != "auto":
        return setting == "on"
    if model not in MEASURED:
        return False
    padded, cut = MEASURED[model]
    return cut <= padded + HARMLESS
