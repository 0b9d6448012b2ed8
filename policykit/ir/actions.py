"""What a rule does when it fires: a closed algebra, part of :mod:`policykit.ir.document`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class OnMatch(StrEnum):
    """``avoid``: the text cannot be generated. ``stop``: it is found, the message is shown instead."""

    AVOID = "avoid"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Block:
    message: str | None
    code: str | None
    on_match: OnMatch


@dataclass(frozen=True, slots=True)
class Mask:
    """Replace each match by a template; ``{type}`` is the rule's label and ``{n}`` counts distinct values from 1.

    ``vault`` names the vault that keeps the values of a reversible mask; ``{n}`` is then a number of that vault.
    Entities bring their own labels, unless ``own_label``: the author wrote this one.
    """

    template: str
    label: str
    vault: str | None = None
    own_label: bool = False


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace each match by a fixed text."""

    text: str


@dataclass(frozen=True, slots=True)
class Hash:
    """Replace each match by a template; ``{hash}`` is the value's HMAC-SHA-256 under the key named ``key``, as
    ``length`` characters of ``encoding`` (`hex` or `base32`), ``{type}`` the rule's label, or as in :class:`Mask`."""

    key: str
    length: int
    encoding: str
    template: str
    label: str
    own_label: bool = False


@dataclass(frozen=True, slots=True)
class Redact:
    """Replace the values of JSON fields by ``text``, or take the fields out where it is None.

    A field is a path by names (`customer.ssn`; `*` is any one name, `**` any number of them) or a JSON pointer
    (RFC 6901, `/customer/ssn`).
    """

    fields: tuple[str, ...]
    text: str | None


@dataclass(frozen=True, slots=True)
class Append:
    """Put a text after the output, unless it stands there."""

    text: str


@dataclass(frozen=True, slots=True)
class Prepend:
    """Put a text before the output, unless it stands there."""

    text: str


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut the output to ``limit`` units (`characters`, which are code points, or `words`), ``mark`` included.
    Texts that rules append or prepend do not count."""

    limit: int
    unit: str
    mark: str


SpanTransform: TypeAlias = Mask | Replace | Hash
"""Replaces what the matcher finds."""
WholeTransform: TypeAlias = Redact | Append | Prepend | Truncate
"""Changes the output as a whole, whatever the matcher finds in it."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Hold back for a person. ``bind_to`` says what an approval is good for: the exact arguments (`args`) or the
    exact text (`text`); ``ttl`` is how long it is, in seconds."""

    queue: str
    bind_to: str
    ttl: int
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """Under ``default: block``: a text, as a whole, that the match admits; a call for which the condition holds."""


Action: TypeAlias = Block | Escalate | SpanTransform | WholeTransform | Allow
