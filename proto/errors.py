"""Every error Candor raises on purpose.

    CandorError
    ├── BadInput                 the caller's data is wrong; retrying the same data cannot help
    │   ├── BadMessage           bytes from the bus that do not decode
    │   ├── BadPolicy            a policy that does not parse or contradicts itself
    │   └── BadSettings          configuration that does not parse
    ├── Refused                  the request is understood and declined
    │   ├── NotFound             no such session, file, model
    │   ├── Conflict             somebody else changed it first
    │   └── Full                 no room now (retryable)
    ├── Unavailable              something we need does not answer (retryable)
    │   ├── BusUnavailable       NATS is away or did not acknowledge in time
    │   └── DecoderBehind        a session's media cannot be decoded as fast as it arrives
    └── FeatureMissing           a model or key is absent; the rest works without it

`retryable` says whether the same call may succeed later.
"""

from __future__ import annotations


class CandorError(Exception):
    """Root of the tree. `str(error)` is fit to be shown to an operator."""

    retryable = False


class BadInput(CandorError):
    """The caller's data is wrong. `field` names the part at fault, where one can be named."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class BadMessage(BadInput):
    """Bytes from the bus that do not decode. Keeps them, so that nothing is lost."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class BadPolicy(BadInput):
    """A policy that does not parse or contradicts itself."""


class BadSettings(BadInput):
    """Configuration that does not parse."""


class Refused(CandorError):
    """The request is understood and declined."""


class NotFound(Refused):
    """No such session, file or model."""


class Conflict(Refused):
    """Somebody else changed it first: read again before writing."""


class Full(Refused):
    """No room now."""

    retryable = True


class Unavailable(CandorError):
    """Something we need does not answer."""

    retryable = True


class BusUnavailable(Unavailable):
    """NATS is away, or did not acknowledge in time."""


class DecoderBehind(Unavailable):
    """A session's media cannot be decoded as fast as it arrives."""


class FeatureMissing(CandorError):
    """A model or key is absent. `command` is what an operator runs to get it."""

    def __init__(self, feature: str, reason: str, command: str = "") -> None:
        super().__init__(f"{feature}: {reason}" + (f" (run: {command})" if command else ""))
        self.feature = feature
        self.reason = reason
        self.command = command
