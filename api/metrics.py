"""Metrics of the api. Labels carry route templates, never a session."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("candor_api_requests", "HTTP requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "candor_api_request_seconds",
    "Time to answer, feeds apart",
    ["method", "route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
WATCHERS = Gauge("candor_api_watchers", "Live feeds being served", ["transport"])
WATCHERS_CUT = Counter("candor_api_watchers_cut", "Feeds cut because their reader was too slow")
WATCHERS_REFUSED = Counter("candor_api_watchers_refused", "Feeds refused because the server holds as many as it may")
FEED_EVENTS = Counter("candor_api_feed_events", "Messages taken off live.*, by event", ["event"])
FEED_UNREADABLE = Counter("candor_api_feed_unreadable", "Messages on live.* that do not decode")
FEED_RESYNCS = Counter("candor_api_feed_resyncs", "Times all watchers were given snapshots anew, by reason", ["reason"])
LISTED = Gauge("candor_api_listed_sessions", "Sessions in the list")
LISTED_EVICTED = Counter("candor_api_listed_evicted", "Ended sessions dropped from the list because it is full")
UNREADABLE = Counter("candor_api_unreadable", "Stored records that do not decode", ["kind"])
WHIP_OFFERS = Counter("candor_api_whip_offers", "WHIP offers answered, by status", ["status"])
ERASED = Counter("candor_api_sessions_erased", "Sessions erased on request")
