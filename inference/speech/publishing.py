"""What a session's listener publishes, as long as it holds the session's lease."""

from __future__ import annotations

from inference.backends.voice_encoder import FEATURE as VOICES
from inference.backends.whisper import FEATURE as TRANSCRIPT
from inference.speech.resume import SOURCE
from inference.speech.translation import FEATURE as TRANSLATION
from proto import subjects
from proto.errors import Unavailable
from proto.observations import FeatureStatus, Observation
from proto.views import Committed, Tentative
from runtime.bus import Bus
from runtime.leases import Lease

SWITCHED_OFF = "the session's policy switches it off"

FEATURES = (TRANSCRIPT, TRANSLATION, VOICES)
"""What this room says of a session; a feature's place is the number of its feature.status."""


class LeaseLost(Unavailable):
    """Another worker has this session now."""


class Publisher:
    """Of one session. Everything raises LeaseLost once the lease is lost: nothing is published from then on."""

    def __init__(self, bus: Bus, session: str, lease: Lease) -> None:
        self.bus = bus
        self.session = session
        self._lease = lease

    async def observe(self, observation: Observation) -> None:
        """Into the log.

        Raises:
            BusUnavailable: it was not acknowledged.
        """
        self.check_lease()
        await self.bus.observe(observation)

    async def live(self, news: Tentative | Committed) -> None:
        """To watchers; what cannot be sent now is dropped."""
        self.check_lease()
        await self.bus.publish(subjects.live(self.session), news)

    async def feature(self, feature: str, reason: str, command: str = "") -> None:
        """Say whether a feature works for this session; without a reason against it, it does."""
        status = FeatureStatus(
            session=self.session,
            source=SOURCE,
            seq=FEATURES.index(feature),
            t_s=0.0,
            feature=feature,
            available=not reason,
            reason=reason,
            command=command,
        )
        await self.observe(status)

    def check_lease(self) -> None:
        if not self._lease.held:
            raise LeaseLost(f"the lease of session {self.session} is lost")
