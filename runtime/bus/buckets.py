"""Key-value buckets with compare-and-set and watching, and the object store."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError, ObjectNotFoundError
from nats.js.errors import NotFoundError as NatsNotFound
from nats.js.kv import KeyValue
from nats.js.object_store import ObjectStore

from proto.errors import BusUnavailable, Conflict, NotFound
from runtime.bus.pull import Follow

FollowNewest = Callable[[str, str], Follow]
"""Makes a reader of (stream, subject filter) that begins with the newest message of each subject."""

_AWAY = (nats.errors.Error, asyncio.TimeoutError)
_HEADER_OPERATION = "KV-Operation"
_WRONG_LAST_SEQUENCE = 10071
PURGE_MARKER_TTL_S = 3600
"""How long watchers that were away can still learn that a key was erased."""

WATCH_BATCH = 256
WATCH_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and the revision to give back when changing it."""

    value: bytes
    revision: int


class Bucket:
    """One key-value bucket. Every method raises BusUnavailable when NATS does not answer."""

    def __init__(self, js: JetStreamContext, kv: KeyValue, name: str, follow: FollowNewest) -> None:
        self._js = js
        self._kv = kv
        self._name = name
        self._follow = follow

    async def get(self, key: str) -> Entry | None:
        """The newest value, or None where there is none."""
        try:
            entry = await self._kv.get(key)
        except KeyNotFoundError:
            return None
        except (*_AWAY, APIError) as error:
            raise _away(self._name, key, error) from error
        return Entry(entry.value or b"", entry.revision or 0)

    async def create(self, key: str, value: bytes) -> int:
        """Write only if the key has no value. Returns the revision; raises Conflict."""
        try:
            return await self.update(key, value, 0)
        except Conflict:
            # Not nats-py's own `create`: it fails on a key that expires while it looks.
            return await self.update(key, value, await self._empty_revision(key))

    async def _empty_revision(self, key: str) -> int:
        """Revision of a key without a value: that of its deletion marker, or 0. Raises Conflict if it has a value."""
        try:
            newest = await self._js.get_last_msg(f"KV_{self._name}", f"$KV.{self._name}.{key}")
        except NatsNotFound:
            return 0
        except (*_AWAY, APIError) as error:
            raise _away(self._name, key, error) from error
        if _HEADER_OPERATION not in (newest.headers or {}):
            raise Conflict(f"{self._name}/{key} exists")
        return newest.seq or 0

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Write only if `revision` is still the newest. Returns the new revision; raises Conflict."""
        try:
            return await self._kv.update(key, value, last=revision)
        except KeyWrongLastSequenceError as error:
            raise Conflict(f"{self._name}/{key} is no longer at revision {revision}") from error
        except APIError as error:
            raise _refused(self._name, key, error) from error
        except _AWAY as error:
            raise _away(self._name, key, error) from error

    async def put(self, key: str, value: bytes) -> int:
        """Write whatever is there. Returns the revision."""
        try:
            return await self._kv.put(key, value)
        except (*_AWAY, APIError) as error:
            raise _away(self._name, key, error) from error

    async def purge(self, key: str) -> None:
        """Erase the value; a marker without data stays for a while, so that watchers learn of it."""
        try:
            await self._kv.purge(key, msg_ttl=PURGE_MARKER_TTL_S)
        except (*_AWAY, APIError) as error:
            raise _away(self._name, key, error) from error

    async def free(self, key: str, revision: int) -> None:
        """Mark the key deleted, only if `revision` is still the newest. Raises Conflict."""
        try:
            await self._kv.delete(key, last=revision)
        except KeyWrongLastSequenceError as error:
            raise Conflict(f"{self._name}/{key} is no longer at revision {revision}") from error
        except APIError as error:
            raise _refused(self._name, key, error) from error
        except _AWAY as error:
            raise _away(self._name, key, error) from error

    async def keys(self) -> list[str]:
        """All keys that have a value, sorted."""
        async with self.watch() as changes:
            found = []
            async for key, entry in changes:
                if key is None:
                    break
                if entry is not None:
                    found.append(key)
        return sorted(found)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[tuple[str | None, Entry | None]]]:
        """Every key with its newest value, then (None, None) once, then every change; None for an erased value.

        Goes on after a reconnect without losing a change.
        """
        prefix = f"$KV.{self._name}."
        async with self._follow(f"KV_{self._name}", f"{prefix}>") as follow:

            async def changes() -> AsyncIterator[tuple[str | None, Entry | None]]:
                caught_up = False
                while True:
                    batch = await follow.next(WATCH_BATCH, 0.0 if not caught_up else WATCH_WAIT_S)
                    for delivery in batch:
                        erased = _HEADER_OPERATION in delivery.headers
                        yield delivery.subject[len(prefix) :], None if erased else Entry(delivery.data, delivery.seq)
                    if not batch and not caught_up and follow.opened:
                        caught_up = True
                        yield None, None

            yield changes()


class Objects:
    """The object store. Every method raises BusUnavailable when NATS does not answer."""

    def __init__(self, js: JetStreamContext, store: ObjectStore, name: str) -> None:
        self._js = js
        self._store = store
        self._name = name

    async def put(self, name: str, data: bytes) -> None:
        """Write an object; an older one of this name is replaced."""
        try:
            await self._store.put(name, data)
        except (*_AWAY, APIError) as error:
            raise _away(self._name, name, error) from error

    async def get(self, name: str) -> bytes:
        """Read an object whole. Raises NotFound."""
        try:
            result = await self._store.get(name)
        except (ObjectNotFoundError, NatsNotFound) as error:
            raise NotFound(f"no object {name}") from error
        except (*_AWAY, APIError) as error:
            raise _away(self._name, name, error) from error
        return result.data or b""

    async def names(self, prefix: str = "") -> list[str]:
        """Names of the objects that begin with `prefix`, sorted."""
        try:
            entries = await self._store.list(ignore_deletes=True)
        except NatsNotFound:
            return []
        except (*_AWAY, APIError) as error:
            raise _away(self._name, prefix, error) from error
        return sorted(entry.name for entry in entries if entry.name and entry.name.startswith(prefix))

    async def delete(self, name: str) -> bool:
        """Erase an object with its name; False where there is none."""
        meta = f"$O.{self._name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
        try:
            await self._store.delete(name)
            # What nats-py leaves is a marker with the object's name in it: erased means erased.
            await self._js.purge_stream(f"OBJ_{self._name}", subject=meta)
        except (ObjectNotFoundError, NatsNotFound):
            return False
        except (*_AWAY, APIError) as error:
            raise _away(self._name, name, error) from error
        return True


async def open_bucket(js: JetStreamContext, name: str, follow: FollowNewest) -> Bucket:
    try:
        return Bucket(js, await js.key_value(name), name, follow)
    except (*_AWAY, APIError) as error:
        raise _away(name, "", error) from error


async def open_objects(js: JetStreamContext, name: str) -> Objects:
    try:
        return Objects(js, await js.object_store(name), name)
    except (*_AWAY, APIError) as error:
        raise _away(name, "", error) from error


def _refused(bucket: str, key: str, error: APIError) -> Conflict | BusUnavailable:
    if error.err_code == _WRONG_LAST_SEQUENCE:
        return Conflict(f"{bucket}/{key} was changed by somebody else")
    return _away(bucket, key, error)


def _away(bucket: str, key: str, error: BaseException) -> BusUnavailable:
    return BusUnavailable(f"{bucket}/{key}: {error or type(error).__name__}")
