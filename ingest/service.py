"""The ingest service."""

from __future__ import annotations

import asyncio

from ingest.node import Node
from ingest.settings import IngestSettings
from runtime.bus import Bus


async def serve(settings: IngestSettings, bus: Bus, stop: asyncio.Event) -> None:
    """Take offers and publish media until `stop` is set, then drain and return."""
    await Node(settings, bus).run(stop)
