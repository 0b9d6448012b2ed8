"""Grammars as values, independent of the engine that masks them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from policykit.diagnostics import Place, PolicyError
from policykit.ir.lark import TokenName, token_names
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Residue, Rows
from policykit.ir.regex import Regex


class GrammarKind(StrEnum):
    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    LARK = "lark"
    PLAIN_LARK = "plain_lark"
    CHOICES = "choices"
    GBNF = "gbnf"
    EBNF = "ebnf"
    STRUCTURAL_TAG = "structural_tag"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A lexeme: a regular language over code points (raw view)."""

    name: str
    regex: Regex
    place: Place


@dataclass(frozen=True, slots=True)
class Symbol:
    """A reference to a terminal (`is_terminal`) or to a nonterminal by name."""

    name: str
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class Production:
    head: str
    body: tuple[Symbol, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Cfg:
    """A context-free grammar over terminals; repetition operators are already expanded into productions."""

    start: str
    productions: tuple[Production, ...]
    terminals: tuple[Terminal, ...]


@dataclass(frozen=True, slots=True)
class FixedText:
    """An enum member, a const or a property name that generation can be forced to write. ``text`` is the decoded
    string. ``required`` says whether the schema cannot be satisfied without it."""

    pointer: str
    text: str
    role: str  # `enum` | `const` | `key`
    required: bool


@dataclass(frozen=True, slots=True)
class StringSite:
    """A place in a JSON Schema that writes strings under a restriction (pattern, format, length).

    ``regex`` is the decoded content's language where it is known and regular, else None. Where ``pattern`` is known,
    the language is what it has of ``least`` to ``most`` characters.
    """

    pointer: str
    regex: Regex | None
    why: str
    pattern: Regex | None = None
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class JsonSites:
    """Everything in a JSON Schema that meets the policies on string contents."""

    fixed: tuple[FixedText, ...]
    strings: tuple[StringSite, ...]


GrammarShape: TypeAlias = Cfg | JsonSites | None
"""What is known of the language for the analysis of liveness; None: opaque."""


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """A grammar that the masking engine accepts, with what was weakened on the way.

    ``source`` is what the author wrote (canonical JSON for a schema), ``lowered`` is what llguidance compiles
    (its own serialised grammar). ``is_json`` is True where the output is one JSON value. Who enforces what, and the
    shape, are worked out when they are asked for: a mask is made without them.
    """

    kind: GrammarKind
    source: str
    lowered: str
    is_json: bool
    rows: Later[Rows]
    outline: Later[GrammarShape]
    place: Place

    @property
    def enforcements(self) -> tuple[Enforcement, ...]:
        return self.rows().enforcements

    @property
    def residue(self) -> tuple[Residue, ...]:
        """What only the verifier checks."""
        return self.rows().residue

    @property
    def shape(self) -> GrammarShape:
        return self.outline()

    @property
    def tokens(self) -> tuple[TokenName, ...]:
        """The tokens that it names, which every vocabulary has others of: no text says whether it belongs to it."""
        return token_names(self.source) if self.kind is GrammarKind.LARK else ()

    def check_names_no_token(self, why: str) -> None:
        """Raises PolicyError (PK218) at the first token that it names: ``why`` says who reads texts."""
        for name in self.tokens[:1]:
            message = f"the grammar names `{name.text}`, and {why} read texts, which do not show a token"
            help = "write what is to be read as a text, or use the grammar without rules, for a mask alone"
            raise PolicyError.of("PK218", message, self.place_in(name.at, len(name.text)), help)

    def place_in(self, at: int, length: int) -> Place:
        """Where so many characters of the source stand, behind the first ``at``."""
        line, begun = self.source.count("\n", 0, at), self.source.rfind("\n", 0, at) + 1
        column = at - begun + 1 + (self.place.column - 1 if not line else 0)
        return Place(self.place.file, self.place.line + line, column, self.place.line + line, column + length)
