"""Every stream, consumer and bucket, in one table; created at start-up by whichever process comes first.

Consumers are created here too, before anybody reads: an autoscaler that asks for a consumer which does not exist
scales to its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    ObjectStoreConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError

from proto import subjects
from runtime.settings import RuntimeSettings

GIB = 1 << 30
# A server sets the limits aside when a stream is made: together they must fit a laptop's 16 GiB.
LEASE_TTL_S = 5.0
ACK_WAIT_VISION_S = 5.0
ACK_WAIT_FOLD_S = 30.0


@dataclass(frozen=True, slots=True)
class Stream:
    config: StreamConfig
    consumers: tuple[ConsumerConfig, ...] = field(default=())


def streams(settings: RuntimeSettings) -> tuple[Stream, ...]:
    """The streams with their durable consumers."""
    keep_s = settings.log_retention_days * 86_400
    return (
        _frames(),
        _recorded(),
        _audio(),
        _log(keep_s, int(settings.log_max_gib * GIB)),
        _alerts(keep_s),
        _dead(keep_s),
    )


def _frames() -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.FRAMES,
            description="Only the freshest frame of each session: overload lowers the rate, never adds latency",
            subjects=["frames.*"],
            storage=StorageType.MEMORY,
            retention=RetentionPolicy.WORK_QUEUE,
            max_msgs_per_subject=1,
            discard=DiscardPolicy.OLD,
            max_age=2.0,
            max_bytes=GIB // 4,
            duplicate_window=2.0,
        ),
        (
            ConsumerConfig(
                durable_name=subjects.VISION_CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_VISION_S,
                # An overloaded worker gives back what it has no time for, several times a second if need be. A frame
                # that kills its worker comes back after `ack_wait`: by then it is gone.
                max_deliver=100,
                max_ack_pending=1000,
            ),
        ),
    )


def _recorded() -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.RECORDED,
            description="Frames of recordings: none is lost, a full stream makes the reader wait",
            subjects=["recorded.*"],
            storage=StorageType.FILE,
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            max_bytes=GIB // 2,
        )
    )


def _audio() -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.AUDIO,
            description="Sound in order, long enough for a successor to resume",
            subjects=["audio.*"],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            max_age=15 * 60.0,
            max_bytes=2 * GIB,
        )
    )


def _log(keep_s: float, max_bytes: int) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.LOG,
            description="Observations: the truth",
            subjects=["log.>"],
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            max_age=keep_s,
            max_bytes=max_bytes,
            duplicate_window=120.0,
            allow_direct=True,
        ),
        tuple(
            ConsumerConfig(
                durable_name=subjects.fold_consumer(number),
                filter_subject=subjects.log_partition(number),
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_FOLD_S,
                max_ack_pending=10_000,
            )
            for number in range(subjects.PARTITIONS)
        ),
    )


def _alerts(keep_s: float) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.ALERTS,
            description="Alerts, for delivery at least once",
            subjects=["alerts.*"],
            storage=StorageType.FILE,
            max_age=keep_s,
            max_bytes=GIB // 4,
            duplicate_window=120.0,
        )
    )


def _dead(keep_s: float) -> Stream:
    return Stream(
        StreamConfig(
            name=subjects.DEAD,
            description="Messages that could not be decoded, with their bytes",
            subjects=["dead.>"],
            storage=StorageType.FILE,
            # They may hold what a candidate said: no longer than anything else of the session.
            max_age=min(7 * 86_400.0, keep_s),
            max_bytes=GIB // 4,
        )
    )


def buckets(settings: RuntimeSettings) -> tuple[KeyValueConfig, ...]:
    """The key-value buckets."""
    return (
        KeyValueConfig(
            bucket=subjects.KV_SESSIONS,
            description="Snapshots: state and the log sequence it holds, in one put",
            history=1,
            ttl=settings.log_retention_days * 86_400,
            storage=StorageType.FILE,
            replicas=settings.nats_replicas,
            max_bytes=GIB,
        ),
        KeyValueConfig(
            bucket=subjects.KV_LEASES,
            description="Who owns a partition, who owns a session's audio",
            history=1,
            ttl=LEASE_TTL_S,
            storage=StorageType.MEMORY,
            replicas=settings.nats_replicas,
        ),
        KeyValueConfig(
            bucket=subjects.KV_IDENTITIES,
            description="Reference faces, encrypted; erased with their session",
            history=1,
            ttl=settings.log_retention_days * 86_400,
            storage=StorageType.FILE,
            replicas=settings.nats_replicas,
            max_bytes=GIB // 4,
        ),
    )


def objects(settings: RuntimeSettings) -> ObjectStoreConfig:
    """The object store of stills and clips."""
    return ObjectStoreConfig(
        bucket=subjects.OBJECTS_EVIDENCE,
        description="Stills and clips",
        ttl=int(settings.log_retention_days * 86_400),
        storage=StorageType.FILE,
        replicas=settings.nats_replicas,
        max_bytes=4 * GIB,
    )


async def ensure(js: JetStreamContext, settings: RuntimeSettings) -> None:
    """Create what is missing and bring what differs up to date. Safe to call from many processes at once."""
    for stream in streams(settings):
        config = stream.config
        config.num_replicas = 1 if config.storage == StorageType.MEMORY else settings.nats_replicas
        try:
            await js.add_stream(config)
        except BadRequestError:
            await js.update_stream(config)
        for consumer in stream.consumers:
            assert config.name is not None
            await js.add_consumer(config.name, consumer)
    for bucket in buckets(settings):
        try:
            await js.create_key_value(bucket)
        except BadRequestError:
            # It exists with other limits; what it holds matters more than its limits.
            await js.key_value(bucket.bucket)
    try:
        await js.create_object_store(subjects.OBJECTS_EVIDENCE, config=objects(settings))
    except BadRequestError:
        await js.object_store(subjects.OBJECTS_EVIDENCE)
