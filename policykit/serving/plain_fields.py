"""The fields that a request may have at its top, by route; what they may hold is each route's to say."""

from collections.abc import Mapping

from policykit.serving.errors import FieldRefusal
from policykit.serving.routes import chat, completions, responses

ALLOWED: Mapping[str, frozenset[str]] = {
    "/v1/chat/completions": frozenset(chat.KNOWN),
    "/v1/completions": frozenset(completions.KNOWN),
    "/v1/responses": frozenset(responses.KNOWN),
}


def check_fields(route: str, body: Mapping[str, object]) -> list[FieldRefusal]:
    """Every field that is not let through."""
    return [FieldRefusal(name, "is not supported; leave it out") for name in body if name not in ALLOWED[route]]
