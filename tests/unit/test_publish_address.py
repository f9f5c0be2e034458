"""The session that a WHIP URL names, whatever it asks for besides."""

from __future__ import annotations

import pytest

from deploy.publish import session_in


@pytest.mark.parametrize(
    "url",
    [
        "https://candor.example/v1/whip/4kQ2f0",
        "https://candor.example/v1/whip/4kQ2f0/",
        "http://127.0.0.1:8000/v1/whip/4kQ2f0?role=interviewer",
        "https://candor.example/live/v1/whip/4kQ2f0/?role=interviewer",
    ],
)
def test_the_session_of_a_whip_url(url: str) -> None:
    assert session_in(url) == "4kQ2f0"
