"""Checks of single texts: names, versions, globs, phrases, expressions and templates."""

import re
from typing import assert_never

from policykit.automata.regex_syntax import parse
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.policy.checked import Leaf, RegexLeaf
from policykit.policy.nodes import Scalar
from policykit.policy.shapes import TextKind
from policykit.text import is_separator

# Words of lower-case letters and digits, joined by single marks.
_WORDS = "[a-z0-9]+([-_.][a-z0-9]+)*"
NAME = re.compile(f"{_WORDS}(/{_WORDS})*")
ID = re.compile(_WORDS)
EXCEPTION_ID = re.compile("[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*")
LABEL = re.compile("[A-Za-z][A-Za-z0-9_]*")
# https://semver.org, version 2.0.0; the patch number may be left out.
VERSION = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)
# Names joined by dots, `*` for any one name, `**` for any number of them; or a JSON pointer (RFC 6901, section 3). What
# means something in other languages of paths (`/a/*`, `$.a`, `a[0]`) would be names here that no value has.
FIELD = re.compile(
    r"(/(?!\*{1,2}(/|$))([^~/]|~[01])*)+|(?!\$(\.|$))(\*\*\.)?([^./*\s\[\]]+|\*)(\.(\*\*\.)?([^./*\s\[\]]+|\*))*"
)
REGO = re.compile(r"data(\.[A-Za-z_][A-Za-z0-9_]*)+")
GLOB = re.compile(r"[^?\[\]{}!\\\s]+")
DURATION = re.compile("[1-9][0-9]{0,5}[smhd]")
DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
MAX_NAME = 200
_PLACEHOLDER = re.compile(r"\{[^{}]*\}?|\}")

PATTERNS = {
    TextKind.NAME: (NAME, "lower-case words, joined by `-`, `_`, `.` or `/`: `finance/retail-advice`"),
    TextKind.ID: (ID, "lower-case words, joined by `-`, `_` or `.`: `no-guarantees`"),
    TextKind.LABEL: (LABEL, "letters, digits and `_`: `ACCOUNT`"),
    TextKind.VERSION: (VERSION, "a semantic version: `1.4.0`"),
    TextKind.LABEL_ID: (EXCEPTION_ID, "words, joined by `-`, `_` or `.`: `EX-17`"),
    TextKind.FIELD: (
        FIELD,
        "names joined by dots (`*` is any one: `items.*.iban`), or a JSON pointer: `/customer/ssn`",
    ),
}


def read_text(node: Scalar, kind: TextKind, name: str, diagnostics: list[Diagnostic]) -> Leaf | RegexLeaf | None:
    """The text if it is what its kind asks for, else None and a diagnostic."""
    if kind is TextKind.REGEX and node.text:
        return _regex(node, diagnostics)
    found = _complaint(node.text, kind, name)
    if found is None and kind is TextKind.CONDITION:
        return Leaf(node.text, node.content)  # its errors point inside
    if found is None:
        return Leaf(node.text, node.place)
    code, message, help = found
    diagnostics.append(Diagnostic(code, message, node.place, help))
    return None


def _complaint(text: str, kind: TextKind, name: str) -> tuple[str, str, str] | None:
    match kind:
        case TextKind.ANY:
            return None
        case TextKind.PLAIN | TextKind.REGEX | TextKind.CONDITION | TextKind.PATH:
            return None if text.strip() else ("PK029", f"`{name}` is empty", "give it a text, or remove the field")
        case TextKind.NAME | TextKind.ID | TextKind.LABEL | TextKind.VERSION | TextKind.FIELD | TextKind.LABEL_ID:
            pattern, help = PATTERNS[kind]
            fits = len(text) <= MAX_NAME and pattern.fullmatch(text)
            return None if fits else ("PK025", f"`{text[:MAX_NAME]}` is not a valid {name}", f"use {help}")
        case TextKind.REGO:
            return _rego(text)
        case TextKind.GLOB:
            help = "use letters, digits, marks and `*`, which stands for any text"
            return None if GLOB.fullmatch(text) else ("PK055", f"`{text}` is no glob", help)
        case TextKind.PHRASE:
            return _phrase(text)
        case TextKind.TEMPLATE:
            return _template(text, "{n}")
        case TextKind.HASH_TEMPLATE:
            return _template(text, "{hash}")
        case _:
            assert_never(kind)


def _phrase(text: str) -> tuple[str, str, str] | None:
    if not text:
        return "PK054", "the phrase is empty", "remove it"
    if all(is_separator[ord(char)] for char in text):
        return "PK054", f"the phrase `{text}` is nothing but separators", "to look for marks, use `regex`"
    return None


def _rego(text: str) -> tuple[str, str, str] | None:
    if len(text) <= MAX_NAME and REGO.fullmatch(text):
        return None
    help = "write the rule's full name, `data.package.rule`, and put anything else into the Rego policy"
    if text != "data" and REGO.fullmatch(f"data.{text}"):
        help = f"did you mean `data.{text}`?"
    return "PK160", f"`{text[:MAX_NAME]}` is no reference to a Rego rule", help


def _template(text: str, counter: str) -> tuple[str, str, str] | None:
    if not text.strip():
        return "PK029", "the mask's text is empty", 'to delete what was found, use `replace: {with: ""}`'
    unknown = [found[0] for found in _PLACEHOLDER.finditer(text) if found[0] not in ("{type}", counter)]
    if unknown:
        return "PK057", f"unknown placeholder `{unknown[0]}`", f"the placeholders are `{{type}}` and `{counter}`"
    return None


def _regex(node: Scalar, diagnostics: list[Diagnostic]) -> RegexLeaf | None:
    try:
        return RegexLeaf(node.text, parse(node.text, node.content), node.place)
    except PolicyError as error:
        diagnostics.extend(error.diagnostics)
        return None
