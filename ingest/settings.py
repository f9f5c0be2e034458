"""Settings of one ingest node."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from runtime.settings import ServiceSettings


def _address(value: str) -> str:
    return str(ip_address(value)) if value else value


class IngestSettings(ServiceSettings, section="ingest"):
    """One ingest node."""

    node: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Name of this node; empty makes one.")
    max_sessions: int = Field(
        12, ge=1, le=1000, description="Peers this node takes at once; when full it leaves the queue group."
    )
    retry_after_s: int = Field(5, ge=1, description="What a publisher is told to wait when a node has no room.")
    ice_hosts: str = Field("", description="Addresses to receive media on, comma separated; empty: all but loopback.")
    ice_loopback: bool = Field(False, description="Receive on 127.0.0.1 too; done anyway where nothing else is there.")
    public_address: Annotated[str, AfterValidator(_address)] = Field(
        "", description="Address publishers reach this node at, where a 1:1 NAT or a container hides it."
    )
    udp_port_min: int = Field(0, ge=0, le=65535, description="Lowest UDP port for media; 0 lets the system choose.")
    udp_port_max: int = Field(0, ge=0, le=65535, description="Highest UDP port for media, included.")
    stun_url: str = Field("", pattern=r"^(stun:.+)?$", description="STUN server, e.g. stun:stun.example.org:3478.")
    turn_url: str = Field("", pattern=r"^(turns?:.+)?$", description="TURN server this node relays through.")
    turn_username: str = Field("", description="User name at the TURN server.")
    turn_password: SecretStr = Field(SecretStr(""), description="Password at the TURN server.")
    connect_timeout_s: float = Field(30.0, gt=0, description="How long a peer may take to connect after its offer.")
    silence_s: float = Field(10.0, gt=0, description="A peer of which nothing at all was heard for so long has failed.")
    thin_after_s: float = Field(1.0, gt=0, description="Decoder lag at which a session is thinned to its key pictures.")
    cut_after_s: float = Field(15.0, gt=0, description="How long a thinned session may show nothing before it is cut.")
    audio_outbox_s: float = Field(30.0, gt=0, description="Sound kept while NATS is away; older sound becomes a gap.")
    ring_s: float = Field(10.0, ge=0, description="How much of each session is kept for evidence of an alert.")
    ring_mib: float = Field(8.0, gt=0, description="Most memory the same may take, per session.")
    evidence_after_s: float = Field(2.0, ge=0, description="How long after an alert its clip goes on.")
    drain_s: float = Field(10.0, ge=0, description="How long peers may go on after SIGTERM (less than CANDOR_DRAIN_S).")

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if self.udp_port_min > self.udp_port_max:
            raise ValueError("udp_port_min must not be greater than udp_port_max")
        if bool(self.udp_port_min) != bool(self.udp_port_max):
            raise ValueError("udp_port_min and udp_port_max go together")
        for host in self.hosts:
            ip_address(host)
        return self

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses of `ice_hosts`."""
        return tuple(part.strip() for part in self.ice_hosts.split(",") if part.strip())
