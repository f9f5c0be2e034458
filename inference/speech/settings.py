"""Settings of a speech worker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from inference.models.settings import ModelsSettings
from inference.speech.utterance import EndpointTuning
from inference.speech.vad import VadTuning
from inference.speech.windows import Fitting
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
    language: str = Field(
        "",
        max_length=8,
        description="Language spoken, e.g. en, where the session names none; empty finds it out per session.",
    )
    threads: int = Field(2, ge=0, le=64, description="CPU threads of one decode; 0 leaves it to CTranslate2.")
    decoders: int = Field(1, ge=1, le=16, description="Decodes that run at once.")
    batch: int = Field(
        0, ge=0, le=64, description="Decodes run together; 0 is 8 on a GPU and 1 on a CPU, where a batch gains nothing."
    )
    fitted_window: Fitting = Field(
        "auto",
        description="Encode as much as there is sound instead of 30 s: on, off, or auto, for models known to bear it.",
    )
    context: bool = Field(
        False, description="Give the model the last words before the decoded sound, at most 200 characters of them."
    )
    beam_size: int = Field(1, ge=1, le=10, description="Beams of a decode: more is slower and a little better.")
    step_s: float = Field(
        1.0, ge=0.3, le=10, description="New sound, in seconds, after which an utterance is decoded again."
    )
    max_step_s: float = Field(
        6.0, ge=0.3, le=20, description="The same at most, for a worker that could not decode all that often."
    )
    window_s: float = Field(
        12.0, ge=6, le=28, description="Most sound decoded at once; committed words are cut off before."
    )
    decode_timeout_s: float = Field(60.0, gt=0, description="A decode that takes longer counts as failed.")
    voices: bool = Field(True, description="Tell voices apart, where the session's policy allows it.")
    voices_model: str = Field("voice-encoder", description="Voice encoder: a name from `candor models list`.")
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
