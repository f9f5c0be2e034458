"""Replay: fold a session's log again, under its own policy to prove the state, or under another to compare."""

from __future__ import annotations

import msgspec

from aggregator import history
from aggregator.history import Judge
from aggregator.risk import state as states
from aggregator.risk.compare import Difference, Verdict, differences, verdict
from proto import codec, policy, subjects
from proto.errors import NotFound
from proto.views import Snapshot
from runtime.bus import Bus


class ReplayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says now.

    `matches` says whether the refolded state has the snapshot's hash (None: there is no snapshot to compare with).
    `then` is the session's own policy, `now` the other one, where one was given, and `differences` their ledgers.
    """

    session: str
    seq: int
    observations: int
    snapshot_hash: str | None
    matches: bool | None
    then: Verdict
    now: Verdict | None = None
    differences: tuple[Difference, ...] = ()


async def replay(bus: Bus, session: str, policy_toml: str | None = None) -> ReplayResult:
    """Fold the session's log from its first observation, up to what the snapshot holds.

    Raises:
        NotFound: no such session.
        BadPolicy: `policy_toml` does not parse.
        BadMessage: the snapshot does not decode.
        BusUnavailable: NATS does not answer.
    """
    subjects.check_session(session)
    other = (
        Judge(policy.parse(policy_toml, known_rules_only=True), policy.digest(policy_toml))
        if policy_toml is not None
        else None
    )
    entry = await (await bus.bucket(subjects.KV_SESSIONS)).get(session)
    snapshot = codec.decode(entry.value, Snapshot) if entry is not None else None
    until_seq = snapshot.seq if snapshot is not None else None
    try:
        state, observations = await history.refold(bus, session, None, until_seq)
        changed = None if other is None else (await history.refold(bus, session, None, until_seq, other))[0]
    except history.Orphan as error:
        raise NotFound(f"the log no longer holds the beginning of session {session}") from error
    if state is None:
        raise NotFound(f"no session {session}")
    then = verdict(state, states.state_hash(states.pack(state)))
    now = None if changed is None else verdict(changed, states.state_hash(states.pack(changed)))
    return ReplayResult(
        session=session,
        seq=state.seq,
        observations=observations,
        snapshot_hash=None if snapshot is None else snapshot.state_hash,
        matches=None if snapshot is None else snapshot.state_hash == then.state_hash,
        then=then,
        now=now,
        differences=() if changed is None else differences(state.ledger, changed.ledger),
    )
