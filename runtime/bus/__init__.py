"""The bus: the only room that imports `nats`. One table of streams, one client, readers that survive reconnects."""

from runtime.bus.buckets import Bucket, Entry, Objects
from runtime.bus.client import Bus, NoResponders, StreamState
from runtime.bus.delivery import Delivery
from runtime.bus.pull import Consumer, Follow
from runtime.bus.subscription import Subscription

__all__ = [
    "Bucket",
    "Bus",
    "Consumer",
    "Delivery",
    "Entry",
    "Follow",
    "NoResponders",
    "Objects",
    "StreamState",
    "Subscription",
]
