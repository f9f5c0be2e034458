"""What the routers work with, made once per app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from api.auth import Keys, Right, bearer
from api.erasure import Erasure
from api.feed import Hub
from api.findings import Findings
from api.health import Overview
from api.identity import Identities
from api.listing import Listing
from api.notice import Notices
from api.policies import Policies
from api.sessions import Sessions
from api.settings import ApiSettings
from api.whip import Whip
from proto import subjects
from proto.errors import BadInput, NotFound
from runtime.bus import Bus

_scheme = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="An API key with the role ingest, supervise or admin; for WHIP and the notice the session token. "
    "A server without configured keys takes any caller, and listens on loopback only.",
)
Documented = Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)]


@dataclass(frozen=True, slots=True)
class Parts:
    settings: ApiSettings
    bus: Bus
    keys: Keys
    policies: Policies
    sessions: Sessions
    listing: Listing
    hub: Hub
    findings: Findings
    notices: Notices
    erasure: Erasure
    whip: Whip
    identities: Identities
    overview: Overview

    @classmethod
    def of(cls, settings: ApiSettings, bus: Bus, keys: Keys) -> Parts:
        policies = Policies(settings.policy_dir)
        listing = Listing(settings, bus)
        sessions = Sessions(settings, bus, policies)
        return cls(
            settings=settings,
            bus=bus,
            keys=keys,
            policies=policies,
            sessions=sessions,
            listing=listing,
            hub=Hub(settings, bus),
            findings=Findings(bus, sessions),
            notices=Notices(bus.settings.log_retention_days, keys, sessions),
            erasure=Erasure(settings, bus, listing),
            whip=Whip(settings, bus, keys, sessions),
            identities=Identities(settings, bus, keys, sessions),
            overview=Overview(bus),
        )


async def _parts(connection: HTTPConnection) -> Parts:
    parts: Parts = connection.app.state.parts
    return parts


Uses = Annotated[Parts, Depends(_parts)]


async def _checked(session: str) -> str:
    # An id that could not be one of ours is simply not there.
    try:
        return subjects.check_session(session)
    except BadInput as error:
        raise NotFound("there is no session of this id") from error


SessionId = Annotated[str, Depends(_checked)]


class Needs:
    """Dependency that lets only callers with this right through."""

    def __init__(self, right: Right) -> None:
        self._right = right

    async def __call__(self, connection: HTTPConnection, parts: Uses) -> None:
        parts.keys.check(bearer(connection.headers.get("authorization", "")), self._right)


class NeedsFeed:
    """The same for feeds, whose clients in browsers cannot set headers: `?access_token=` will do."""

    async def __call__(
        self,
        connection: HTTPConnection,
        parts: Uses,
        access_token: Annotated[
            str, Query(max_length=512, description="API key, for clients that cannot set the Authorization header.")
        ] = "",
    ) -> None:
        parts.keys.check(bearer(connection.headers.get("authorization", "")) or access_token, Right.READ)


def base_url(parts: Parts, connection: HTTPConnection) -> str:
    """URL of this server as its callers see it, without a final slash."""
    return (parts.settings.public_url or str(connection.base_url)).rstrip("/")
