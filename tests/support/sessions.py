"""Sessions and their sound on a real bus, as the api and ingest would put them there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from proto import codec, subjects
from proto.media import Audio
from proto.observations import Observation, SessionCreated
from runtime.bus import Bus

POLICY = 'name = "test"\n'
Kind = TypeVar("Kind", bound=Observation)


async def create_session(bus: Bus, session: str, policy_toml: str = POLICY) -> None:
    """The first observation of a session."""
    await bus.observe(
        SessionCreated(
            session=session,
            source="api",
            seq=0,
            t_s=0.0,
            created_unix_s=1_700_000_000.0,
            policy_name="test",
            policy_toml=policy_toml,
            token_sha256="0" * 64,
        )
    )


async def send(bus: Bus, audio: Iterable[Audio]) -> None:
    """Sound into the stream, each message acknowledged."""
    for message in audio:
        await bus.append(
            subjects.audio(message.session), message, f"{message.session}:{message.source}:{message.seq}:audio"
        )


async def observations(bus: Bus, session: str, kind: str, of: type[Kind]) -> list[Kind]:
    """All observations of one kind, in log order."""
    return [codec.decode(d.data, of) async for d in bus.read(subjects.LOG, subjects.log(session, kind))]
