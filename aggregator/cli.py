"""`candor replay`: prove a session's state from its log, or see what another policy would have said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from aggregator.replay import ReplayResult, replay
from aggregator.risk.compare import Difference, Verdict
from proto.errors import BadInput
from proto.policy import MAX_POLICY_BYTES
from proto.views import LedgerLine
from runtime.bus import Bus
from runtime.settings import RuntimeSettings

SAME, DIFFERENT = 0, 1


def replay_command(
    session: Annotated[str, typer.Argument(help="Session id.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="TOML file of another policy to judge the same log by.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
    nats_url: Annotated[
        str, typer.Option("--nats", help="NATS server; left out: CANDOR_NATS_URL.", show_default=False)
    ] = "",
) -> None:
    """Fold a session's log again: the same policy must give the same state hash, another one shows what differs.

    Exit code 1: the hash differs from the stored one.

    Examples:

        candor replay 4kQ2f0

        candor replay 4kQ2f0 --policy deploy/policies/eu-recruitment.toml
    """
    raise typer.Exit(asyncio.run(run(session, policy, as_json=as_json, nats_url=nats_url)))


async def run(session: str, policy: Path | None, *, as_json: bool = False, nats_url: str = "") -> int:
    """Replay and print; returns the exit code.

    Raises:
        BadInput: the policy file cannot be read.
        CandorError: whatever `replay` raises.
    """
    settings = RuntimeSettings.load(**({"nats_url": nats_url} if nats_url else {}))
    text = None if policy is None else _read(policy)
    async with await Bus.connect(settings, "replay") as bus:
        result = await replay(bus, session, text)
    typer.echo(msgspec.json.encode(result).decode() if as_json else "\n".join(describe(result)))
    return DIFFERENT if result.matches is False else SAME


def describe(result: ReplayResult) -> list[str]:
    """The result in lines for a person."""
    lines = [f"session {result.session}: {result.observations} observations, up to log sequence {result.seq}"]
    lines.append(f"state hash  {result.then.state_hash}")
    if result.matches is None:
        lines.append("There is no stored snapshot to compare with.")
    elif result.matches:
        lines.append("Same as the stored snapshot: the log explains this state completely.")
    else:
        lines.append(f"snapshot    {result.snapshot_hash}")
        lines.append("DIFFERENT: the stored state is not what the log and this version of Candor give.")
    lines.append(_verdict("policy", result.then))
    if result.now is not None:
        lines.append(_verdict("under ", result.now))
        lines += [_difference(difference) for difference in result.differences]
        if not result.differences:
            lines.append("  No ledger line differs.")
    return lines


def _verdict(word: str, verdict: Verdict) -> str:
    review = "review recommended" if verdict.review_recommended else "no review recommended"
    return (
        f"{word} {verdict.policy} ({verdict.policy_hash}): score {verdict.score:.1f}, {verdict.level}, "
        f"highest {verdict.peak_score:.1f}, {verdict.lines} ledger lines, {review}"
    )


def _difference(difference: Difference) -> str:
    then, now = difference.then, difference.now
    if then is None and now is not None:
        return f"  + {_line(now)}"
    if now is None and then is not None:
        return f"  - {_line(then)}"
    assert then is not None
    assert now is not None
    return f"  ~ {_line(then)}\n    {_line(now)}"


def _line(line: LedgerLine) -> str:
    return f"{line.t_s:8.1f} s  {line.rule:<22} +{line.weight:g} (halves every {line.half_life_s:g} s)  {line.why}"


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_POLICY_BYTES:
            raise BadInput(f"is larger than {MAX_POLICY_BYTES} bytes", field=str(path))
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read: {error}", field=str(path)) from error
