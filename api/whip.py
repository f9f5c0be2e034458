"""WHIP (RFC 9725) between HTTP and the ingest nodes: what is checked here, and what is asked over the bus."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import TypeVar

from api import auth, metrics
from api.auth import Forbidden, Keys, Right, Unauthorized
from api.problems import HttpRefused
from api.sessions import Sessions
from api.settings import ApiSettings, listed
from proto import policy, signalling, subjects
from proto.errors import BadSettings, NotFound
from proto.observations import SessionCreated
from proto.signalling import Answer, Declined, Delete, Done, Offer, OfferReply, Patch, PeerReply, Role
from runtime.bus import Bus, NoResponders

SDP = "application/sdp"
SDPFRAG = "application/trickle-ice-sdpfrag"
RETRY_AFTER_S = 5
PEER_TIMEOUT_S = 5.0

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")

T = TypeVar("T")


class Whip:
    """Signalling for the peers of sessions."""

    def __init__(self, settings: ApiSettings, bus: Bus, keys: Keys, sessions: Sessions) -> None:
        self._settings = settings
        self._bus = bus
        self._keys = keys
        self._sessions = sessions

    async def authorize(self, session: str, credential: str, role: Role = "candidate") -> SessionCreated:
        """The session's record, if the credential may publish to it: its token, or an API key with the right.

        The token is in the candidate's hands. Whoever publishes as the interviewer says whose voice is not the
        candidate's, and a helper's voice could hide behind that: where there are keys, it takes one with the right. An
        open server, which only this machine reaches, has nothing but the token to ask for.

        Raises:
            Unauthorized, Forbidden: it may not.
            NotFound: no such session.
        """
        if not credential:
            raise Unauthorized("publishing needs the session's token as a bearer token")
        record = await self._sessions.record(session)
        if auth.token_matches(credential, record.token_sha256):
            if role == "interviewer" and not self._keys.open:
                raise Forbidden("the session's token publishes the candidate; the interviewer needs an API key")
            return record
        if self._keys.open:
            raise Unauthorized("this is not the token of this session")
        self._keys.check(credential, Right.PUBLISH)
        return record

    async def offer(self, record: SessionCreated, sdp: str, role: Role = "candidate") -> Answer:
        """Ask any ingest node with room for an answer.

        Raises:
            HttpRefused: 400, 406, 410, 422 or 503, each with a sentence for the caller.
        """
        if not sdp.startswith("v=0"):
            raise HttpRefused(400, "the body is not an SDP offer: it does not begin with v=0")
        if await self._sessions.over(record.session):
            raise HttpRefused(410, "this session is over: create a new one")
        offer = Offer(
            session=record.session,
            sdp=sdp,
            created_unix_s=record.created_unix_s,
            analysis=policy.parse(record.policy_toml).analysis,
            role=role,
        )
        try:
            reply: Answer | Declined = await self._asked(
                self._bus.request(subjects.INGEST_OFFER, offer, OfferReply, self._settings.offer_timeout_s),  # type: ignore[arg-type]
                HttpRefused(503, "no ingest node has room now", {"Retry-After": str(RETRY_AFTER_S)}),
            )
        except HttpRefused as refusal:
            metrics.WHIP_OFFERS.labels(str(refusal.status)).inc()
            raise
        metrics.WHIP_OFFERS.labels("201" if isinstance(reply, Answer) else str(reply.status)).inc()
        answer = _accepted(reply)
        if signalling.role_of(answer.peer) != role:
            # The peer never hears the answer, so it never connects, and its place is free again by itself.
            raise HttpRefused(
                503, "this ingest node is older than interviewers' sources: update it", {"Retry-After": "60"}
            )
        return answer

    async def patch(self, session: str, resource: str, sdpfrag: str, if_match: str) -> None:
        """Hand trickled candidates to the peer's node.

        Raises:
            NotFound: the peer is gone.
            HttpRefused: 428 without If-Match; 400, 412, 422 as the node says.
        """
        node, peer = parse_resource(resource)
        if not if_match:
            raise HttpRefused(428, "If-Match must name the ICE session: the ETag of the answer to the offer")
        message = Patch(session=session, sdpfrag=sdpfrag, etag=entity_tag(if_match))
        await self._tell(node, peer, "patch", message)

    async def delete(self, session: str, resource: str) -> None:
        """Close a peer. Raises NotFound if it is gone."""
        node, peer = parse_resource(resource)
        await self._tell(node, peer, "delete", Delete(session=session))

    def ice_links(self) -> list[str]:
        """Link headers that tell STUN and TURN servers (RFC 9725, 4.6)."""
        links = []
        for url in listed(self._settings.ice_servers):
            link = f'<{url}>; rel="ice-server"'
            if url.startswith(("turn:", "turns:")) and self._settings.turn_username:
                username = _quoted(self._settings.turn_username)
                credential = _quoted(self._settings.turn_password.get_secret_value())
                link += f'; username="{username}"; credential="{credential}"; credential-type="password"'
            links.append(link)
        return links

    async def _tell(self, node: str, peer: str, verb: str, message: Patch | Delete) -> None:
        reply: Done | Declined = await self._asked(
            self._bus.request(subjects.ingest_peer(node, peer, verb), message, PeerReply, PEER_TIMEOUT_S),  # type: ignore[arg-type]
            NotFound("this WHIP session is gone"),
        )
        _accepted(reply)

    async def _asked(self, request: Awaitable[T], nobody: Exception) -> T:
        try:
            return await request
        except NoResponders as error:
            raise nobody from error


def check_turn(settings: ApiSettings) -> None:
    """Refuse half of TURN's credentials: browsers do not take an ICE server whose user name or password is empty.

    Raises:
        BadSettings: one is set without the other.
    """
    if bool(settings.turn_username) != bool(settings.turn_password.get_secret_value()):
        raise BadSettings(
            "belong together: set both or neither",
            field="CANDOR_API_TURN_USERNAME and CANDOR_API_TURN_PASSWORD ([api] turn_username, turn_password)",
        )


def _accepted(reply: T | Declined) -> T:
    if isinstance(reply, Declined):
        headers = {"Retry-After": str(reply.retry_after_s or RETRY_AFTER_S)} if reply.status == 503 else {}
        status = reply.status if 400 <= reply.status < 600 else 502
        raise HttpRefused(status, reply.detail, headers)
    return reply


def parse_resource(resource: str) -> tuple[str, str]:
    """Node and peer of a WHIP session URL's last segment. Raises NotFound if it cannot be one of ours."""
    node, dot, peer = resource.partition(".")
    if not (dot and _TOKEN.fullmatch(node) and _TOKEN.fullmatch(peer)):
        raise NotFound("there is no such WHIP session")
    return node, peer


def entity_tag(header: str) -> str:
    """Opaque part of an entity tag (RFC 9110, 8.8.3): without quotes and weakness; `*` stays."""
    return header.strip().removeprefix("W/").strip('"')


def accepts_sdp(accept: str) -> bool:
    """Whether an Accept header lets application/sdp through; an absent one does."""
    if not accept.strip():
        return True
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        refused = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
        if media in (SDP, "application/*", "*/*") and not refused:
            return True
    return False


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
