"""A session's sound turned into events: seconds heard, utterances that begin, grow and end.

Everything here is a function of the sound from a *safe point* on (a moment when nobody speaks and all before is
settled) and of the two seconds before it, so that a successor that starts at a safe point hears exactly what its
predecessor heard.

A hole in the sound is one of three things. A short loss is bridged: its two sides are one sound, on their own times. A
pause is silence that the sender did not send. Anything else ends what is under way, as nobody knows what was in it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.backends.silero import SileroBackend
from inference.signals.pauses import Absence, Second, SecondTally
from inference.speech.timeline import JITTER_S, End, Gap, Piece, Stretch
from inference.speech.utterance import Closed, Endpointer, EndpointTuning, Opened
from inference.speech.vad import PRIME_SAMPLES, SpeechDetector, VadTuning, Window
from proto.media import SAMPLE_RATE_HZ

PRE_ROLL_S = 0.2
"""Sound before the first speech that belongs to an utterance (soft beginnings); shorter than any closing silence."""
RECENT_S = 3.0
BRIDGED_GAP_S = 0.5
"""A longer loss ends the utterance."""
IDLE_PAUSE_S = 2.0
IDLE_EVERY_S = 5.0
"""In a pause of IDLE_PAUSE_S a safe point is made every IDLE_EVERY_S."""
_SAME_S = 1e-3


@dataclass(frozen=True, slots=True)
class SafePoint:
    """A successor re-reads AUDIO from message `seq` (0: from its beginning) and judges from session second `t_s` on."""

    t_s: float
    seq: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A second is complete. `safe` was settled before it."""

    second: Second
    safe: SafePoint | None


@dataclass(frozen=True, slots=True)
class UtteranceOpened:
    """Speech began at `speech_s`; `windows` is its sound so far, from a little before."""

    speech_s: float
    windows: tuple[Window, ...]
    safe: SafePoint | None


@dataclass(frozen=True, slots=True)
class UtteranceSound:
    window: Window


@dataclass(frozen=True, slots=True)
class UtteranceClosed:
    """The utterance's last speech ended at `speech_end_s`. `safe` is settled once its words are in the log."""

    speech_end_s: float
    safe: SafePoint | None


Event = Heard | UtteranceOpened | UtteranceSound | UtteranceClosed


