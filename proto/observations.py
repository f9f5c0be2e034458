"""What was seen or heard, with no opinion: the messages of the log.

Every observation carries the session, the source that made it, `seq` (counts within source and kind, so that the
message id `session:source:seq:kind` is stable across a retry) and `t_s` (session seconds). Optional fields may be
added; nothing is ever removed or changes its meaning. Angles follow the candidate as the camera sees them: yaw is
positive towards the image's right, pitch positive upwards, roll positive clockwise, all in degrees and 0 when facing
the camera.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MAX_SESSION_S = 1e7
"""About 115 days: a time beyond it is a broken clock, not an interview."""

EARLIEST_S = -1.0
"""The api's and the ingest node's clocks can differ a little: the first frame may lie just before zero."""

MAX_SOURCE = 128
"""Characters of a source's name."""

MAX_LANGUAGE = 8
MAX_HOTWORDS = 50
MAX_HOTWORD = 64
"""Characters of one: a name or a term, not a text."""

INTERVIEWER = "interviewer"
"""Sources of sound whose names begin so carry the interviewer's voice, not the candidate's."""

SoundProblem = Literal["lost", "muted", "quiet", "clipped", "noisy", "music"]
"""What keeps a second of sound from being judged: packets that never came, a microphone that gives digital silence, a
voice too low to tell anything of, clipping, noise as loud as the voice, music. None is a reproach."""

HotWord = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_HOTWORD)]
LossReason = Literal["closed", "failed", "behind", "drained"]
SessionId = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
SessionSeconds = Annotated[float, msgspec.Meta(ge=EARLIEST_S, le=MAX_SESSION_S)]


