"""Refusals: every answer that is not the model's, in the shape of OpenAI's errors, with a stable name."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

INVALID = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
NOT_FOUND = "not_found_error"
RATE = "rate_limit_error"
SERVER = "server_error"

GRAMMAR_REFUSED, MASK_FAILED = "policykit_grammar_refused", "policykit_mask_failed"
"""Codes of masks that are not there, or not any more: of several choices each fails for itself."""

_TYPES = {401: AUTHENTICATION, 403: PERMISSION, 404: NOT_FOUND, 405: INVALID, 429: RATE}


@dataclass(frozen=True, slots=True)
class FieldRefusal:
    """A field of a request that is not let through. ``param`` is its path (`messages[0].name`), ``why`` one sentence
    that says what to do instead."""

    param: str
    why: str


class Refused(Exception):
    """A request that gets an error and nothing else. ``status`` is the HTTP status, ``code`` a stable name for clients
    (`policykit_…`), ``param`` the field that is at fault."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers: Mapping[str, str] = headers or {}

    def body(self) -> dict[str, object]:
        """The error as OpenAI's clients read it."""
        kind = _TYPES.get(self.status, SERVER if self.status >= 500 else INVALID)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def of_fields(refusals: Iterable[FieldRefusal]) -> Refused:
    """One error for all fields that are refused; ``param`` is the first."""
    found = list(refusals)
    message = "; ".join(f"`{refusal.param}`: {refusal.why}" for refusal in found)
    return Refused(400, "policykit_field_refused", message, param=found[0].param)


class UpstreamFault(Exception):
    """The model's server did not give a usable answer. ``code`` is a stable name, ``status`` what the client gets,
    ``param`` the field that the server named."""

    def __init__(self, code: str, message: str, status: int = 502, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.param = code, message, status, param

    def refused(self) -> Refused:
        return Refused(self.status, self.code, self.message, param=self.param)
