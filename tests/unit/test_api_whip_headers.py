"""Headers of WHIP as arithmetic: Accept, entity tags, resources, ICE servers."""

from __future__ import annotations

from typing import cast

import pytest
from pydantic import SecretStr

from api.auth import Keys
from api.sessions import Sessions
from api.settings import ApiSettings
from api.whip import Whip, accepts_sdp, entity_tag, parse_resource
from proto.errors import NotFound
from runtime.bus import Bus


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/sdp", "text/html, APPLICATION/SDP;q=0.5", "text/html,*/*;q=0.1"]
)
def test_an_answer_in_sdp_is_accepted(accept: str) -> None:
    assert accepts_sdp(accept)


@pytest.mark.parametrize("accept", ["text/html", "application/json, text/*", "application/sdp;q=0", "*/*; q=0.00"])
def test_an_answer_in_sdp_is_not_accepted(accept: str) -> None:
    assert not accepts_sdp(accept)


@pytest.mark.parametrize(("header", "tag"), [('"ab:c"', "ab:c"), ('W/"ab"', "ab"), ("*", "*"), ("ab", "ab"), ("", "")])
def test_entity_tag(header: str, tag: str) -> None:
    assert entity_tag(header) == tag


def test_a_resource_names_node_and_peer() -> None:
    assert parse_resource("node-1.peer_2") == ("node-1", "peer_2")


@pytest.mark.parametrize("resource", ["", "node", "node.", ".peer", "a.b.c", "a.>", "*.b", "a b.c", "a." + "x" * 65])
def test_what_could_not_be_a_resource_is_not_there(resource: str) -> None:
    with pytest.raises(NotFound):
        parse_resource(resource)


def links(**more: object) -> list[str]:
    settings = ApiSettings(**more)  # type: ignore[arg-type]
    return Whip(settings, cast("Bus", None), Keys(), cast("Sessions", None)).ice_links()


def test_no_ice_servers_no_links() -> None:
    assert links() == []


def test_turn_has_its_credential_and_stun_has_none() -> None:
    given = "stun:stun.example.net, turn:turn.example.net?transport=udp,turns:turn.example.net"
    found = links(ice_servers=given, turn_username='us"er', turn_password=SecretStr("se\\cret"))
    credential = 'username="us\\"er"; credential="se\\\\cret"; credential-type="password"'
    assert found == [
        '<stun:stun.example.net>; rel="ice-server"',
        f'<turn:turn.example.net?transport=udp>; rel="ice-server"; {credential}',
        f'<turns:turn.example.net>; rel="ice-server"; {credential}',
    ]
