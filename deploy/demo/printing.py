"""What the demo prints: the script as it goes, the script beside what was detected, and the final report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.demo.compare import Comparison, Finding, Heard
from proto.observations import Word
from proto.views import LedgerLine, Level

MEASURES_SHOWN = 10


class _Measure(msgspec.Struct, frozen=True):
    name: str
    text: str


class _Missing(msgspec.Struct, frozen=True):
    text: str
    command: str


class _Rule(msgspec.Struct, frozen=True):
    rule: str
    state: Literal["watched", "off", "not_measured"]


class _Uncertainty(msgspec.Struct, frozen=True):
    text: str
    signals: tuple[str, ...]


class _Segment(msgspec.Struct, frozen=True):
    words: tuple[Word, ...]


class Report(msgspec.Struct, frozen=True):
    """The parts of the api's report that are printed."""

    summary: str
    recommendation: str
    score: float
    peak_score: float
    level: Level
    could_not_tell: _Uncertainty
    measures: tuple[_Measure, ...]
    speaking: tuple[_Measure, ...]
    voices_text: str
    unavailable: tuple[_Missing, ...]
    rules: tuple[_Rule, ...]
    transcript: tuple[_Segment, ...]
    transcript_text: str


def print_comparison(console: Console, comparison: Comparison, offset_s: float) -> None:
    """A line for each act; what was missed, and what nobody had in the script, is said plainly."""
    table = Table(title="The script beside what was detected", title_justify="left", title_style="bold")
    for heading, justify in (("from", "right"), ("the candidate", "left"), ("Candor said", "left"), ("after", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for finding in comparison.findings:
        delay = "" if finding.delay_s is None else f"{finding.delay_s:.1f} s"
        table.add_row(f"{finding.act.start_s + offset_s:.1f} s", finding.act.words, _said(finding, offset_s), delay)
    console.print(table)
    for entry in comparison.unexpected:
        console.print(Text(f"not in the script: {entry.rule} at {entry.t_s:.1f} s: {entry.why}", style="yellow"))
    missed = [finding.act.expect for finding in comparison.findings if finding.missed]
    if missed:
        console.print(Text(f"missed: {', '.join(name for name in missed if name)}", style="bold yellow"))
    elif not comparison.unexpected:
        console.print(Text("everything in the script was detected, and nothing else", style="green"))


def _said(finding: Finding, offset_s: float) -> Text:
    if finding.act.expect is None:
        return Text("nothing, as it should be" if finding.said_s is None else "", style="dim")
    if finding.said_s is None:
        return Text(f"MISSED: {finding.act.expect}", style="bold yellow")
    said = f"{finding.act.expect} at {finding.said_s + offset_s:.1f} s"
    besides = f" (and {', '.join(finding.besides)})" if finding.besides else ""
    return Text.assemble((said, "green"), (besides, "dim"))


def print_heard(console: Console, heard: Sequence[Heard]) -> None:
    """What was spoken beside what was transcribed."""
    table = Table(title="Spoken and transcribed", title_justify="left", title_style="bold")
    table.add_column("spoken")
    table.add_column("transcribed")
    for each in heard:
        same = each.text.lower().split() == each.line.text.split()
        table.add_row(each.line.text, Text(each.text or "nothing", style="green" if same else "yellow"))
    console.print(table)


def print_report(console: Console, report: Report, ledger: Sequence[LedgerLine]) -> None:
    """The report as a person reads it, and the ledger whose sum is the score."""
    console.rule(Text("Final report", style="bold"), align="left")
    console.print(report.summary)
    console.print(
        f"Risk {int(report.score)} of 100 ({report.level}); at most {int(report.peak_score)} during the session."
    )
    console.print(report.recommendation)
    console.print(report.could_not_tell.text)
    for signal in report.could_not_tell.signals:
        console.print(Text.assemble(("  · ", "dim"), signal))
    if ledger:
        table = Table("at", "points", "rule", "why")
        for entry in ledger:
            table.add_row(f"{entry.t_s:.1f} s", f"{entry.weight:+.0f}", entry.rule, entry.why)
        console.print(table)
    for measure in report.measures[:MEASURES_SHOWN]:
        console.print(Text.assemble(("  · ", "dim"), measure.text))
    for line in (*(way.text for way in report.speaking), report.voices_text):
        console.print(Text.assemble(("  · ", "dim"), line))
    unmeasured = [each.rule for each in report.rules if each.state == "not_measured"]
    if unmeasured:
        console.print(Text(f"Not measured, so neither seen nor excluded: {', '.join(unmeasured)}", style="magenta"))
    for missing in report.unavailable:
        console.print(Text(missing.text, style="magenta"))
    if report.transcript_text:
        console.print(Text.assemble("Transcript: ", (report.transcript_text, "italic")))
