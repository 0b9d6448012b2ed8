"""What can go wrong between a question and a decision. Each is a type of its own, and none of them is an answer."""

from typing import ClassVar

from policykit.ir.decision import NoAnswer


class OpaError(NoAnswer):
    """OPA gave no decision. ``may_retry``: asking again can help; ``is_outage``: OPA may be down, which is what the
    circuit breaker counts."""

    may_retry: ClassVar[bool] = False
    is_outage: ClassVar[bool] = False


class Unreachable(OpaError):
    """No connection, or one that broke off before the answer was complete."""

    may_retry = is_outage = True


class TimedOut(OpaError):
    """No complete answer within the time for one attempt, or within the deadline."""

    may_retry = is_outage = True


class Unavailable(OpaError):
    """OPA or a proxy before it says that it cannot answer now (status 429, 502, 503, 504)."""

    may_retry = is_outage = True


class CircuitOpen(OpaError):
    """OPA was down a moment ago and is not asked."""


class NotTrusted(OpaError):
    """The server's certificate is not trusted."""


class NotAuthorised(OpaError):
    """OPA does not accept the token (status 401, 403)."""


class Redirected(OpaError):
    """The address answers with another address. Facts and token are not sent there."""


class Failed(OpaError):
    """OPA answered with another error."""


class TooLarge(OpaError):
    """The answer has more bytes than are read."""


class Malformed(OpaError):
    """The answer is not what OPA's Data API gives."""


class Undefined(OpaError):
    """The document that was asked for is undefined, for this input or at all."""


class NotBoolean(OpaError):
    """The decision is neither true nor false."""


class UnusableInput(OpaError):
    """The facts cannot be sent: they are no JSON."""
