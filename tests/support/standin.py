"""Stands in for `candor ROOM` in tests of the supervisor: says it is ready, and ends as the test tells it to.

Environment: STANDIN_FAIL=room makes that room exit 3 at once; STANDIN_SILENT=room never gets ready; STANDIN_DEAF=room
ignores SIGTERM; STANDIN_LOG is a file to which each room appends its name when it drains.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def serve(room: str) -> None:
    stop = asyncio.Event()

    def drain() -> None:
        if os.environ.get("STANDIN_DEAF") == room:
            return
        with Path(os.environ["STANDIN_LOG"]).open("a") as log:
            log.write(room + "\n")
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    if os.environ.get("STANDIN_SILENT") == room:
        await stop.wait()
        return
    async with await asyncio.start_server(answer, "127.0.0.1", int(os.environ["CANDOR_HEALTH_PORT"])):
        sys.stderr.write(f"{room} on {os.environ['CANDOR_NATS_URL']}\n")
        await stop.wait()


if __name__ == "__main__":
    name = sys.argv[1]
    if os.environ.get("STANDIN_FAIL") == name:
        sys.stderr.write("the model is broken\n")
        sys.exit(3)
    asyncio.run(serve(name))
