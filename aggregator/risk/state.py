"""What the fold knows of a session after some observation: frozen, bounded, and the same bytes on every machine.

Every tuple and dict in it has a bound (named here or beside its owner), so a session of ten hours is no bigger than
one of an hour. Bytes are MessagePack with dict keys sorted; the hash of a state is the SHA-256 of those bytes.
"""

from __future__ import annotations

import hashlib

import msgspec

from aggregator.risk.abstention import Abstentions
from aggregator.risk.expression import Expression
from aggregator.risk.eyes import Eyes
from aggregator.risk.gaze import Gaze
from aggregator.risk.identity import Identity
from aggregator.risk.mouth import Mouth
from aggregator.risk.quality import Blind
from aggregator.risk.reading import Reading
from aggregator.risk.sound import Sound
from aggregator.risk.text import Text
from aggregator.risk.tracker import Tracker
from aggregator.risk.voices import Voices
from proto.errors import BadMessage
from proto.observations import SessionCreated
from proto.policy import Policy
from proto.views import Alert, Episode, Feature, LedgerLine, Status

FOLD_VERSION = 4
"""Raised when the fold would give another state for the same log: a snapshot of another version is folded anew."""

MAX_TIMELINE = 300
MAX_ALERTS = 200
MAX_EVIDENCE = 400
MAX_FEATURES = 32
MAX_SOURCES = 8


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What `session.created` said; never changes. The policy is here whole, so that a snapshot is enough to go on."""

    session: str
    label: str
    metadata: dict[str, str]
    policy: Policy
    policy_hash: str
    created_unix_s: float


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One peer connection, recording or HTTP client. `poor` says that too many of its packets were lost lately.

    `announced` by `source.up`: it reports about itself all the time, so its silence means something.
    """

    up: bool
    video: bool
    since_s: float
    announced: bool = False
    farewell: bool = False
    packets_received: int = 0
    packets_lost: int = 0
    poor: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Plain counts over the whole session; the view makes shares and rates of them."""

    frames_seen: int = 0
    frames_skipped: int = 0
    frames_late: int = 0
    frames_judged: int = 0
    frames_with_face: int = 0
    frames_with_gaze: int = 0
    frames_eyes_off: int = 0
    objects_looked: int = 0
    whisper_heard: int = 0
    sound_s: float = 0.0
    speech_s: float = 0.0
    longest_pause_s: float = 0.0
    words: int = 0
    rejected: int = 0
    after_end: int = 0
    stalls: int = 0
    losses: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """State after log sequence `seq`. `frame_s` and `sound_s` are the times of the newest frame and sound judged.

    `late_run` counts frames in a row that lay far before the newest. `expression` is always None under a policy that
    does not allow emotion. `blind` is the spell in which no picture can be judged, `deaf` that in which no sound can.
    """

    version: int
    head: Head
    seq: int
    status: Status
    clock_s: float
    frame_s: float | None
    sound_s: float | None
    late_run: int
    end_reason: str
    loss_reason: str
    sources: dict[str, Source]
    trackers: dict[str, Tracker]
    open: dict[str, Episode]
    timeline: tuple[Episode, ...]
    timeline_dropped: int
    ledger: tuple[LedgerLine, ...]
    ledger_dropped: int
    peak_score: float
    review_s: float | None
    alerts: tuple[Alert, ...]
    alerts_dropped: int
    features: dict[str, Feature]
    evidence: tuple[str, ...]
    gaze: Gaze
    eyes: Eyes
    reading: Reading
    abstentions: Abstentions
    identity: Identity
    expression: Expression | None
    text: Text
    blind: Blind
    deaf: Blind
    sound: Sound
    voices: Voices
    mouth: Mouth
    tally: Tally

    @property
    def final(self) -> bool:
        """Nothing that comes now can change the score."""
        return self.status in ("ended", "expired")


def initial(created: SessionCreated, policy: Policy, policy_hash: str, seq: int) -> State:
    """State after a session's first observation, which has log sequence `seq`, judged under `policy`."""
    head = Head(
        session=created.session,
        label=created.label,
        metadata=created.metadata,
        policy=policy,
        policy_hash=policy_hash,
        created_unix_s=created.created_unix_s,
    )
    return State(
        version=FOLD_VERSION,
        head=head,
        seq=seq,
        status="created",
        clock_s=0.0,
        frame_s=None,
        sound_s=None,
        late_run=0,
        end_reason="",
        loss_reason="",
        sources={},
        trackers={},
        open={},
        timeline=(),
        timeline_dropped=0,
        ledger=(),
        ledger_dropped=0,
        peak_score=0.0,
        review_s=None,
        alerts=(),
        alerts_dropped=0,
        features={},
        evidence=(),
        gaze=Gaze(),
        eyes=Eyes(),
        reading=Reading(),
        abstentions=Abstentions(),
        identity=Identity(),
        expression=None,
        text=Text(),
        blind=Blind(),
        deaf=Blind(),
        sound=Sound(),
        voices=Voices(),
        mouth=Mouth(),
        tally=Tally(),
    )


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(State)


def pack(state: State) -> bytes:
    """Canonical MessagePack of a state."""
    return _encoder.encode(state)


def unpack(data: bytes) -> State:
    """State from `pack`.

    Raises:
        BadMessage: the bytes are no state, or one of another version of the fold.
    """
    try:
        state = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"state: {error}", data) from error
    if state.version != FOLD_VERSION:
        raise BadMessage(f"state of fold version {state.version}, this is {FOLD_VERSION}", data)
    return state


def state_hash(packed: bytes) -> str:
    """Hex SHA-256 of a packed state."""
    return hashlib.sha256(packed).hexdigest()
