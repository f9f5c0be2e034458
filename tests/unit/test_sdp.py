"""What offers and trickle fragments are taken for; nothing raises."""

from __future__ import annotations

import random

import pytest

from ingest.sdp import MAX_CANDIDATES, CheckedOffer, Fragment, check_offer, parse_candidate, parse_fragment
from proto.signalling import MAX_SDP_BYTES, Declined

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
HEAD = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
AUDIO = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "c=IN IP4 0.0.0.0",
    "a=rtcp:9 IN IP4 0.0.0.0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789abcdefghijklmn",
    f"a=fingerprint:{FINGERPRINT}",
    "a=setup:actpass",
    "a=mid:0",
    "a=sendonly",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "a=candidate:1 1 udp 2122260223 192.0.2.7 50001 typ host generation 0",
]
VIDEO = [
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    *(line for line in AUDIO[1:7]),
    "a=mid:1",
    "a=sendonly",
    "a=rtcp-mux",
    "a=rtpmap:96 VP8/90000",
    "a=candidate:1 1 udp 2122260223 192.0.2.7 50001 typ host generation 0",
    "a=candidate:2 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
    "a=end-of-candidates",
]
GOOD = [*HEAD, *AUDIO, *VIDEO]


def text(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


def status(lines: list[str]) -> int:
    result = check_offer(text(lines))
    assert isinstance(result, Declined), result
    assert result.detail
    return result.status


def without(fragment: str, lines: list[str] = GOOD) -> list[str]:
    return [line for line in lines if fragment not in line]


def swapped(old: str, new: str) -> list[str]:
    assert any(old in line for line in GOOD)
    return [line.replace(old, new) for line in GOOD]


def test_good_offer() -> None:
    offer = check_offer(text(GOOD))
    assert isinstance(offer, CheckedOffer)
    assert (offer.audio, offer.video, offer.ufrag, offer.pwd) == (True, True, "abcd", "0123456789abcdefghijklmn")
    assert [(c.host, c.port, c.kind) for c in offer.candidates] == [("192.0.2.7", 50001, "host")]
    assert offer.ended
    assert "candidate" not in offer.sdp


@pytest.mark.parametrize(("section", "sent"), [(AUDIO, (False, True)), (VIDEO, (True, False))])
def test_an_inactive_section_is_not_sent_and_the_other_is_taken(section: list[str], sent: tuple[bool, bool]) -> None:
    audio, video = (
        [line.replace("a=sendonly", "a=inactive") if part is section else line for line in part]
        for part in (AUDIO, VIDEO)
    )
    offer = check_offer(text([*HEAD, *audio, *video]))
    assert isinstance(offer, CheckedOffer)
    assert (offer.audio, offer.video) == sent


def test_newlines_alone_will_do() -> None:
    assert isinstance(check_offer("\n".join(GOOD)), CheckedOffer)


def test_one_track_needs_no_bundle() -> None:
    assert isinstance(check_offer(text([*HEAD[:4], *VIDEO])), CheckedOffer)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["hello"],
        ["v=1", *GOOD[1:]],
        [*GOOD, "no equals sign"],
        swapped("m=audio 9", "m=audio nine"),
        without("ice-ufrag"),
        without("ice-pwd"),
        swapped("a=ice-ufrag:abcd", "a=ice-ufrag:ab"),
        swapped("a=ice-pwd:0123456789abcdefghijklmn", "a=ice-pwd:short"),
        without("fingerprint"),
        swapped("sha-256", "md5"),
        swapped("a=setup:actpass", "a=setup:holdconn"),
        without("a=mid"),
        swapped("a=mid:1", "a=mid:0"),
        [*HEAD, *VIDEO],
    ],
)
def test_malformed(lines: list[str]) -> None:
    assert status(lines) == 400


