"""How long a server waits for its clients."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from policykit.diagnostics import PolicyError

VARIABLES = {"head_s": "POLICYKIT_HEAD_TIMEOUT", "body_s": "POLICYKIT_BODY_TIMEOUT", "read_s": "POLICYKIT_READ_TIMEOUT"}
"""Environment variables by what they say, in seconds."""
MAX_HEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds. ``head_s``: from the first byte of a request (or from the connection) to the end of its header;
    ``body_s``: from there to the end of its body; ``read_s``: how long a client may leave an answer unread while more
    of it is to be sent. Each is for the whole of it, however the bytes are spread."""

    head_s: float = 10.0
    body_s: float = 30.0
    read_s: float = 60.0

    def variables(self) -> dict[str, str]:
        """The environment that says the same."""
        return {VARIABLES[field.name]: f"{getattr(self, field.name):g}" for field in fields(self)}

    @staticmethod
    def read(variables: Mapping[str, str]) -> "Waits":
        """Raises PolicyError (PK680) for what is no number of seconds above zero."""
        given = {
            name: _seconds(variable, variables[variable])
            for name, variable in VARIABLES.items()
            if variables.get(variable)
        }
        return Waits(**given)


def _seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise PolicyError.of("PK680", f"`{name}` is `{text}`", help="give a number of seconds above zero")
    return found
