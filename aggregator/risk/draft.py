"""The state while one observation is folded in: mutable, private to one `fold.apply`, frozen at its end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aggregator.risk import ledger, sound
from aggregator.risk.conditions import BY_DRIVE, RULES, Drive, Moment, Spec
from aggregator.risk.quality import Blind
from aggregator.risk.state import MAX_ALERTS, MAX_TIMELINE, State
from aggregator.risk.tracker import IDLE, MAX_GAP_S, Step, Terms, Tracker, end, step, sure_until_s
from proto.policy import Analysis, Policy, Rule
from proto.views import Alert, Episode, LedgerLine

COULD_NOT_TELL = "COULD_NOT_TELL"
SOUND_UNCLEAR = "SOUND_UNCLEAR"
SOURCE_LOST = "SOURCE_LOST"
SHORTEST_S = 0.05
"""A shorter spell of "could not tell" is none: it would read "0.0 s"."""

GAP_LOOKS = 3
"""A policy with few looks a second still vouches for the time between so many of them."""

SOUND_GAP_S = 2.5
VOICE_GAP_S = 6.0
"""Between two pieces of speech whose voice is told lie the pauses of those who speak."""

IN_A_ROW = 3

_PER_S: dict[Drive, Callable[[Analysis], float]] = {
    "frame": lambda analysis: analysis.fps,
    "objects": lambda analysis: analysis.objects_per_s,
    "identity": lambda analysis: analysis.identity_per_s,
    "text": lambda analysis: analysis.text_per_s,
}


class Draft:
    """A state being changed. Reads policy and state, keeps what differs, `freeze` makes the next state."""

    __slots__ = (
        "abstentions", "alerts", "alerts_dropped", "blind", "clock_s", "deaf", "end_reason", "evidence", "expression",
        "eyes", "features", "fired", "frame_s", "gaze", "identity", "late_run", "ledger", "ledger_dropped",
        "loss_reason", "mouth", "open", "peak_score", "policy", "reading", "review_s", "seq", "sound", "sound_s",
        "sources", "state", "status", "tally", "text", "timeline", "timeline_dropped", "trackers", "voices",
    )  # fmt: skip

    def __init__(self, state: State, policy: Policy, seq: int) -> None:
        self.state = state
        self.policy = policy
        self.seq = seq
        self.status = state.status
        self.clock_s = state.clock_s
        self.frame_s = state.frame_s
        self.sound_s = state.sound_s
        self.late_run = state.late_run
        self.end_reason = state.end_reason
        self.loss_reason = state.loss_reason
        self.sources = state.sources
        self.trackers = state.trackers
        self.open = state.open
        self.timeline = state.timeline
        self.timeline_dropped = state.timeline_dropped
        self.ledger = state.ledger
        self.ledger_dropped = state.ledger_dropped
        self.peak_score = state.peak_score
        self.review_s = state.review_s
        self.alerts = state.alerts
        self.alerts_dropped = state.alerts_dropped
        self.features = state.features
        self.evidence = state.evidence
        self.gaze = state.gaze
        self.eyes = state.eyes
        self.reading = state.reading
        self.abstentions = state.abstentions
        self.identity = state.identity
        self.expression = state.expression
        self.text = state.text
        self.blind = state.blind
        self.deaf = state.deaf
        self.sound = state.sound
        self.voices = state.voices
        self.mouth = state.mouth
        self.tally = state.tally
        self.fired: tuple[Alert, ...] = ()

    def judge(self, drive: Drive, moment: Moment) -> None:
        """Ask every enabled rule that is driven by `drive`."""
        # In the table's order, not the policy's: a policy that went through a snapshot has its rules in another one.
        for name, spec in BY_DRIVE[drive]:
            rule = self.policy.rules.get(name)
            if rule is None or not rule.enabled:
                continue
            if spec.needs == "emotion" and not self.policy.analysis.emotion:
                continue
            tracker = self.trackers.get(name, IDLE)
            other = self.trackers.get(spec.same_as, IDLE) if spec.same_as else IDLE
            verdict = None if other.open else spec.condition(moment, rule, tracker.open)
            if tracker.last_s is None and not verdict:
                continue
            terms = Terms(
                at_once=spec.at_once,
                max_gap_s=gap_s(drive, self.policy.analysis),
                least=(rule.count or IN_A_ROW) if spec.in_a_row else 1,
                told_s=other.fired_s,
                held=spec.measures_hold,
            )
            taken = step(tracker, verdict, moment.t_s, rule, terms)
            if taken.tracker is not tracker:
                self._take(name, rule, spec, moment, taken)

    def expire(self, drive: Drive, t_s: float) -> None:
        """End what is open of `drive` if nothing has asked for so long that nobody can say that it goes on."""
        for name, _ in BY_DRIVE[drive]:
            tracker = self.trackers.get(name, IDLE)
            if tracker.last_s is not None and t_s - tracker.last_s > 2 * gap_s(drive, self.policy.analysis):
                self._close(name, tracker, sure_until_s(tracker))

    def forget(self, name: str, t_s: float) -> None:
        """End what a rule has going on: what it was judged against is no more."""
        tracker = self.trackers.get(name, IDLE)
        if tracker.last_s is not None:
            self._close(name, tracker, t_s)

    def note(self, kind: str, t_s: float, detail: str) -> None:
        """Put something that happened at one moment on the timeline, for the record."""
        self._file(Episode(kind=kind, severity="info", start_s=t_s, end_s=t_s, detail=detail))

    def judge_blind(self, blind_before_open: bool, t_s: float) -> None:
        """Keep the timeline's COULD_NOT_TELL episode in step with `self.blind`."""
        detail = ", ".join(reason.replace("_", " ") for reason in self.blind.reasons)
        self._spell(COULD_NOT_TELL, self.blind, detail, self.state.blind.clear_s if blind_before_open else None, t_s)

    def judge_deaf(self, before: Blind, t_s: float) -> None:
        """Keep the timeline's SOUND_UNCLEAR episode in step with `self.deaf`."""
        detail = ", ".join(sound.WORDS.get(reason, reason) for reason in self.deaf.reasons)
        self._spell(SOUND_UNCLEAR, self.deaf, detail, before.clear_s, t_s)

    def _spell(self, kind: str, now: Blind, detail: str, clear_s: float | None, t_s: float) -> None:
        if not now.open:
            self.close_episode(kind, t_s if clear_s is None else clear_s)
            return
        episode = self.open.get(kind)
        if episode is None or episode.detail != detail:
            start_s = now.since_s if now.since_s is not None else t_s
            fresh = Episode(kind=kind, severity="info", start_s=start_s, end_s=None, detail=detail)
            self.open = {**self.open, kind: fresh}

    def close_all(self, end_s: float, *, drives: tuple[Drive, ...]) -> None:
        """End every tracker of these drives: what drove them is gone. Nothing is held over."""
        for name, tracker in sorted(self.trackers.items()):
            drive = RULES[name].drive
            if drive in drives and tracker.last_s is not None:
                self._close(name, tracker, end_s if drive == "source" else min(end_s, sure_until_s(tracker)))

    def close_episode(self, kind: str, end_s: float) -> None:
        """Move an open episode to the timeline."""
        episode = self.open.get(kind)
        if episode is None:
            return
        self.open = {name: kept for name, kept in self.open.items() if name != kind}
        end_s = max(end_s, episode.start_s)
        if kind == COULD_NOT_TELL and end_s - episode.start_s < SHORTEST_S:
            return
        detail = episode.detail
        if kind in RULES and kind != SOURCE_LOST and not RULES[kind].measures_hold:
            # How long it lasted is known only now; what else was said of it stays.
            _, _, rest = detail.partition(" s.")
            detail = _lasted(RULES[kind].why, end_s - episode.start_s) + rest
        self._file(msgspec.structs.replace(episode, end_s=end_s, detail=detail))

    def _file(self, episode: Episode) -> None:
        self.timeline = (*self.timeline, episode)
        if len(self.timeline) > MAX_TIMELINE:
            self.timeline_dropped += len(self.timeline) - MAX_TIMELINE
            self.timeline = self.timeline[-MAX_TIMELINE:]

    def _close(self, name: str, tracker: Tracker, end_s: float) -> None:
        closed = end(tracker, end_s)
        self.trackers = {**self.trackers, name: closed.tracker}
        if closed.event == "closed":
            self.close_episode(name, closed.end_s)

    def _take(self, name: str, rule: Rule, spec: Spec, moment: Moment, taken: Step) -> None:
        self.trackers = {**self.trackers, name: taken.tracker}
        if taken.event == "none":
            return
        if taken.event == "closed":
            self.close_episode(name, taken.end_s)
            return
        start_s = taken.tracker.start_s
        detail = _lasted(spec.why, moment.t_s - start_s)
        if name == SOURCE_LOST:
            detail = f"{spec.why}: {moment.loss_reason}."
        if spec.tell is not None and (told := spec.tell(moment, rule)):
            detail = told if spec.measures_hold else f"{detail} {told}"
        if taken.event == "opened":
            detail = f"{detail} Not counted again within {rule.cooldown_s:g} s."
        episode = Episode(kind=name, severity=rule.severity, start_s=start_s, end_s=None, detail=detail)
        self.open = {**self.open, name: episode}
        if taken.event == "fired":
            self._score(name, rule, moment.t_s, detail)

    def _score(self, name: str, rule: Rule, t_s: float, why: str) -> None:
        line = LedgerLine(
            seq=self.seq,
            t_s=t_s,
            rule=name,
            severity=rule.severity,
            weight=rule.weight,
            half_life_s=rule.half_life_s or self.policy.half_life_s,
            why=why,
        )
        self.ledger, dropped = ledger.add(self.ledger, line, self.clock_s)
        self.ledger_dropped += dropped
        points = ledger.score(self.ledger, self.clock_s)
        # Rounded, because the last bits of a power differ between C libraries and this is part of the hash.
        self.peak_score = max(self.peak_score, round(points, 6))
        if self.review_s is None and points >= self.policy.review_at:
            self.review_s = t_s
        if rule.severity == "info":
            return  # for the record: nobody is asked to look
        alert = Alert(
            id=f"{self.state.head.session}.{name}.{self.seq}",
            session=self.state.head.session,
            rule=name,
            severity=rule.severity,
            t_s=t_s,
            seq=self.seq,
            message=f"{why} Please have a look.",
        )
        self.fired = (*self.fired, alert)
        self.alerts = (*self.alerts, alert)
        if len(self.alerts) > MAX_ALERTS:
            self.alerts_dropped += len(self.alerts) - MAX_ALERTS
            self.alerts = self.alerts[-MAX_ALERTS:]

    def freeze(self) -> State:
        """The next state."""
        state = self.state
        return State(
            version=state.version,
            head=state.head,
            seq=self.seq,
            status=self.status,
            clock_s=self.clock_s,
            frame_s=self.frame_s,
            sound_s=self.sound_s,
            late_run=self.late_run,
            end_reason=self.end_reason,
            loss_reason=self.loss_reason,
            sources=self.sources,
            trackers=self.trackers,
            open=self.open,
            timeline=self.timeline,
            timeline_dropped=self.timeline_dropped,
            ledger=self.ledger,
            ledger_dropped=self.ledger_dropped,
            peak_score=self.peak_score,
            review_s=self.review_s,
            alerts=self.alerts,
            alerts_dropped=self.alerts_dropped,
            features=self.features,
            evidence=self.evidence,
            gaze=self.gaze,
            eyes=self.eyes,
            reading=self.reading,
            abstentions=self.abstentions,
            identity=self.identity,
            expression=self.expression,
            text=self.text,
            blind=self.blind,
            deaf=self.deaf,
            sound=self.sound,
            voices=self.voices,
            mouth=self.mouth,
            tally=self.tally,
        )


def gap_s(drive: Drive, analysis: Analysis) -> float:
    """How far apart two looks may lie that vouch for the time between them, in seconds, at the policy's rates."""
    if drive not in _PER_S:
        return VOICE_GAP_S if drive == "voice" else SOUND_GAP_S
    per_s = min(analysis.fps, _PER_S[drive](analysis))
    return max(MAX_GAP_S, GAP_LOOKS / per_s) if per_s > 0 else MAX_GAP_S


def _lasted(why: str, seconds: float) -> str:
    return f"{why} for {max(0.0, seconds):.1f} s."