class Hearing:
    """Listens to one session. `resume` is where a predecessor left off, `pause_s` the pause that had lasted there."""

    def __init__(
        self,
        silero: SileroBackend,
        vad: VadTuning,
        endpoints: EndpointTuning,
        *,
        resume: SafePoint | None = None,
        pause_s: float = 0.0,
    ) -> None:
        self.safe = resume
        self._from_s = None if resume is None else resume.t_s
        self._detector = SpeechDetector(silero, vad)
        self._endpointer = Endpointer(endpoints)
        self._tally = SecondTally(pause_s=pause_s)
        self._recent: deque[Window] = deque()
        self._messages: deque[tuple[float, int]] = deque()
        self._missing_s = 0.0
        self._settle_at_next = resume is None
        self._ended = False

    def take(self, stretch: Stretch) -> list[Event]:
        """What a stretch of the timeline gives to hear, in order."""
        match stretch:
            case Piece():
                return self._piece(stretch)
            case Gap():
                return self._gap(stretch) if self._from_s is None else self._prime_gap(stretch, self._from_s)
            case End():
                return self._end()

    def stall(self) -> list[Event]:
        """The sound stopped coming without a word: end the utterance, as nobody knows what follows."""
        return self._interrupt() if self._from_s is None else []

    def _piece(self, piece: Piece) -> list[Event]:
        events: list[Event] = []
        self._missing_s = 0.0
        if self._from_s is not None:
            from_s, rest = self._from_s, self._prime(piece, self._from_s)
            if rest is None:
                return []
            self._begin(from_s)
            if rest.t_s > from_s + JITTER_S and not self._ended:
                events += self._gap(Gap(piece.seq, from_s, rest.t_s - from_s))
            piece = rest
        if self._settle_at_next:
            self._settle_at_next = False
            if self._endpointer.idle:
                self.safe = SafePoint(piece.t_s, piece.seq)
        self._note_message(piece)
        return events + self._follow(self._detector.push(piece.t_s, piece.samples))

    def _prime(self, piece: Piece, from_s: float) -> Piece | None:
        """Keep sound before the point to resume at as context; returns the part at or after it, if any."""
        count = max(0, round((from_s - piece.t_s) * SAMPLE_RATE_HZ))
        before = piece.samples[:count]
        if len(before):
            self._ended = False
            self._note_message(piece)
            self._tally.prime(piece.t_s, before)
            self._remember(Window(piece.t_s, before, speech=False))
        if count >= len(piece.samples):
            return None
        return Piece(piece.seq, piece.t_s + count / SAMPLE_RATE_HZ, piece.samples[count:])

    def _prime_gap(self, gap: Gap, from_s: float) -> list[Event]:
        """Let a gap before the point to resume at make forget what it made the predecessor forget; hear one behind."""
        end_s = gap.t_s + gap.duration_s
        if end_s > from_s + _SAME_S:
            self._begin(from_s)
            start_s = max(gap.t_s, from_s)
            return self._gap(Gap(gap.seq, start_s, end_s - start_s, gap.reason))
        absence = self._absence(gap)
        if absence != "bridged":
            self._tally.forget()
        if absence in ("lost", "unknown"):
            self._recent.clear()
        return []

    def _begin(self, from_s: float) -> None:
        """Judge from the point to resume at on."""
        self._from_s = None
        self._detector.restart(self._recent_samples(from_s))

    def _follow(self, judged: list[Window | Gap]) -> list[Event]:
        """What judged sound and the gaps in it give to hear; they may make a safe point."""
        safe_before = self.safe
        found = [event for one in judged for event in self._one(one)]
        # Not behind a loss: what it means for a pause is known when the sound behind it is judged.
        settled = [one for one in judged if isinstance(one, Window) or one.reason == "pause"]
        if settled:
            at_s = settled[-1].t_s + settled[-1].duration_s
            self._settle(at_s, closed=any(isinstance(event, UtteranceClosed) for event in found))
        events: list[Event] = []
        for event in found:
            match event:
                case Heard():
                    events.append(Heard(event.second, safe_before))
                case UtteranceClosed():
                    events.append(UtteranceClosed(event.speech_end_s, self.safe))
                case _:
                    events.append(event)
        return events

    def _one(self, one: Window | Gap) -> list[Event]:
        return self._window(one) if isinstance(one, Window) else self._hole(one)

    def _window(self, window: Window) -> list[Event]:
        was_open = self._endpointer.open
        events: list[Event] = [
            Heard(second, self.safe)
            for second in self._tally.sound(window.t_s, window.samples, window.speech, window.maybe)
        ]
        self._remember(window)
        if was_open:
            events.append(UtteranceSound(window))
        match self._endpointer.push(window.t_s, window.duration_s, window.speech):
            case Opened(speech_s):
                windows = tuple(self._recent_since(speech_s - PRE_ROLL_S))
                events.append(UtteranceOpened(speech_s, windows, self.safe))
            case Closed(speech_end_s):
                events.append(UtteranceClosed(speech_end_s, self.safe))
            case None:
                pass
        return events

    def _hole(self, gap: Gap) -> list[Event]:
        """A gap that interrupts nothing: a short loss, or silence."""
        unsent = gap.reason == "pause"
        seconds = self._tally.gap(gap.t_s, gap.duration_s, "unsent" if unsent else "bridged")
        events: list[Event] = [Heard(second, self.safe) for second in seconds]
        if unsent:
            closed = self._endpointer.push(gap.t_s, gap.duration_s, speech=False)
            events += [UtteranceClosed(closed.speech_end_s, self.safe)] if isinstance(closed, Closed) else []
        return events

    def _settle(self, at_s: float, *, closed: bool) -> None:
        """Make a safe point at `at_s`, the end of what is judged, if nobody speaks and it is time for one."""
        last_s = self.safe.t_s if self.safe else float("-inf")
        paused = self._tally.pause_s >= IDLE_PAUSE_S and at_s - last_s >= IDLE_EVERY_S
        if not self._endpointer.idle or not (closed or paused) or not self._messages:
            return
        since_s = at_s - PRIME_SAMPLES / SAMPLE_RATE_HZ
        while len(self._messages) > 1 and self._messages[1][0] <= since_s:
            self._messages.popleft()
        self.safe = SafePoint(at_s, self._messages[0][1])
        rest = self._detector.flush()
        self._detector.restart(self._recent_samples(at_s))
        for one in rest:
            if isinstance(one, Window):
                self._detector.push(one.t_s, one.samples)
            else:
                self._detector.gap(one)

    def _gap(self, gap: Gap) -> list[Event]:
        match self._absence(gap):
            case "unsent":
                # The sound around it may come in pieces of 20 ms: nothing of it waits for a block to be whole.
                events = self._follow([*self._detector.flush(), gap])
                self._detector.restart(self._recent_samples(gap.t_s + gap.duration_s))
            case "bridged":
                events = self._follow(self._detector.gap(gap))
            case absence:
                events = self._interrupt()
                events += [Heard(second, self.safe) for second in self._tally.gap(gap.t_s, gap.duration_s, absence)]
        return events

    def _absence(self, gap: Gap) -> Absence:
        """What a gap is to what is heard. Losses with no sound between them are one."""
        if gap.reason == "pause":
            return "unsent"
        if gap.reason != "loss":
            return "unknown"
        self._missing_s += gap.duration_s
        return "bridged" if self._missing_s <= BRIDGED_GAP_S + _SAME_S else "lost"

    def _end(self) -> list[Event]:
        self._ended = True
        if self._from_s is not None:
            self._recent.clear()
            self._tally.forget()
            return []
        events = self._interrupt()
        events += [Heard(second, self.safe) for second in self._tally.finish()]
        self._tally.pause_s = 0.0
        return events

    def _interrupt(self) -> list[Event]:
        """Judge what is left and start afresh with the next sound."""
        events = [event for one in self._detector.flush() for event in self._one(one)]
        closed = self._endpointer.close()
        self._detector.restart(np.zeros(0, np.int16))
        self._tally.forget()
        self._recent.clear()
        self._messages.clear()
        if closed is not None:
            # The safe point behind it is not known before the next sound; this one replays the utterance, muted.
            events.append(UtteranceClosed(closed.speech_end_s, self.safe))
        self._settle_at_next = True
        return events

    def _remember(self, window: Window) -> None:
        self._recent.append(window)
        while self._recent[0].end_s < window.end_s - RECENT_S:
            self._recent.popleft()

    def _recent_since(self, start_s: float) -> list[Window]:
        return [part for kept in self._recent if (part := _from(kept, start_s))]

    def _recent_samples(self, at_s: float) -> NDArray[np.int16]:
        """What was heard in the two seconds before `at_s`: with holes in them, less sound, never older sound."""
        kept = [window.samples for window in self._recent_since(at_s - PRIME_SAMPLES / SAMPLE_RATE_HZ)]
        return np.concatenate(kept) if kept else np.zeros(0, np.int16)

    def _note_message(self, piece: Piece) -> None:
        self._messages.append((piece.t_s, piece.seq))
        while len(self._messages) > 1 and self._messages[1][0] < piece.end_s - RECENT_S:
            self._messages.popleft()


def _from(window: Window, start_s: float) -> Window | None:
    """The part of a window from `start_s` on."""
    count = max(0, round((start_s - window.t_s) * SAMPLE_RATE_HZ))
    if count == 0:
        return window
    if count >= len(window.samples):
        return None
    return Window(window.t_s + count / SAMPLE_RATE_HZ, window.samples[count:], window.speech)
