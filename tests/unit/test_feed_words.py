"""What `candor watch` and the demo say of the events of a feed."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from rich.console import Console

from deploy.client import Event
from deploy.watch import json_line, styled, table
from deploy.words import Line, Reader
from proto.views import Changed, Committed, Deleted, Feature, LedgerLine, Tentative
from tests.support.views import a_view

NO_FACE = LedgerLine(
    seq=7,
    t_s=21.5,
    rule="NO_FACE",
    severity="high",
    weight=20,
    half_life_s=120,
    why="Nobody is in view, for 2.0 s so far.",
)


def snapshot(**fields) -> Event:
    return Event("snapshot", msgspec.json.encode(a_view("s1", **fields)))


def changed(seq: int, **fields) -> Event:
    return Event(
        "changed", msgspec.json.encode(Changed(session="s1", seq=seq, view=a_view("s1", seq=seq, **fields))), str(seq)
    )


def printed(renderable: object) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_ledger_line_is_said_once_however_often_it_comes():
    reader = Reader()
    reader.read(snapshot())
    assert texts(reader.read(changed(8, ledger=(NO_FACE,)))) == ["+20  NO_FACE: Nobody is in view, for 2.0 s so far."]
    assert reader.read(changed(9, ledger=(NO_FACE,))) == []
    assert reader.read(snapshot(ledger=(NO_FACE,))) == []


def test_a_snapshot_tells_what_happened_before_one_came():
    lines = Reader().read(snapshot(ledger=(NO_FACE,)))
    assert [line.t_s for line in lines if line.kind == "score"] == [21.5]


def test_status_and_uncertainty_are_said_when_they_change():
    reader = Reader()
    unclear = {"active": True, "reasons": ["dark"], "total_s": 1.0}
    assert "the session is live" in texts(reader.read(snapshot(status="live")))
    view = json.loads(changed(8, status="live").data)
    view["view"]["could_not_tell"] = unclear
    assert texts(reader.read(Event("changed", json.dumps(view).encode()))) == ["could not tell (dark)"]
    assert texts(reader.read(changed(9, status="live"))) == ["can tell again"]
    assert texts(reader.read(changed(10, status="ended"))) == ["the session is ended"]


def test_a_review_is_asked_for_once():
    reader = Reader()
    reader.read(snapshot())
    assert "a human should look at this session" in texts(reader.read(changed(8, review_recommended=True)))
    assert reader.read(changed(9, review_recommended=True)) == []


def test_tentative_words_wait_for_their_commitment():
    reader = Reader()
    words = Tentative(session="s1", utterance=1, start_s=3.0, text="hello wor")
    assert reader.read(Event("tentative", msgspec.json.encode(words))) == []
    assert reader.tentative["s1"] == "hello wor"
    final = Committed(session="s1", utterance=1, start_s=3.0, end_s=4.0, text=" hello world")
    assert texts(reader.read(Event("committed", msgspec.json.encode(final)))) == ["“hello world”"]
    assert "s1" not in reader.tentative


def test_a_missing_feature_names_the_command_that_fetches_it():
    feature = Feature(name="transcript", available=False, reason="no model", command="candor models pull whisper-tiny")
    lines = texts(Reader().read(snapshot(features=(feature,))))
    assert "without transcript: no model (run: candor models pull whisper-tiny)" in lines


def test_a_lost_feed_is_said_once_and_so_is_its_return():
    reader = Reader()
    reader.read(snapshot())
    assert len(reader.read(Event("lost", b"refused"))) == 1
    assert reader.read(Event("lost", b"refused")) == []
    assert texts(reader.read(snapshot())) == ["the feed is back"]


def test_an_erased_session_leaves_the_table():
    reader = Reader()
    reader.read(snapshot())
    reader.read(Event("deleted", msgspec.json.encode(Deleted(session="s1"))))
    assert reader.rows == {}


def test_an_event_of_a_later_server_is_passed_over():
    assert Reader().read(Event("hologram", b"{}")) == []


def test_the_table_has_the_riskiest_session_first_and_the_ended_ones_last():
    reader = Reader()
    for name, score, status in (("calm", 3.0, "live"), ("over", 90.0, "ended"), ("risky", 60.0, "live")):
        reader.read(Event("snapshot", msgspec.json.encode(a_view(name, label=name, score=score, status=status))))
    text = printed(table(reader))
    assert text.index("risky") < text.index("calm") < text.index("over")


@pytest.mark.parametrize("label", ["[bold]x[/bold]", "[/]"])
def test_a_label_is_text_and_not_markup(label):
    reader = Reader()
    reader.read(Event("snapshot", msgspec.json.encode(a_view("s1", label=label))))
    assert label in printed(table(reader))
    assert label in styled(Line("s1", "notice", "said"), reader.rows["s1"], name=True).plain


def test_json_lines_are_one_object_each():
    line = json_line(Event("changed", b'{"session":"s1"}', "12"))
    assert json.loads(line) == {"event": "changed", "id": "12", "data": {"session": "s1"}}
    assert json.loads(json_line(Event("lost", b"refused")))["data"] == {"reason": "refused"}
