"""What was found in a session: ledger, timeline, transcript, report."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api import answers, examples
from api.auth import Right
from api.models import Ledger, Timeline, Transcript
from api.parts import Documented, Needs, SessionId, Uses, base_url
from api.reported import Report

MAX_SEGMENTS = 1000

router = APIRouter(prefix="/v1/sessions/{session}", tags=["findings"], dependencies=[Depends(Needs(Right.READ))])


@router.get(
    "/ledger",
    summary="Every change of the score",
    responses=answers.described(Ledger, examples.LEDGER, refusals=(401, 403, 404, 503)),
)
async def ledger(session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """The score is the decayed sum of these lines, capped at 100, and nothing else."""
    view = await parts.sessions.view(session)
    return answers.json(
        Ledger(
            session=session,
            seq=view.seq,
            clock_s=view.clock_s,
            score=view.score,
            ledger=view.ledger,
            dropped=view.ledger_dropped,
        )
    )


@router.get(
    "/timeline",
    summary="Stretches of the session",
    responses=answers.described(Timeline, examples.TIMELINE, refusals=(401, 403, 404, 503)),
)
async def timeline(session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """What held from when to when, "could not tell" included."""
    view = await parts.sessions.view(session)
    return answers.json(
        Timeline(session=session, seq=view.seq, clock_s=view.clock_s, timeline=view.timeline, active=view.active)
    )


@router.get(
    "/transcript",
    summary="What was said",
    responses=answers.described(Transcript, examples.TRANSCRIPT, refusals=(401, 403, 404, 422, 503)),
)
async def transcript(
    session: SessionId,
    parts: Uses,
    _doc: Documented,
    from_s: Annotated[float, Query(ge=0, description="Only what ends at this session second or later.")] = 0.0,
    after_seq: Annotated[int, Query(ge=0, le=2**62, description="`next_after_seq` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_SEGMENTS, description="Segments at most.")] = 200,
) -> Response:
    """Committed words with their times and probabilities, and joined as text. They never change again."""
    page = await parts.findings.transcript(session, from_s=from_s, after_seq=after_seq, limit=limit)
    return answers.json(page)


@router.get(
    "/report",
    summary="Report for a person",
    responses=answers.described(Report, examples.REPORT, refusals=(401, 403, 404, 503)),
)
async def report(request: Request, session: SessionId, parts: Uses, _doc: Documented) -> Response:
    """Everything found, in words and figures, each claim with the observation it rests on."""
    return answers.json(await parts.findings.report(session, base_url(parts, request)))
