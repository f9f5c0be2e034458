"""The interviewer's source beside the candidate's: what is taken of it, and what is refused. Pure.

Of the interviewer only the sound is of use, to tell the candidate's voice from it. Its video is answered `inactive`, so
that none is sent, and what is sent all the same is neither decoded nor kept: somebody who is not judged is not watched.
"""

from __future__ import annotations

from ingest.sdp import CheckedOffer
from proto.observations import INTERVIEWER
from proto.policy import Analysis
from proto.signalling import Declined, Role


def name(role: Role, token: str) -> str:
    """Name of a peer, and so of its source; `token` is hexadecimal. Only the interviewer's begins with INTERVIEWER."""
    return f"{INTERVIEWER}-{token}" if role == "interviewer" else token


def refused(role: Role, checked: CheckedOffer, analysis: Analysis) -> Declined | None:
    """Why an offer that can be answered has nothing that is taken of this role; None if it has."""
    if role != "interviewer":
        return None
    if not analysis.audio:
        return Declined(status=422, detail="this session's policy switches sound off: an interviewer has none to send")
    if not checked.audio:
        return Declined(status=406, detail="of an interviewer only sound is taken, and the offer sends none")
    return None


def sees(role: Role, checked: CheckedOffer) -> bool:
    """Whether this peer's video is taken."""
    return checked.video and role == "candidate"
