"""Serving under profiles: one guard before any OpenAI-compatible server, its own or another."""

from policykit.serving.deployment import Deployment, Serving
from policykit.serving.equipment import Equipment
from policykit.serving.errors import FieldRefusal, Refused, UpstreamFault
from policykit.serving.guard import Guard
from policykit.serving.hooks import (
    About,
    AlwaysOpen,
    AttemptDone,
    Channel,
    Done,
    Observer,
    Outcome,
    Switch,
    SwitchState,
)
from policykit.serving.upstream import Kind, Upstream, UpstreamRequest, UpstreamResponse

__all__ = [
    "About",
    "AlwaysOpen",
    "AttemptDone",
    "Channel",
    "Deployment",
    "Done",
    "Equipment",
    "FieldRefusal",
    "Guard",
    "Kind",
    "Observer",
    "Outcome",
    "Refused",
    "Serving",
    "Switch",
    "SwitchState",
    "Upstream",
    "UpstreamFault",
    "UpstreamRequest",
    "UpstreamResponse",
]
