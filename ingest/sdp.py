"""Reading what a WHIP publisher sends: SDP offers (RFC 9725) and trickle ICE fragments (RFC 8840). Pure.

Nothing here raises: what cannot be accepted becomes a `Declined` with the HTTP status and a sentence for the caller.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import pairwise

from proto.signalling import MAX_SDP_BYTES, Declined

MAX_CANDIDATES = 64
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_LINE = re.compile(r"[a-z]=.*")
_MEDIA = re.compile(r"m=([a-z]+) (\d{1,5}) (\S+) (\S.*)")
_FINGERPRINT = re.compile(r"sha-(256|384|512) [0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+", re.IGNORECASE)
_SETUP = ("actpass", "active", "passive")
_DIRECTIONS = ("sendonly", "sendrecv", "recvonly", "inactive")
_DROPPED = ("a=candidate:", "a=end-of-candidates", "a=remote-candidates:", "c=", "a=rtcp:", "b=", "k=")
"""Lines the connection does not need: candidates are added one by one, addresses come from ICE."""


@dataclass(frozen=True, slots=True)
class RemoteCandidate:
    """A candidate that may work: UDP, at an address that can be reached or a `.local` name still to be resolved."""

    foundation: str
    priority: int
    host: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class CheckedOffer:
    """An offer worth trying. `sdp` is it without its candidates; `ended` says that no more of them will come.

    `audio` and `video` say what is sent: a section that is `inactive` is not.
    """

    sdp: str
    ufrag: str
    pwd: str
    audio: bool
    video: bool
    candidates: tuple[RemoteCandidate, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle fragment. `ufrag` and `pwd` are "" where it names none."""

    ufrag: str
    pwd: str
    candidates: tuple[RemoteCandidate, ...]
    ended: bool


def check_offer(text: str) -> CheckedOffer | Declined:
    """Whether an offer can be answered: one audio and one video at most, bundled, over DTLS-SRTP, and one of them sent.

    A section may be `inactive`: so a publisher offers a device that it does not have, or may not use.
    """
    if len(text.encode("utf-8", "replace")) > MAX_SDP_BYTES:
        return _malformed(f"the offer is larger than {MAX_SDP_BYTES} bytes")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "v=0":
        return _malformed("an SDP offer begins with v=0")
    broken = next((line for line in lines if not _LINE.fullmatch(line)), None)
    if broken is not None:
        return _malformed("every line of an SDP offer is a letter, '=' and a value")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    common = lines[: starts[0]] if starts else lines
    sections = [lines[start:end] for start, end in pairwise([*starts, len(lines)])]
    refused = _check_kinds(sections) or _check_bundle(common, sections)
    if refused is None:
        refused = next((r for section in sections if (r := _check_section(common, section))), None)
    if refused is not None:
        return refused
    kinds = [_kind(section) for section in sections if _direction(common, section) != "inactive"]
    if not kinds:
        return _refused("neither audio nor video is sent (one must be a=sendonly)")
    return CheckedOffer(
        sdp="\r\n".join(line for line in lines if not line.startswith(_DROPPED)) + "\r\n",
        ufrag=_attribute("ice-ufrag", sections[0], common) or "",
        pwd=_attribute("ice-pwd", sections[0], common) or "",
        audio="audio" in kinds,
        video="video" in kinds,
        candidates=_candidates(lines),
        ended=any(line == "a=end-of-candidates" for line in lines),
    )


def parse_fragment(text: str) -> Fragment | Declined:
    """Candidates and credentials of a trickle ICE fragment; candidates that cannot work are left out."""
    if len(text.encode("utf-8", "replace")) > MAX_SDP_BYTES:
        return _malformed(f"the fragment is larger than {MAX_SDP_BYTES} bytes")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not all(_LINE.fullmatch(line) for line in lines):
        return _malformed("every line of a trickle ICE fragment is a letter, '=' and a value")
    return Fragment(
        ufrag=_attribute("ice-ufrag", lines) or "",
        pwd=_attribute("ice-pwd", lines) or "",
        candidates=_candidates(lines),
        ended=any(line == "a=end-of-candidates" for line in lines),
    )


def parse_candidate(value: str) -> RemoteCandidate | None:
    """A candidate from the text after `a=candidate:` (RFC 8839, 5.1), or None where it cannot work."""
    bits = value.split()
    if len(bits) < 8 or bits[1] != "1" or bits[2].lower() != "udp" or bits[6] != "typ":
        return None
    if bits[7] not in ("host", "srflx", "relay") or not bits[3].isdecimal() or not bits[5].isdecimal():
        return None
    host, port, priority = bits[4], int(bits[5]), int(bits[3])
    if not 0 < port < 65536 or priority >= 1 << 32 or len(host) > 255 or not _reachable(host):
        return None
    return RemoteCandidate(bits[0][:32], priority, host, port, bits[7])


