"""What an ingest node counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SESSIONS = Gauge("candor_ingest_sessions", "Peers this node holds")
ACCEPTING = Gauge("candor_ingest_accepting", "1 while this node is in the queue group for offers")
OFFERS = Counter("candor_ingest_offers", "Offers answered, by outcome", ["outcome"])
PEERS_LOST = Counter("candor_ingest_peers_lost", "Peers that went, by reason", ["reason"])
FRAMES_SENT = Counter("candor_ingest_frames_sent", "Frames published")
FRAMES_DROPPED = Counter("candor_ingest_frames_dropped", "Pictures that went no further, by reason", ["reason"])
PACKETS_RECEIVED = Counter("candor_ingest_packets_received", "RTP packets received", ["kind"])
PACKETS_LOST = Counter("candor_ingest_packets_lost", "RTP packets that never came", ["kind"])
DECODE_LAG_S = Histogram(
    "candor_ingest_decode_lag_seconds",
    "From a sampled frame's last packet to its JPEG",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
CLOCK_JUMPS = Counter("candor_ingest_clock_jumps", "Media clocks that jumped", ["kind"])
AUDIO_CHUNKS = Counter("candor_ingest_audio_chunks", "Audio chunks appended")
AUDIO_GAPS = Counter("candor_ingest_audio_gaps", "Gaps appended, by reason", ["reason"])
OUTBOX_DROPPED = Counter("candor_ingest_outbox_dropped", "Audio chunks that became a gap because NATS was away")
STATS_DROPPED = Counter("candor_ingest_stats_dropped", "Source statistics superseded before they could be sent")
CANDIDATES_DROPPED = Counter("candor_ingest_candidates_dropped", "Remote ICE candidates that could not be used")
EVIDENCE = Counter("candor_ingest_evidence", "Alerts for which evidence was wanted, by outcome", ["outcome"])
