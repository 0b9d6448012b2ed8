"""What compiling decides: for every rule and every grammar keyword, where it is enforced and why."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from policykit.diagnostics import Place
from policykit.ir.document import Action, Approvals, Condition, Matcher, Mode, RuleException, Target


class Level(StrEnum):
    """Where something is enforced, strongest first."""

    DECODE = "decode"
    STREAM = "stream"
    OUTPUT = "output"
    OBSERVE = "observe"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Enforcement:
    """One row of the plan. ``subject`` is `rule`, `grammar` or `tool`; ``name``: `document#rule`, JSON pointer or
    terminal, or the tool's."""

    subject: str
    name: str
    level: Level
    why: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Residue:
    """A grammar keyword that the mask does not carry in full; the verifier checks it. ``pointer`` is RFC 6901."""

    pointer: str
    keyword: str
    why: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Who enforces what: a row for each rule and keyword, and what the mask of a grammar leaves to the verifier."""

    enforcements: tuple[Enforcement, ...]
    residue: tuple[Residue, ...] = ()


@dataclass(frozen=True, slots=True)
class CompileContext:
    """The request context that a plan is compiled for. ``at`` is the day on which it is compiled (UTC)."""

    profile: str | None = None
    tenant: str | None = None
    locale: str | None = None
    jurisdiction: str | None = None
    at: date = date.max


@dataclass(frozen=True, slots=True)
class ResolvedRule:
    """A rule that applies in the context, with `auto` reading resolved. ``name`` is `document#rule`.

    ``when`` and ``exceptions`` are those that the context did not decide; ``facts_schema`` is the document's.
    A rule with ``admits`` stands for `default: block`: it fires where none of those allow rules does.
    """

    name: str
    rule_id: str
    document: str
    severity: str
    cost: float
    mode: Mode
    level: Level
    matcher: Matcher | None
    action: Action
    place: Place
    target: Target = Target.OUTPUT
    tools: tuple[str, ...] = ()
    when: Condition | None = None
    approvals: Approvals | None = None
    exceptions: tuple[RuleException, ...] = ()
    facts_schema: str | None = None
    document_place: Place | None = None
    admits: "tuple[ResolvedRule, ...] | None" = None


class LivenessKind(StrEnum):
    """How it is known that every masked prefix can be finished (design: no dead ends)."""

    ESCAPE = "proved: escape"  # free text: one continuation frees every rule from every state
    RESETS = "proved: resets"  # rules reset at terminal boundaries, every terminal stays productive
    PRODUCT = "proved: product"  # grammar x automaton, trimmed to productive items
    ADMITTED = "proved: admitted"  # allow rules and blocks together, trimmed to what leads to an end
    BOUNDED = "bounded"  # searched at run time, n bytes ahead


@dataclass(frozen=True, slots=True)
class Liveness:
    """``resets``: what is not proved lies inside single JSON strings, at whose end every rule starts anew.
    ``escape``: a text that frees every rule, but for the ``fragile`` automata, from every state; tokens that lead
    those to where it does not are examined one by one. Where the automata ``together`` leave no way to an end the text
    may not come, though each of them leaves one. In the first ``covered_chars`` of a string, tokens are examined only
    where a rule holds on to the text (it cannot end, or the escape does not free it)."""

    kind: LivenessKind
    why: str
    horizon_bytes: int | None = None
    resets: bool = False
    escape: str | None = None
    fragile: tuple[int, ...] = ()
    covered_chars: int = -1
    together: tuple[int, ...] = ()
