"""Where media is received: addresses and UDP ports of one ICE agent.

aioice binds every host address but loopback to any free port and has no setting for either, so this file replaces the
one method of its `Connection` that gathers. All of its private names that are touched stand here: `_protocols` and the
method `get_component_candidates`, on the one connection object; the library itself is left as it is.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from dataclasses import dataclass
from typing import Protocol

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol, server_reflexive_candidate
from aiortc import RTCConfiguration, RTCIceServer
from aiortc.rtcconfiguration import RTCBundlePolicy

from ingest.settings import IngestSettings
from runtime.log import get_logger

log = get_logger("ingest")

LOOPBACK = "127.0.0.1"
STUN_TIMEOUT_S = 3.0
RECEIVE_BUFFER_BYTES = 1 << 20
"""A key picture comes as a burst of a hundred packets."""


@dataclass(frozen=True, slots=True)
class IcePolicy:
    """`hosts` () is every address but loopback; `ports` None is any free port."""

    hosts: tuple[str, ...]
    loopback: bool
    public_address: str
    ports: range | None

    @classmethod
    def of(cls, settings: IngestSettings) -> IcePolicy:
        ports = range(settings.udp_port_min, settings.udp_port_max + 1) if settings.udp_port_min else None
        return cls(settings.hosts, settings.ice_loopback, settings.public_address, ports)

    def addresses(self, found: list[str]) -> list[str]:
        """Addresses to bind, given those of the machine's interfaces."""
        chosen = list(self.hosts) or list(found)
        if (self.loopback or not chosen) and LOOPBACK not in chosen:
            chosen.append(LOOPBACK)
        return chosen


def configuration(settings: IngestSettings) -> RTCConfiguration:
    """aiortc's configuration: the STUN and TURN servers that are set and no others (its default is a public server)."""
    servers = []
    if settings.stun_url:
        servers.append(RTCIceServer(urls=settings.stun_url))
    if settings.turn_url:
        password = settings.turn_password.get_secret_value()
        servers.append(RTCIceServer(urls=settings.turn_url, username=settings.turn_username, credential=password))
    return RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)


class _Gather(Protocol):
    async def __call__(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]: ...


def apply(policy: IcePolicy, connection: Connection) -> None:
    """Make `connection` gather by `policy`; to be called before it does."""
    relayed: _Gather = connection.get_component_candidates

    async def gather(component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        protocols = [
            protocol
            for address in policy.addresses(addresses)
            if (protocol := await _bind(connection, component, address, policy.ports)) is not None
        ]
        connection._protocols += protocols
        candidates = [protocol.local_candidate for protocol in protocols]
        candidates += _public(candidates, policy.public_address)
        candidates += await _reflexive(connection, protocols)
        # Without addresses, what is left of aioice's own method is the relay.
        candidates += await relayed(component, [], timeout)
        return candidates

    setattr(connection, _GATHER, gather)


_GATHER = "get_component_candidates"


async def _bind(connection: Connection, component: int, address: str, ports: range | None) -> StunProtocol | None:
    """A socket on `address` at a free port of `ports`, or None where there is none."""
    loop = asyncio.get_running_loop()
    choices = [0] if ports is None else random.sample(ports, len(ports))
    for port in choices:
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: StunProtocol(connection), local_addr=(address, port)
            )
        except OSError:
            continue
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        host, bound = transport.get_extra_info("sockname")[:2]
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=component,
            transport="udp",
            priority=candidate_priority(component, "host"),
            host=host,
            port=bound,
            type="host",
        )
        return protocol
    log.warning("ingest.no_port", address=address, tried=len(choices))
    return None


def _public(candidates: list[Candidate], public_address: str) -> list[Candidate]:
    """The same ports at the address under which the publishers see this node."""
    if not public_address:
        return []
    version = ipaddress.ip_address(public_address).version
    return [
        Candidate(
            foundation=candidate_foundation("srflx", "udp", local.host),
            component=local.component,
            transport="udp",
            priority=candidate_priority(local.component, "srflx"),
            host=public_address,
            port=local.port,
            type="srflx",
            related_address=local.host,
            related_port=local.port,
        )
        for local in candidates
        if local.host != LOOPBACK and ipaddress.ip_address(local.host).version == version
    ]


async def _reflexive(connection: Connection, protocols: list[StunProtocol]) -> list[Candidate]:
    """What a STUN server sees us as; nothing if it does not answer in time."""
    server = connection.stun_server
    asked = [p for p in protocols if ":" not in p.local_candidate.host and p.local_candidate.host != LOOPBACK]
    if server is None or not asked:
        return []
    tasks = [asyncio.create_task(server_reflexive_candidate(protocol, server)) for protocol in asked]
    done, pending = await asyncio.wait(tasks, timeout=STUN_TIMEOUT_S)
    for task in pending:
        task.cancel()
    candidates = []
    for task in done:
        try:
            candidates.append(task.result()[0])
        except (OSError, stun.TransactionError, KeyError) as error:
            log.warning("ingest.stun_failed", error=type(error).__name__)
    return candidates
