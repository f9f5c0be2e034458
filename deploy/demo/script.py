"""What the demo candidate does and says, and what Candor should make of it, in seconds from the start of the stream.

The words are ones that even a very small speech model knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Doing = Literal["faces_camera", "turns_away", "leaves", "has_company", "sits_in_the_dark"]


@dataclass(frozen=True)
class Act:
    """From `start_s` to `end_s` the candidate is `doing` this; `expect` is the rule or state that says so."""

    start_s: float
    end_s: float
    doing: Doing
    words: str
    expect: str | None = None


@dataclass(frozen=True)
class Line:
    """A sentence, spoken from `start_s`."""

    start_s: float
    text: str


@dataclass(frozen=True)
class Script:
    acts: tuple[Act, ...]
    lines: tuple[Line, ...]

    @property
    def duration_s(self) -> float:
        return self.acts[-1].end_s

    def act_at(self, t_s: float) -> Act:
        """The act at `t_s`; the last one afterwards."""
        return next((act for act in self.acts if t_s < act.end_s), self.acts[-1])


FULL = Script(
    acts=(
        Act(0.0, 9.0, "faces_camera", "sits in front of the camera and speaks"),
        Act(9.0, 16.0, "turns_away", "turns the head away", "LOOKING_AWAY"),
        Act(16.0, 20.0, "faces_camera", "looks at the camera again"),
        Act(20.0, 27.0, "leaves", "leaves the picture", "NO_FACE"),
        Act(27.0, 31.0, "faces_camera", "comes back"),
        Act(31.0, 37.0, "has_company", "a second person leans in", "MULTIPLE_FACES"),
        Act(37.0, 40.0, "faces_camera", "is alone again"),
        Act(40.0, 46.0, "sits_in_the_dark", "the light goes out", "COULD_NOT_TELL"),
        Act(46.0, 52.0, "faces_camera", "the light is on again, says goodbye"),
    ),
    lines=(
        Line(1.0, "hello good morning"),
        Line(3.2, "i am a software engineer with ten years of experience"),
        Line(9.8, "my last project was a database for customer support"),
        Line(16.5, "that is a good question let me think"),
        Line(28.0, "sorry i am here again"),
        Line(31.5, "someone is here in the room with me"),
        Line(37.3, "now i work on cloud network design"),
        Line(46.8, "thank you for your time"),
    ),
)
"""The whole show."""

SHORT = Script(
    acts=(
        Act(0.0, 5.0, "faces_camera", "sits in front of the camera and speaks"),
        Act(5.0, 11.0, "turns_away", "turns the head away", "LOOKING_AWAY"),
        Act(11.0, 13.0, "faces_camera", "looks at the camera again"),
        Act(13.0, 19.0, "leaves", "leaves the picture", "NO_FACE"),
        Act(19.0, 21.0, "faces_camera", "comes back"),
        Act(21.0, 26.0, "has_company", "a second person leans in", "MULTIPLE_FACES"),
        Act(26.0, 28.0, "faces_camera", "is alone again"),
    ),
    lines=(Line(0.8, "hello good morning"), Line(2.6, "i am a software engineer")),
)
"""The same without the light and most of the words: for tests and the hurried."""