def _reachable(host: str) -> bool:
    if host.endswith(".local"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # A link-local IPv6 address means nothing without its interface, which a candidate does not carry.
    link_local = address.version == 6 and address.is_link_local
    return not (address.is_multicast or address.is_unspecified or link_local)


def _candidates(lines: list[str]) -> tuple[RemoteCandidate, ...]:
    prefix = "a=candidate:"
    # The same transport address in every bundled section is one candidate.
    found = {
        (candidate.host, candidate.port): candidate
        for line in lines
        if line.startswith(prefix) and (candidate := parse_candidate(line[len(prefix) :])) is not None
    }
    return tuple(found.values())[:MAX_CANDIDATES]


def _check_kinds(sections: list[list[str]]) -> Declined | None:
    if not sections:
        return _refused("the offer has no audio and no video")
    if any(_MEDIA.fullmatch(section[0]) is None for section in sections):
        return _malformed("an m= line is a kind, a port, a protocol and formats")
    kinds = [_kind(section) for section in sections]
    if any(kind not in ("audio", "video") for kind in kinds):
        return _refused("only audio and video can be sent")
    if len(set(kinds)) != len(kinds):
        return _refused("at most one audio and one video track can be sent")
    return None


def _check_bundle(common: list[str], sections: list[list[str]]) -> Declined | None:
    mids = [_attribute("mid", section) for section in sections]
    if any(not mid for mid in mids) or len(set(mids)) != len(mids):
        return _malformed("every m= section needs an a=mid of its own")
    bundles = [line.split()[1:] for line in common if line.startswith("a=group:BUNDLE")]
    if any(set(bundle) - set(mids) for bundle in bundles):
        return _malformed("a=group:BUNDLE names a section that is not there")
    if len(sections) > 1 and (len(bundles) != 1 or set(bundles[0]) != set(mids)):
        return _refused("audio and video must share one transport (a=group:BUNDLE)")
    return None


def _check_section(common: list[str], section: list[str]) -> Declined | None:
    if not _UFRAG.fullmatch(_attribute("ice-ufrag", section, common) or ""):
        return _malformed("a=ice-ufrag must be 4 to 256 ICE characters")
    if not _PWD.fullmatch(_attribute("ice-pwd", section, common) or ""):
        return _malformed("a=ice-pwd must be 22 to 256 ICE characters")
    prints = [line[14:] for line in (*common, *section) if line.startswith("a=fingerprint:")]
    if not any(_FINGERPRINT.fullmatch(value) for value in prints):
        return _malformed("a=fingerprint must name a SHA-256, SHA-384 or SHA-512 digest")
    if _attribute("setup", section, common) not in _SETUP:
        return _malformed("a=setup must be actpass, active or passive")
    return _check_transport(common, section)


def _check_transport(common: list[str], section: list[str]) -> Declined | None:
    media = _MEDIA.fullmatch(section[0])
    assert media is not None
    kind = media[1]
    if not media[3].startswith("UDP/TLS/RTP/"):
        return _refused(f"{kind} must be sent over DTLS-SRTP (UDP/TLS/RTP/SAVPF)")
    if "a=rtcp-mux" not in section:
        return _refused("RTP and RTCP must share a port (a=rtcp-mux)")
    if media[2] == "0" or _direction(common, section) == "recvonly":
        return _refused(f"{kind} is offered but not sent (it must be a=sendonly)")
    return None


def _direction(common: list[str], section: list[str]) -> str:
    """The section's direction, or that of the whole session, or what no word of it means (RFC 8866, 6.7)."""
    own = [line[2:] for line in (*common, *section) if line[2:] in _DIRECTIONS]
    return own[-1] if own else "sendrecv"


def _attribute(name: str, *places: list[str]) -> str | None:
    """Value of the first `a=name:` in the first place that has one."""
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for place in places for line in place if line.startswith(prefix)), None)


def _kind(section: list[str]) -> str:
    return section[0][2:].split(" ", 1)[0]


def _malformed(detail: str) -> Declined:
    return Declined(status=400, detail=detail)


def _refused(detail: str) -> Declined:
    return Declined(status=406, detail=detail)