@pytest.mark.parametrize(
    "lines",
    [
        HEAD,
        [*GOOD, *[line.replace("a=mid:1", "a=mid:2") for line in VIDEO]],
        [*GOOD, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:2"],
        swapped("a=sendonly", "a=recvonly"),
        swapped("a=sendonly", "a=inactive"),
        swapped("m=audio 9", "m=audio 0"),
        without("rtcp-mux"),
        without("a=group"),
        swapped("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
    ],
)
def test_not_acceptable(lines: list[str]) -> None:
    assert status(lines) == 406


def test_too_large() -> None:
    assert status([*GOOD, "a=x:" + "y" * MAX_SDP_BYTES]) == 400
    fragment = parse_fragment("a=x:" + "y" * MAX_SDP_BYTES)
    assert isinstance(fragment, Declined)


def test_direction_of_the_session_holds_for_sections_without() -> None:
    lines = [line for line in GOOD if line != "a=sendonly"]
    assert isinstance(check_offer(text(lines)), CheckedOffer)
    assert status([*HEAD, "a=recvonly", *lines[len(HEAD) :]]) == 406


@pytest.mark.parametrize(
    "value",
    [
        "1 1 udp 2122260223 192.0.2.7 50001 typ host",
        "1 1 UDP 1 2001:db8::7 50001 typ srflx raddr :: rport 9",
        "1 1 udp 5 198.51.100.1 3478 typ relay raddr 0.0.0.0 rport 0",
        "1 1 udp 5 1b2c3d4e-0000-4000-8000-000000000000.local 50001 typ host",
        "1 1 udp 5 127.0.0.1 50001 typ host",
    ],
)
def test_usable_candidates(value: str) -> None:
    assert parse_candidate(value) is not None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "garbage",
        "1 1 udp",
        "1 2 udp 5 192.0.2.7 50001 typ host",
        "1 1 tcp 5 192.0.2.7 9 typ host tcptype active",
        "1 1 udp 5 fe80::1 50001 typ host",
        "1 1 udp 5 224.0.0.1 50001 typ host",
        "1 1 udp 5 0.0.0.0 50001 typ host",
        "1 1 udp 5 192.0.2.7 0 typ host",
        "1 1 udp 5 192.0.2.7 70000 typ host",
        "1 1 udp 5 192.0.2.7 -1 typ host",
        "1 1 udp 5 example.org 50001 typ host",
        "1 1 udp 5 192.0.2.7 50001 typ prflx",
        "1 1 udp x 192.0.2.7 50001 typ host",
        "1 1 udp 99999999999999 192.0.2.7 50001 typ host",
        "1 1 udp \u0661 192.0.2.7 50001 typ host",
    ],
)
def test_unusable_candidates(value: str) -> None:
    candidate = parse_candidate(value)
    assert candidate is None or candidate.priority == 1


def test_candidates_are_bounded() -> None:
    many = [f"a=candidate:1 1 udp 5 192.0.2.7 {port} typ host" for port in range(1000, 2000)]
    fragment = parse_fragment(text(many))
    assert isinstance(fragment, Fragment)
    assert len(fragment.candidates) == MAX_CANDIDATES


def test_fragment_of_rfc_8840() -> None:
    fragment = parse_fragment(
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n"
        "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2\r\n"
        "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n"
        "a=end-of-candidates\r\n"
    )
    assert isinstance(fragment, Fragment)
    assert (fragment.ufrag, fragment.pwd, fragment.ended) == ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1", True)
    assert [c.port for c in fragment.candidates] == [61764, 61765]


@pytest.mark.parametrize("body", ["", "\r\n", "hello there", "a=candidate:x\r\nbroken"])
def test_broken_fragment(body: str) -> None:
    result = parse_fragment(body)
    assert isinstance(result, Declined)
    assert result.status == 400


@pytest.mark.parametrize("seed", range(200))
def test_fuzzed_offers_never_raise(seed: int) -> None:
    chance = random.Random(seed)
    lines = list(GOOD)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(lines))
        action = chance.choice(["drop", "double", "cut", "noise", "swap"])
        if action == "drop" and len(lines) > 1:
            del lines[at]
        elif action == "double":
            lines.insert(at, lines[at])
        elif action == "cut":
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
        elif action == "noise":
            noise = "".join(chr(chance.choice([0, 32, 58, 61, 127, 233, 0x1F600])) for _ in range(3))
            lines[at] = lines[at][:3] + noise + lines[at][3:]
        else:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
    assert isinstance(check_offer(text(lines)), CheckedOffer | Declined)
    assert isinstance(parse_fragment(text(lines)), Fragment | Declined)
