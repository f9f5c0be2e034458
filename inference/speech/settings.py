"""Settings of a speech worker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from inference.models.settings import ModelsSettings
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from runtime.settings import ServiceSettings


class SpeechSettings(ServiceSettings, section="speech"):
    """One speech worker."""

    max_sessions: int = Field(20, ge=1, le=1000, description="Sessions this worker listens to at once.")
    model: str = Field(
        "whisper-tiny",
        description="Whisper model: a name from `candor models list`, or a folder with CTranslate2 files.",
    )
    models_dir: Path = Field(
        default_factory=lambda: ModelsSettings.load().dir,
        description="Folder that holds pulled models; by default that of all services, CANDOR_MODELS_DIR.",
    )
    device: str = Field("auto", pattern="^(auto|cpu|cuda)$", description="Where Whisper runs.")
    compute_type: str = Field("default", description="CTranslate2 number format: default, int8, float16, float32...")
    language: str = Field("", max_length=8, description="Language spoken, e.g. en; empty finds it out per session.")
    threads: int = Field(2, ge=0, le=64, description="CPU threads of one decode; 0 leaves it to CTranslate2.")
    decoders: int = Field(1, ge=1, le=16, description="Decodes that run at once.")
    beam_size: int = Field(1, ge=1, le=10, description="Beams of a decode: more is slower and a little better.")
    step_s: float = Field(
        1.0, ge=0.3, le=10, description="New sound, in seconds, after which an utterance is decoded again."
    )
    max_step_s: float = Field(5.0, ge=0.3, le=20, description="The same for a worker that has fallen behind.")
    window_s: float = Field(
        12.0, ge=6, le=28, description="Most sound decoded at once; committed words are cut off before."
    )
    decode_timeout_s: float = Field(60.0, gt=0, description="A decode that takes longer counts as failed.")
    vad_mode: int = Field(2, ge=0, le=3, description="WebRTC VAD: 0 takes much for speech, 3 little.")
    speech_probability: float = Field(0.5, gt=0, lt=1, description="Silero's probability at which speech begins.")
    min_speech_s: float = Field(0.2, gt=0, le=2, description="Speech after which an utterance has begun.")
    end_silence_s: float = Field(0.7, ge=0.4, le=5, description="Silence after which an utterance is over.")
    long_utterance_s: float = Field(45.0, ge=5, description="Length after which a quarter second of silence ends it.")
    stall_s: float = Field(
        3.0, gt=0.5, description="Silence of the wire after which the utterance under way is finished."
    )
    idle_release_s: float = Field(20.0, gt=1, description="Silence of the wire after which the session is given back.")

    @property
    def vad(self) -> VadTuning:
        enter = self.speech_probability
        return VadTuning(mode=self.vad_mode, enter=enter, leave=max(0.01, enter - 0.15))

    @property
    def endpoints(self) -> EndpointTuning:
        return EndpointTuning(start_s=self.min_speech_s, end_s=self.end_silence_s, long_s=self.long_utterance_s)
