"""What a speech worker tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SESSIONS = Gauge("candor_speech_sessions", "Sessions this worker listens to")
FREE = Gauge("candor_speech_free", "Sessions this worker could take in addition")
TURNED_AWAY = Counter("candor_speech_turned_away", "Times a session was left to others because this worker is full")
AUDIO = Counter("candor_speech_audio_seconds", "Sound listened to")
GAPS = Counter("candor_speech_gap_seconds", "Sound that never arrived")
OVERLAPPED = Counter("candor_speech_overlapped_seconds", "Sound left out because its time had been heard already")
LAG = Histogram(
    "candor_speech_lag_seconds",
    "Sound waiting in the stream when a batch is read",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900),
)
DECODES = Counter("candor_speech_decodes", "Decodes, by kind and result", ["kind", "result"])
DECODE = Histogram(
    "candor_speech_decode_seconds",
    "Time of one run of the model, whatever its batch",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
DECODE_WAIT = Histogram(
    "candor_speech_decode_wait_seconds",
    "Time a decode waited for its turn",
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30),
)
WAITING = Gauge("candor_speech_decodes_waiting", "Decodes that wait for their turn; at most one a session")
BATCH = Histogram("candor_speech_batch", "Decodes run together", buckets=(1, 2, 4, 8, 16, 32, 64))
REALTIME_FACTOR = Gauge(
    "candor_speech_realtime_factor", "Seconds of decoding per second and decoder, over the last 10 s; 1 is saturated"
)
BEHIND = Gauge("candor_speech_behind_seconds", "How far the session that is furthest behind is behind its sound")
REJECTED = Counter("candor_speech_rejected", "Decodes of which nothing was believed, by what was wrong", ["doubt"])
TRANSLATIONS = Counter("candor_speech_translations", "Utterances put into English, by result", ["result"])
COMMIT_DELAY = Histogram(
    "candor_speech_commit_delay_seconds",
    "From the end of a word to the sound heard when it was committed",
    buckets=(0.2, 0.5, 1, 1.5, 2, 3, 5, 10),
)
WORDS = Counter("candor_speech_words", "Words committed")
RESUMED = Counter("candor_speech_resumed", "Sessions taken over from where another worker had left off")
FAILED = Counter("candor_speech_session_failures", "Sessions given back because of an error", ["error"])
VOICE_CELLS = Counter(
    "candor_speech_voice_cells", "Stretches of speech given to the voice encoder, by result", ["result"]
)
EMBED = Histogram(
    "candor_speech_embed_seconds",
    "Time of one batch in the voice encoder",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 10),
)