class Observation(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What all have in common. Limits are checked where bytes are decoded."""

    session: SessionId
    source: Annotated[str, msgspec.Meta(max_length=MAX_SOURCE)]
    seq: Annotated[int, msgspec.Meta(ge=0)]
    t_s: SessionSeconds

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


# The session's life, published by the api (created, ended) and the aggregator (stalled, expired).


class SessionCreated(Observation, frozen=True, kw_only=True, tag="session.created"):
    """First observation of every session. The whole policy travels in it: a replay needs nothing but the log.

    `token_sha256` is the hex digest of the session's bearer token. `label` is the platform's own name for the session.
    `language` is what is spoken (a code as Whisper has them, "en"; empty: found out), `hotwords` are names and terms
    that are likely to be said, and `translate` asks for an English translation of what is said in another language.
    """

    created_unix_s: float
    policy_name: str
    policy_toml: str
    token_sha256: str
    label: str = ""
    metadata: dict[str, str] = {}
    language: Annotated[str, msgspec.Meta(max_length=MAX_LANGUAGE)] = ""
    hotwords: Annotated[tuple[HotWord, ...], msgspec.Meta(max_length=MAX_HOTWORDS)] = ()
    translate: bool = False


class SessionEnded(Observation, frozen=True, kw_only=True, tag="session.ended"):
    reason: str = ""


class SessionExpired(Observation, frozen=True, kw_only=True, tag="session.expired"):
    """Nothing was observed for the policy's idle limit."""

    idle_s: float


class SourceStalled(Observation, frozen=True, kw_only=True, tag="source.stalled"):
    """A live source fell silent without a farewell: its ingest node may have died."""

    silent_s: float


# Ingest: the peer connection or recording.


class SourceUp(Observation, frozen=True, kw_only=True, tag="source.up"):
    node: str
    video: bool
    audio: bool


class SourceLost(Observation, frozen=True, kw_only=True, tag="source.lost"):
    """`reason` is closed (the peer said goodbye), failed (ICE or DTLS gave up), behind (cut: cannot keep up),
    drained.
    """

    reason: LossReason


class SourceStats(Observation, frozen=True, kw_only=True, tag="source.stats"):
    """How the source fares, every 2 s. Counts are since the source came up; `lag_s` is decoder lag now."""

    frames_sent: int
    frames_dropped: int
    audio_chunks: int
    packets_received: int
    packets_lost: int
    lag_s: float
    width_px: int = 0
    height_px: int = 0


class EvidenceStored(Observation, frozen=True, kw_only=True, tag="evidence.stored"):
    """A still or clip was written to the object store for the alert `alert_id`."""

    alert_id: str
    name: str
    media_type: str
    sha256: str
    size_bytes: int


# Vision.


class Face(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One face. Coordinates are fractions of the frame's width and height (0-1, origin top left).

    Eye yaw and pitch are the eye in the head; gaze is eye plus head. `None` is "could not tell" (eyes closed, profile).
    Openings are ratios: eye height to eye width, inner-lip gap to face height; see `inference/signals/`.

    `abstains` maps a signal ("gaze", "pose", "expression", "identity") to why it cannot be told of this face: small,
    turned, blurred, dark, bright, occluded, eyes_closed. `expression` maps HAPPY, CALM, CONFUSED, SURPRISED, SAD,
    ANGRY, DISGUSTED and FEAR to percentages that sum to 100; None where it was not looked at, or cannot be told.
    """

    x: float
    y: float
    width: float
    height: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    left_eye_openness: float
    right_eye_openness: float
    mouth_opening: float
    smile: float
    brow_raise: float
    eye_yaw_deg: float | None = None
    eye_pitch_deg: float | None = None
    gaze_yaw_deg: float | None = None
    gaze_pitch_deg: float | None = None
    abstains: dict[str, str] = {}
    expression: dict[str, float] | None = None


class Quality(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Could the picture be judged? `brightness` 0-255 mean luma; `sharpness` variance of the Laplacian of the judged
    region at a fixed size; `occlusion` 0-1 share of the face that seems covered; `face_px` height of the largest face
    in pixels (0: no face). `problems` names what makes it unfit: dark, bright, blurred, occluded; empty means fit.
    """

    brightness: float
    sharpness: float
    occlusion: float = 0.0
    problems: tuple[str, ...] = ()
    face_px: float = 0.0


class IdentityCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The main face against the registered one. `similarity_pct` 0-100, of which the threshold is 80 for every model.

    `matches` is None where nothing can be told, and `reason` says why: no_face, several_faces, small, turned, blurred,
    dark, bright, occluded, other_model (registered with another model than the worker has), no_numbers (the model
    failed).
    """

    similarity_pct: float | None = None
    matches: bool | None = None
    reason: str = ""


class SeenObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`label` in the model's words ("cell phone"); `partial`: cut off by the picture's edge, or of a low score."""

    label: str
    score: float
    x: float
    y: float
    width: float
    height: float
    partial: bool = False


class FrameSeen(Observation, frozen=True, kw_only=True, tag="frame.seen"):
    """One frame was looked at; `source` and `seq` are the frame's own, so a frame counts once however often it is read.

    `person_present` says whether a person is in the picture when no face was found (None: not looked at).
    `objects` is None where no object detector ran on this frame, `identity` where no face was compared (none is
    registered, or it was not due). `models` maps task to model name ("expression" to "geometry": an estimate),
    `timings_ms` stage to milliseconds. `received_unix_s` is copied from the frame.
    """

    faces: tuple[Face, ...]
    quality: Quality
    person_present: bool | None = None
    objects: tuple[SeenObject, ...] | None = None
    identity: IdentityCheck | None = None
    models: dict[str, str] = {}
    timings_ms: dict[str, float] = {}
    received_unix_s: float = 0.0


class TextRegion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of readable text. Coordinates as those of `Face`; `text` is empty unless the policy keeps it."""

    x: float
    y: float
    width: float
    height: float
    confidence: float
    characters: int
    text: str = ""


class TextSeen(Observation, frozen=True, kw_only=True, tag="text.seen"):
    """A frame was searched for readable text; `source` and `seq` are the frame's own. No regions: none was found."""

    regions: tuple[TextRegion, ...] = ()
    model: str = ""
    spent_ms: float = 0.0


class FaceRegistered(Observation, frozen=True, kw_only=True, tag="identity.registered"):
    """A reference face was stored, from `origin`: photo, document or live. `seq` counts registrations."""

    model: str
    origin: str
    face_px: float


class DocumentCompared(Observation, frozen=True, kw_only=True, tag="identity.document"):
    """An ID document's portrait was compared with a live face. `rotation_deg` is how the document had to be turned."""

    model: str
    document_type: str
    similarity_pct: float
    matches: bool
    rotation_deg: int = 0


class FrameSkipped(Observation, frozen=True, kw_only=True, tag="frame.skipped"):
    """A frame that could not be read at all (broken JPEG, wrong size): "could not tell"."""

    reason: str


# Speech.


class SpeechHeard(Observation, frozen=True, kw_only=True, tag="speech.heard"):
    """Voice activity over `duration_s` of sound that begins at `t_s`, once a second.

    `speech_s` of it is speech, `gap_s` never arrived; `level_dbfs` is the RMS level (0 is full scale),
    `pause_s` how long the pause has lasted at its end, `clipped` the share of samples at full scale. `seq` is the whole
    second of session time it lies in. `ended_pause_s` is the longest pause that ended within it (speech came back).
    A successor re-reads AUDIO from the message `resume_seq` and judges from session second `resume_s` on.

    `whisper_likelihood` (0-1) says how much the speech is like a whisper, `voiced_share` (0-1) how much of it has a
    pitch, `speech_dbfs` and `noise_dbfs` are the levels of its speech and of the rest; each is None where too little of
    it was there to tell. `problems` names what made it unfit to be judged.
    """

    duration_s: float
    speech_s: float
    level_dbfs: float
    pause_s: float
    gap_s: float = 0.0
    clipped: float = 0.0
    whisper_likelihood: float | None = None
    ended_pause_s: float = 0.0
    resume_s: float | None = None
    resume_seq: int = 0
    voiced_share: float | None = None
    speech_dbfs: float | None = None
    noise_dbfs: float | None = None
    problems: tuple[SoundProblem, ...] = ()


class VoiceHeard(Observation, frozen=True, kw_only=True, tag="voice.heard"):
    """Whose voice `duration_s` of speech from `t_s` on is. `seq` is its beginning in hundredths of a session second.

    `voice` counts the voices of a session in the order in which they were first told apart, from 0; None is "could not
    tell" (too short, too noisy, between two voices), and `reason` says why. `role` is `interviewer` where the voice is
    one that was enrolled or came as a source of its own. `similarity` is the cosine to that voice's mean, -1 to 1;
    `silhouette` (-1 to 1) says how well the session's voices stand apart, None with fewer than two. `overlap_s` is how
    long the interviewer's own source spoke at the same time.
    """

    duration_s: float
    model: str
    voice: int | None = None
    role: Literal["", "interviewer"] = ""
    similarity: float | None = None
    silhouette: float | None = None
    overlap_s: float = 0.0
    reason: str = ""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    start_s: float
    end_s: float
    probability: float


class WordsCommitted(Observation, frozen=True, kw_only=True, tag="words.committed"):
    """Words two successive hypotheses agreed on; they never change again. `seq` counts commits of the session.

    `utterance` counts utterances; `final` says the utterance is complete. `heard_until_s` is where a successor resumes:
    the sound up to there is accounted for. For that it re-reads AUDIO from the message `resume_seq`, detects speech
    again from `resume_s` on, and decodes with the sound from `window_start_s` as context.
    """

    utterance: int
    words: tuple[Word, ...]
    language: str
    model: str
    final: bool
    heard_until_s: float
    window_start_s: float | None = None
    resume_s: float | None = None
    resume_seq: int = 0


class WordsTranslated(Observation, frozen=True, kw_only=True, tag="words.translated"):
    """English for the words of one `utterance` spoken in `language`; `seq` is the utterance's number."""

    utterance: int
    text: str
    language: str
    model: str
    start_s: float
    end_s: float


class FeatureStatus(Observation, frozen=True, kw_only=True, tag="feature.status"):
    """Whether a feature works for this session: published once by the worker that would provide it."""

    feature: str
    available: bool
    reason: str = ""
    command: str = ""


AnyObservation = (
    SessionCreated
    | SessionEnded
    | SessionExpired
    | SourceStalled
    | SourceUp
    | SourceLost
    | SourceStats
    | EvidenceStored
    | FrameSeen
    | FrameSkipped
    | TextSeen
    | FaceRegistered
    | DocumentCompared
    | SpeechHeard
    | VoiceHeard
    | WordsCommitted
    | WordsTranslated
    | FeatureStatus
)
