"""Policy documents as values: what a policy file means, with the place of everything that can be at fault.

`policykit.policy` builds these from YAML; `policykit.compile` reads them and never sees YAML. The algebra of
matchers and of actions is closed: a pass over it is a `match` that ends in `assert_never`.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

from policykit.diagnostics import Diagnostic, Place
from policykit.ir.regex import Regex


class Mode(StrEnum):
    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class OnMatch(StrEnum):
    """``avoid``: the text cannot be generated. ``stop``: it is found, the message is shown instead."""

    AVOID = "avoid"
    STOP = "stop"


class Within(StrEnum):
    """Which text a matcher reads. ``auto`` is the JSON strings under a JSON grammar and the whole text elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON_STRINGS = "json.strings"


class Join(StrEnum):
    """Whether a match may run across the string elements of one JSON array, as if joined by a space."""

    NONE = "none"
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class RegexSource:
    source: str
    regex: Regex
    place: Place


@dataclass(frozen=True, slots=True)
class Context:
    """Text that must stand directly beside a match, at most ``within`` characters of the view away."""

    regex: Regex
    source: str
    within: int
    place: Place


@dataclass(frozen=True, slots=True)
class Reading:
    """How a matcher looks at text: the views (any of them may match), the part of the text, joined arrays."""

    views: tuple[str, ...] = ("compat",)
    within: Within = Within.AUTO
    join: Join = Join.NONE


@dataclass(frozen=True, slots=True)
class Phrases:
    """Any of the phrases, at word boundaries where a phrase begins or ends with a word character.

    Unless ``exact``, a space or separator in a phrase matches any run of separators (white space, dashes,
    underscores, markdown marks) in the text.
    """

    phrases: tuple[Phrase, ...]
    exact: bool
    before: Context | None
    after: Context | None
    reading: Reading
    place: Place


@dataclass(frozen=True, slots=True)
class Regexes:
    """Any of the expressions, anywhere in the text."""

    regexes: tuple[RegexSource, ...]
    before: Context | None
    after: Context | None
    reading: Reading
    place: Place


@dataclass(frozen=True, slots=True)
class AnyOf:
    items: "tuple[Matcher, ...]"


@dataclass(frozen=True, slots=True)
class AllOf:
    items: "tuple[Matcher, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """Finds something where ``item`` finds nothing in the whole text."""

    item: "Matcher"


Matcher: TypeAlias = Phrases | Regexes | AnyOf | AllOf | Not


@dataclass(frozen=True, slots=True)
class Block:
    message: str | None
    code: str | None
    on_match: OnMatch


@dataclass(frozen=True, slots=True)
class Mask:
    """Replace each match by a template; ``{type}`` is the rule's label and ``{n}`` counts distinct values from 1."""

    template: str
    label: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace each match by a fixed text."""

    text: str


Action: TypeAlias = Block | Mask | Replace


@dataclass(frozen=True, slots=True)
class Scope:
    """When a document or rule applies; an empty tuple means everywhere. Entries are globs."""

    profiles: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effective:
    """From the start of ``since`` (inclusive) to the start of ``until`` (exclusive), in UTC."""

    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    severity: str
    cost: float
    mode: Mode
    scope: Scope
    matcher: Matcher
    action: Action
    why: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Given:
    output: str
    profile: str | None = None
    tenant: str | None = None
    locale: str | None = None
    jurisdiction: str | None = None
    at: date | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What the verdict must be; None leaves a part unchecked."""

    decision: str
    rules: tuple[str, ...] | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class TestCase:
    __test__ = False  # not a pytest class

    name: str
    given: Given
    expect: Expect
    place: Place


@dataclass(frozen=True, slots=True)
class Document:
    """One policy file. ``canonical`` is its content as canonical JSON: it loads to an equal document, and its
    digest ignores comments, key order and formatting."""

    name: str
    version: str
    owner: str
    why: str
    scope: Scope
    effective: Effective
    rules: tuple[Rule, ...]
    tests: tuple[TestCase, ...]
    canonical: str
    place: Place


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Documents that are compiled together; names are unique."""

    documents: tuple[Document, ...]
    warnings: tuple[Diagnostic, ...] = ()
