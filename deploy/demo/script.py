"""What the demo candidate does and says, and what Candor should make of it, in seconds from the start of the stream.

The words are ones that even a very small speech model knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proto.errors import BadInput

SENTENCE_S = 1.2
"""The shortest sentence takes so long to say."""

Doing = Literal["faces_camera", "turns_away", "leaves", "has_company", "sits_in_the_dark"]


@dataclass(frozen=True)
class Act:
    """From `start_s` to `end_s` the candidate is `doing` this. `expect` is the rule or state that says so; rules in
    `also` may say something true of it, too."""

    start_s: float
    end_s: float
    doing: Doing
    words: str
    expect: str | None = None
    also: tuple[str, ...] = ()


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

    def cut(self, duration_s: float) -> Script:
        """The first `duration_s` of it; an act or a sentence that would be cut short is left out, the picture goes on.

        Raises:
            BadInput: not even the first act fits.
        """
        acts = tuple(act for act in self.acts if act.end_s <= duration_s)
        if not acts:
            raise BadInput(f"must be at least {self.acts[0].end_s:g} s", field="duration")
        return Script(acts, tuple(line for line in self.lines if line.start_s + SENTENCE_S <= acts[-1].end_s))


SHOW = Script(
    acts=(
        Act(0.0, 9.0, "faces_camera", "sits in front of the camera and speaks"),
        Act(9.0, 16.0, "turns_away", "turns the head away", "LOOKING_AWAY", ("EYES_OFF_SCREEN", "READING_PATTERN")),
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
