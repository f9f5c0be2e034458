"""What is counted about reference faces."""

from __future__ import annotations

from prometheus_client import Counter

REFERENCES = Counter(
    "candor_vision_references", "Reference faces asked for: read, none, unreadable, unanswered", ["outcome"]
)
REQUESTS = Counter(
    "candor_vision_identity_requests", "Faces to register or to compare, by the answer", ["ask", "answer"]
)
