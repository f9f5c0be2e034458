"""Prometheus metrics that every process has. A room declares its own in `<room>/metrics.py`, named
`candor_<room>_...`.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

BUS_DROPPED = Counter("candor_bus_dropped", "Messages not sent, by reason", ["reason"])
BUS_RECONNECTS = Counter("candor_bus_reconnects", "Connections to NATS that were made again")
BUS_CONNECTED = Gauge("candor_bus_connected", "1 while connected to NATS")
BUS_RETRIES = Counter("candor_bus_append_retries", "Appends that were tried again")
BUS_RESETS = Counter(
    "candor_bus_consumer_resets", "Ordered consumers set back to their last acknowledgement", ["consumer"]
)
WATCHER_DROPPED = Counter(
    "candor_bus_subscription_dropped", "Messages a slow subscription lost, by first token", ["subject"]
)
DEAD_LETTERS = Counter("candor_dead_letters", "Messages put aside because they cannot be decoded", ["room"])
LEASES_HELD = Gauge("candor_leases_held", "Leases this process holds")
LEASES_LOST = Counter("candor_leases_lost", "Leases that ran out before they were renewed")
FEATURE_UP = Gauge("candor_feature_available", "1 where a feature works in this process", ["feature"])
ONNX_PROVIDER = Gauge("candor_onnx_provider", "1 for the provider that really runs a model", ["model", "provider"])
ONNX_FALLBACK = Gauge(
    "candor_onnx_fallback", "1 where a model runs on another provider than it should", ["model", "wanted", "got"]
)
ONNX_NODES = Gauge(
    "candor_onnx_nodes", "Nodes of a model's graph, by the provider they are given to", ["model", "provider"]
)
