"""Settings of the api."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr

from runtime.settings import ServiceSettings

PACKAGED_POLICIES = Path(__file__).resolve().parent.parent / "deploy" / "policies"


class ApiSettings(ServiceSettings, section="api"):
    """One api process: the HTTP face of Candor."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but loopback needs API keys.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="URL under which people reach the api, for the links it gives out; empty: as the request came in.",
    )
    tls_cert_file: Path | None = Field(None, description="PEM certificate chain: with tls_key_file, HTTPS is spoken.")
    tls_key_file: Path | None = Field(None, description="PEM private key of tls_cert_file.")
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses whose X-Forwarded-For and -Proto are believed, comma separated.",
    )

    keys: SecretStr = Field(
        SecretStr(""), description="API keys as role:key, comma separated; roles are ingest, supervise and admin."
    )
    keys_file: Path | None = Field(
        None, description="File with one role:key a line, added to keys; # begins a comment."
    )
    allowed_hosts: str = Field(
        "",
        description="Host names accepted besides loopback while there are no API keys, comma separated.",
    )
    allow_origins: str = Field(
        "", description="Origins of web pages that may call the api from a browser, comma separated; * is any."
    )
    whip_allow_origins: str = Field(
        "*",
        description="Origins of web pages that may publish by WHIP, comma separated; the session token protects it.",
    )

    policy_dir: Path = Field(
        PACKAGED_POLICIES, description="Folder of policies: standard.toml is the policy `standard`."
    )
    ice_servers: str = Field("", description="STUN and TURN URLs told to WHIP clients, comma separated.")
    turn_username: str = Field("", description="User name for the turn: and turns: URLs of ice_servers.")
    turn_password: SecretStr = Field(SecretStr(""), description="Password for the same.")

    max_body_bytes: int = Field(
        64 * 1024, ge=1024, description="Largest request body, pictures and WHIP (128 KiB by design) apart."
    )
    body_timeout_s: float = Field(10.0, gt=0, description="How long a request body may take to arrive.")
    max_picture_bytes: int = Field(10_000_000, ge=1024, description="Largest picture that may be sent in.")
    picture_timeout_s: float = Field(60.0, gt=0, description="How long a body with pictures may take to arrive.")
    max_uploads: int = Field(8, ge=1, description="Bodies with pictures taken at once; above it, new ones get 503.")
    max_connections: int = Field(2000, ge=1, description="Connections held at once; above it, answers are 503.")
    max_listed: int = Field(20_000, ge=1, description="Sessions kept in the list; above it, the oldest ended ones go.")
    max_watchers: int = Field(500, ge=1, description="Live feeds served at once; above it, new ones get 503.")
    watcher_events: int = Field(256, ge=1, description="Events a feed may lag behind before it is cut.")
    keepalive_s: float = Field(15.0, gt=0, description="A silent feed says that it lives this often.")
    cut_grace_s: float = Field(1.0, ge=0, description="How long a slow feed has to take the notice that it is cut.")
    offer_timeout_s: float = Field(10.0, gt=0, description="How long an ingest node may take to answer an SDP offer.")
    bus_timeout_s: float = Field(5.0, gt=0, description="How long a request waits for NATS before it gets 503.")
    settle_timeout_s: float = Field(2.0, ge=0, description="How long ending a session waits for its state to say so.")
    drain_s: float = Field(5.0, gt=0, description="How long requests may finish after SIGTERM; feeds end at once.")

    @property
    def loopback(self) -> bool:
        """Whether `host` is this machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def listed(text: str) -> tuple[str, ...]:
    """Items of a comma-separated setting."""
    return tuple(item.strip() for item in text.split(",") if item.strip())
