"""Folding what the log holds of a session: for a replay, and where a snapshot is missing or behind."""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.metrics import UNFOLDABLE
from aggregator.risk import fold
from aggregator.risk.state import State, initial
from proto import codec, policy, subjects
from proto.errors import BadMessage, CandorError, NotFound
from proto.observations import AnyObservation, SessionCreated
from proto.policy import Policy
from runtime.bus import Bus, Delivery
from runtime.log import get_logger

log = get_logger("aggregator")


class Orphan(NotFound):
    """An observation of a session that was never created, or is erased."""


class Unfoldable(CandorError):
    """The fold failed on an observation that decodes: a defect of ours, kept aside with its bytes."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The policy to judge by instead of the session's own, and its hash."""

    policy: Policy
    policy_hash: str


def decode(delivery: Delivery) -> AnyObservation:
    """Observation of a log message.

    Raises:
        BadMessage: it does not decode, or speaks of another session than its subject.
    """
    observation: AnyObservation = codec.decode(delivery.data, AnyObservation)
    if observation.session != subjects.session_of(delivery.subject):
        raise BadMessage("names another session than its subject", delivery.data)
    return observation


def advance(state: State | None, delivery: Delivery, observation: AnyObservation, judge: Judge | None = None) -> State:
    """State after one message of the log; `state` is None before the first.

    Raises:
        Orphan: the first message is not `session.created`.
        BadPolicy: the session's policy does not parse.
        Unfoldable: the fold raised.
    """
    if state is None:
        if not isinstance(observation, SessionCreated):
            raise Orphan(f"{observation.kind} without session.created")
        own = judge or Judge(policy.parse(observation.policy_toml), policy.digest(observation.policy_toml))
        return initial(observation, own.policy, own.policy_hash, delivery.seq)
    # The per-message boundary: one message on which the fold fails must not stop the rest.
    try:
        return fold.apply(state, observation, state.head.policy, delivery.seq, delivery.unix_s)[0]
    except Exception as error:
        UNFOLDABLE.inc()
        log.exception("aggregator.unfoldable", session=observation.session, kind=observation.kind, seq=delivery.seq)
        raise Unfoldable(f"{observation.kind}: {type(error).__name__}") from error


async def refold(
    bus: Bus, session: str, state: State | None, until_seq: int | None, judge: Judge | None = None
) -> tuple[State | None, int]:
    """Fold what the log has of a session after `state`, up to `until_seq`; returns the state and how many were folded.

    Messages that do not decode, or on which the fold fails, are passed over: they are in the dead-letter stream.

    Raises:
        Orphan: the log does not begin with `session.created`.
        BadPolicy: the session's policy does not parse.
        BusUnavailable: the log cannot be read.
    """
    folded = 0
    after = 0 if state is None else state.seq
    async for delivery in bus.read(subjects.LOG, subjects.log_session(session), after + 1, until_seq):
        try:
            state = advance(state, delivery, decode(delivery), judge)
            folded += 1
        except (BadMessage, Unfoldable) as error:
            log.warning("aggregator.passed_over", session=session, seq=delivery.seq, error=type(error).__name__)
    return state, folded
