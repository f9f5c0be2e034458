"""Logs carry the trace and no personal data."""

from __future__ import annotations

import json

import pytest
import structlog

from runtime import log, tracing


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_json_lines_with_service_and_trace(capsys):
    log.configure("ingest", "json")
    with tracing.of({}) as parent:
        log.get_logger("room").info("peer.up", session="s")
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "peer.up"
    assert line["service"] == "ingest"
    assert line["trace"] == parent[3:35]


def test_personal_data_is_cut_unless_asked_for(capsys):
    log.configure("api", "json")
    log.get_logger("room").info("x", pii_label="Jane Doe")
    assert "Jane" not in capsys.readouterr().err
    log.configure("api", "json", show_pii=True)
    log.get_logger("room2").info("x", pii_label="Jane Doe")
    assert "Jane Doe" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_locals(capsys, form):
    log.configure("api", form)
    try:
        spoken = "what the candidate " + "said"
        raise ValueError(len(spoken))
    except ValueError:
        log.get_logger(form).exception("x")
    written = capsys.readouterr().err
    assert "ValueError: 23" in written
    assert "candidate said" not in written


def test_a_trace_goes_on_and_a_malformed_one_does_not():
    parent = tracing.new()
    with tracing.of({"traceparent": parent}) as child:
        assert child[3:35] == parent[3:35]
        assert child != parent
    with tracing.of({"traceparent": "00-zz"}) as fresh:
        assert fresh[3:35] != parent[3:35]
    assert tracing.current() == ""
