"""One process at a time, on one machine or on a shared disk."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proto.errors import Unavailable

_LOOK_S = 0.1


@contextmanager
def alone(lock: Path, wait_s: float, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold `lock`, a file that stays; `waiting` is called once where another holds it. A process that dies lets go.

    Raises:
        Unavailable: another held it for longer than `wait_s`.
        OSError: the lock file cannot be made.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        if not _take(file.fileno()):
            if waiting:
                waiting()
            deadline_s = time.monotonic() + wait_s
            while not _take(file.fileno()):
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"another process has held {lock} for {wait_s:g} s")
                time.sleep(_LOOK_S)
        yield


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
