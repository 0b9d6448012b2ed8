"""Decisions from an Open Policy Agent (https://www.openpolicyagent.org); needs the extra `opa`."""

from policykit.opa.breaker import BreakerState
from policykit.opa.client import Opa
from policykit.opa.errors import (
    CircuitOpen,
    Failed,
    Malformed,
    NotAuthorised,
    NotBoolean,
    NotTrusted,
    OpaError,
    Redirected,
    TimedOut,
    TooLarge,
    Unavailable,
    Undefined,
    Unreachable,
    UnusableInput,
)
from policykit.opa.settings import OpaSettings

__all__ = [
    "BreakerState",
    "CircuitOpen",
    "Failed",
    "Malformed",
    "NotAuthorised",
    "NotBoolean",
    "NotTrusted",
    "Opa",
    "OpaError",
    "OpaSettings",
    "Redirected",
    "TimedOut",
    "TooLarge",
    "Unavailable",
    "Undefined",
    "Unreachable",
    "UnusableInput",
]
