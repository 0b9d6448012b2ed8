"""Tokens in texts: `[IBAN_k7Q2m5_1]` is the label, the vault's nonce and the number of a value.

The nonce tells this vault's tokens from those of others and from what people write; letters and digits take turns in
it, so that it never reads as a number or a word.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from policykit.vault.errors import UnusableTemplate

DEFAULT_TEMPLATE = "[{type}_{n}]"
_LETTERS = "bcdfghjkmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ"
_DIGITS = "23456789"
_KIND = re.compile("[A-Za-z][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\{type\}|\{n\}")
SPELLED_IN_JSON = re.compile('["\\\\\x00-\x1f]')


@dataclass(frozen=True, slots=True)
class Written:
    """A token's text, and where in it the nonce begins."""

    text: str
    at: int


def new_nonce() -> str:
    """Six characters at random: about 25 bits."""
    return "".join(secrets.choice(_LETTERS) + secrets.choice(_DIGITS) for _ in range(3))


def template_complaint(template: str) -> str | None:
    """Why the tokens of a template could not be found again in every text, or None."""
    filled = template.replace("{type}", "T").replace("{n}", "0")
    if template.count("{n}") != 1:
        return "the text must have `{n}` once, or its marks cannot be told apart"
    if any(char.isalnum() or char == "_" for char in (filled[0], filled[-1])):
        return "a reversible mask must begin and end with a mark, or it runs into the words beside it"
    if SPELLED_IN_JSON.search(template):
        return "the text cannot hold quotes, backslashes or control characters, which JSON spells otherwise"
    return None


def check_template(template: str, kind: str) -> None:
    """Raises UnusableTemplate (PK199)."""
    complaint = template_complaint(template)
    if complaint is None and not _KIND.fullmatch(kind):
        complaint = f"the kind `{kind}` is not made of letters, digits and `_`"
    if complaint:
        raise UnusableTemplate.because(complaint, f"such as `{DEFAULT_TEMPLATE}`")


def write(template: str, kind: str, nonce: str, number: int) -> Written:
    """The token for a number."""
    before = template[: template.index("{n}")].replace("{type}", kind)
    values = {"{type}": kind, "{n}": f"{nonce}_{number}"}
    return Written(_PLACEHOLDER.sub(lambda found: values[found[0]], template), len(before))


def numbers_in(text: str, nonce: str) -> Iterator[tuple[int, int]]:
    """Everything in a text that could be a number of the vault: where it begins, and the number."""
    for found in re.finditer(f"{nonce}_([1-9][0-9]{{0,17}})(?![0-9])", text):
        yield found.start(), int(found[1])
