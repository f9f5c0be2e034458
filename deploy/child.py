"""A child process that cannot outlive its parent, and whose output is read to the last line."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from proto.errors import Unavailable

TAIL_LINES = 40
MAX_LINE_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1

OnLine = Callable[[str, str], None]
"""Called with the child's name and one line it wrote."""


class Child:
    """One running command."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: OnLine) -> None:
        self.name = name
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = process
        self._on_line = on_line
        self._pump = asyncio.create_task(self._read(), name=f"output of {name}")

    @classmethod
    async def start(cls, name: str, command: Sequence[str], env: Mapping[str, str], on_line: OnLine) -> Child:
        """Start `command` with stdin closed, stdout and stderr together.

        Raises:
            Unavailable: there is no such program.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=MAX_LINE_BYTES,
                # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which then stops all in order.
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()) if sys.platform == "linux" else None,
            )
        except OSError as error:
            raise Unavailable(f"{name} does not start: {command[0]}: {error.strerror}") from error
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Its exit code, once its last line has been passed on."""
        code = await self._process.wait()
        # A grandchild may hold the pipe open: what the child itself wrote is there at once.
        await asyncio.wait({self._pump}, timeout=1)
        self._pump.cancel()
        return code

    async def stop(self, patience_s: float) -> int:
        """Ask it to drain (SIGTERM), wait, and kill it if it is still there after `patience_s`."""
        if self.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(patience_s):
                    await self._process.wait()
            except TimeoutError:
                self._on_line(self.name, f"still running {patience_s:g} s after SIGTERM: killed")
                self.kill()
        return await self.wait()

    def kill(self) -> None:
        """End it and whatever it started, now."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Already gone; macOS says EPERM for a group of which only a zombie is left.
            return

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return

    async def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            try:
                data = await stream.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                data = error.partial
                if not data:
                    return
            except asyncio.LimitOverrunError as error:
                data = await stream.readexactly(min(error.consumed, MAX_LINE_BYTES) or 1)
            line = data.decode(errors="replace").rstrip()
            if line:
                self.tail.append(line)
                self._on_line(self.name, line)


def _die_with_parent(parent: int) -> Callable[[], None]:
    """What the child does between fork and exec on Linux: ask to be killed when its parent dies, however it dies."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask
