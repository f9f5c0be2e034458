"""What a candidate is told before they agree: what is analysed in this session, what is noted, how long it is kept."""

from __future__ import annotations

from typing import Literal

from api import auth
from api.auth import Keys, Unauthorized
from api.models import Analysed, Notice
from api.sessions import OVER, Sessions
from proto import policy
from proto.observations import SessionCreated
from proto.policy import Analysis, Policy, Rule
from proto.views import Status

Need = Literal["", "audio", "voices", "emotion", "objects", "identity", "text"]

# In words for the person in front of the camera, and what a rule cannot do without.
WORDS: dict[str, tuple[str, Need]] = {
    "PHONE_DETECTED": ("a phone in view", "objects"),
    "PHONE_PARTIAL_DETECTED": ("part of a phone in view", "objects"),
    "MULTIPLE_FACES": ("more than one face in view", ""),
    "EYES_OFF_SCREEN": ("eyes that stay off the screen", ""),
    "LOOKING_AWAY": ("a head that stays turned away", ""),
    "NO_FACE": ("nobody in view", ""),
    "SUSPICIOUS_OBJECT": ("other objects in view", "objects"),
    "WHISPERING": ("whispering", "audio"),
    "READING_PATTERN": ("eyes that move as if reading beside the screen", ""),
    "STRESS_HIGH": ("signs of stress", "emotion"),
    "SECOND_VOICE": ("a second voice", "voices"),
    "VOICE_NOT_FROM_FACE": ("a voice while the mouth in view is still", "audio"),
    "IDENTITY_MISMATCH": ("a face unlike the reference picture, if one is registered", "identity"),
    "TEXT_IN_VIEW": ("readable text in view", "text"),
    "SOURCE_LOST": ("a lost connection", ""),
}


class Notices:
    """Tells a candidate about their session. Every method raises BusUnavailable while NATS is away."""

    def __init__(self, retention_days: float, keys: Keys, sessions: Sessions) -> None:
        self._retention_days = retention_days
        self._keys = keys
        self._sessions = sessions

    async def of(self, session: str, credential: str) -> Notice:
        """The notice, for whom it is meant: the session's token, any API key, or anybody where there are no keys.

        Raises:
            Unauthorized: it is none of these.
            NotFound: no such session.
        """
        if not credential and not self._keys.open:
            raise Unauthorized("the session's token or an API key is needed")
        record = await self._sessions.record(session)
        if credential and not auth.token_matches(credential, record.token_sha256):
            self._check_key(credential)
        return build(record, await self._status(session), self._retention_days)

    def _check_key(self, credential: str) -> None:
        if self._keys.role_of(credential) is None:
            raise Unauthorized("this is neither the token of this session nor a known API key")

    async def _status(self, session: str) -> Status:
        status = (await self._sessions.view(session)).status
        return "ended" if status not in OVER and await self._sessions.over(session) else status


def build(record: SessionCreated, status: Status, retention_days: float) -> Notice:
    """The notice of a session, by the policy it was created under."""
    rules = policy.parse(record.policy_toml)
    analysis = rules.analysis
    return Notice(
        session=record.session,
        status=status,
        policy=record.policy_name,
        description=rules.description,
        analysis=Analysed(
            fps=analysis.fps,
            audio=analysis.audio,
            # Words are found in the sound alone.
            transcript=analysis.audio and analysis.transcript,
            voices=analysis.audio and analysis.voices,
            emotion=analysis.emotion,
            evidence=analysis.evidence,
            objects=analysis.objects_per_s > 0,
            identity=analysis.identity_per_s > 0,
            text=analysis.text_per_s > 0,
            keep_text=analysis.text_per_s > 0 and analysis.keep_text,
        ),
        rules=noted(rules),
        retention_days=retention_days,
    )


def noted(rules: Policy) -> tuple[str, ...]:
    """Every rule that may write a line under this policy, in words, in the policy's order."""
    return tuple(
        _words(name, rule) for name, rule in rules.rules.items() if rule.enabled and _can(name, rules.analysis)
    )


def _can(name: str, analysis: Analysis) -> bool:
    need = WORDS.get(name, ("", ""))[1]
    return {
        "": True,
        "audio": analysis.audio,
        "voices": analysis.audio and analysis.voices,
        "emotion": analysis.emotion,
        "objects": analysis.objects_per_s > 0,
        "identity": analysis.identity_per_s > 0,
        "text": analysis.text_per_s > 0,
    }[need]


def _words(name: str, rule: Rule) -> str:
    text = WORDS[name][0] if name in WORDS else name.replace("_", " ").lower()
    if name == "SUSPICIOUS_OBJECT" and rule.labels:
        text = f"{text}: {', '.join(rule.labels)}"
    return text if rule.weight else f"{text} (noted, never counted)"
