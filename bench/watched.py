"""A worker and a fold without a bus between them: frames in, what was seen and the state of the session out."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from aggregator.risk import fold, state
from aggregator.risk.state import State
from inference.backends import running
from inference.backends.settings import OnnxSettings
from inference.models.settings import ModelsSettings
from inference.vision.analysis import Analyst, Ask, Seen
from inference.vision.decode import picture_of
from inference.vision.hand_watch import HandWatch
from inference.vision.identity import portraits
from inference.vision.identity.portraits import Taken
from inference.vision.publishing import observation_of
from inference.vision.settings import VisionSettings
from inference.vision.tracks import Tracks
from proto import codec
from proto import policy as policies
from proto.errors import BadInput, FeatureMissing
from proto.media import Frame
from proto.observations import AnyObservation, FrameSeen, FrameSkipped, Observation, SessionCreated, SourceUp

SOURCE = "bench"


class Watcher:
    """A context manager that loads a worker's models, and frees them. It remembers of a session what a worker does.

    `models` and `missing` are by feature: the names of the models that were used, and why others were not. `providers`
    says by the model's name what runs it.
    """

    def __init__(
        self,
        policy_toml: str,
        settings: VisionSettings,
        models: ModelsSettings | None = None,
        onnx: OnnxSettings | None = None,
    ) -> None:
        self._policy_toml = policy_toml
        self._policy = policies.parse(policy_toml)
        self._settings = settings
        self._analyst = Analyst(settings, models, onnx)
        self._hands = HandWatch(settings.hands_rest_s)
        self._tracks = Tracks()
        self.models: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.providers: dict[str, str] = {}

    def __enter__(self) -> Self:
        for feature, error in self._analyst.load().items():
            if error is not None:
                self.missing[feature] = f"{error.reason}; {error.command}" if error.command else error.reason
        self.providers = {one.model: one.provider for one in running.models()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._analyst.close()

    def session(self, frames: Iterable[Frame]) -> tuple[list[FrameSeen], State]:
        """The frames of one source, in order, each remembered until the next; and the session they make.

        Raises:
            FeatureMissing: there is no face model.
            BadInput: a frame cannot be read.
        """
        seen = [self._seen(frame, self._tracked(frame)) for frame in frames]
        return seen, self._folded(seen)

    def still(self, frame: Frame) -> FrameSeen:
        """A picture that nothing came before. Raises as `session`."""
        return self._seen(frame, Ask(looks=frozenset(frame.looks)))

    def taken(self, jpeg: bytes) -> Taken:
        """The only face of a JPEG, as if it were sent in to be registered.

        Raises:
            BadInput: it cannot be used; says why.
            FeatureMissing: there is no model of faces or of identity.
        """
        image = picture_of(jpeg, self._settings.max_jpeg_bytes, self._settings.max_pixels)
        try:
            taken = portraits.of_photo(self._analyst, image)
        except portraits.Trouble as trouble:
            raise BadInput(trouble.code) from trouble
        self.models["identity"] = taken.model
        return taken

    def similarity_pct(self, one: Taken, other: Taken) -> float:
        return portraits.similarity_pct(self._analyst, one, other)

    def _tracked(self, frame: Frame) -> Ask:
        """The session's faces of the frame before, as a worker remembers them. Nobody is registered here."""
        return Ask(
            looks=frozenset(frame.looks),
            hint=self._tracks.hint(frame.session, frame.t_s),
            hands=self._hands.is_due(frame.session, frame.t_s),
        )

    def _seen(self, frame: Frame, ask: Ask) -> FrameSeen:
        if "face" in self.missing:
            raise FeatureMissing("face", self.missing["face"])
        (result,) = self._analyst.read([frame.jpeg], [ask])
        if isinstance(result, Seen):
            self._hands.note(frame.session, frame.t_s, result)
            if result.found is not None:
                self._tracks.note(frame.session, frame.t_s, result.found)
        observation = observation_of(frame, 0.0, result)
        if isinstance(observation, FrameSkipped):
            raise BadInput(observation.reason, field=f"{frame.session} at {frame.t_s:.2f} s")
        self.models |= observation.models
        return observation

    def _folded(self, seen: Iterable[FrameSeen]) -> State:
        """The state after all frames, each through its own bytes, as it comes off the log."""
        created = SessionCreated(
            session=SOURCE, source="api", seq=0, t_s=0.0, created_unix_s=0.0, policy_name=self._policy.name,
            policy_toml=self._policy_toml, token_sha256="",
        )  # fmt: skip
        up = SourceUp(session=SOURCE, source=SOURCE, seq=0, t_s=0.0, node=SOURCE, video=True, audio=False)
        now = state.initial(created, self._policy, policies.digest(self._policy_toml), 1)
        observations: list[Observation] = [up, *seen]
        for seq, observation in enumerate(observations, start=2):
            logged = codec.decode(codec.encode(observation), AnyObservation)
            now, _ = fold.apply(now, logged, self._policy, seq, logged.t_s)
        return now
