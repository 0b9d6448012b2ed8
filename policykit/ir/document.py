"""Policy documents as values: what a policy file means, with the place of everything that can be at fault.

`policykit.policy` builds these from YAML; `policykit.compile` reads them and never sees YAML. The algebra of
matchers and of actions is closed: a pass over it is a `match` that ends in `assert_never`.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias, assert_never

from policykit.diagnostics import Diagnostic, Place
from policykit.ir.actions import (
    Action as Action,
    Allow as Allow,
    Append as Append,
    Block as Block,
    Escalate as Escalate,
    Hash as Hash,
    Mask as Mask,
    OnMatch as OnMatch,
    Prepend as Prepend,
    Redact as Redact,
    Replace as Replace,
    SpanTransform as SpanTransform,
    Truncate as Truncate,
    WholeTransform as WholeTransform,
)
from policykit.ir.chains import (
    Chain as Chain,
    Chains as Chains,
    Gap as Gap,
    Link as Link,
    Measure as Measure,
    Uncited as Uncited,
    Unit as Unit,
)
from policykit.ir.citations import Mark
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.ir.reading import (
    Context as Context,
    Join as Join,
    Phrase as Phrase,
    Reading as Reading,
    RegexSource as RegexSource,
    Within as Within,
)


class Mode(StrEnum):
    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class Target(StrEnum):
    """What a rule judges. `json` is the model's output read as JSON."""

    OUTPUT = "output"
    INPUT = "input"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    RETRIEVED = "retrieved"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Phrases:
    """Any of the phrases, at word boundaries where a phrase begins or ends with a word character.

    Unless ``exact``, a space or separator in a phrase matches any run of separators (white space, dashes,
    underscores, markdown marks) in the text. ``squeeze``: their letters may also be set apart, and their words run
    together.
    """

    phrases: tuple[Phrase, ...]
    exact: bool
    before: Context | None
    after: Context | None
    reading: Reading
    place: Place
    squeeze: bool = False


@dataclass(frozen=True, slots=True)
class Regexes:
    """Any of the expressions, anywhere in the text."""

    regexes: tuple[RegexSource, ...]
    before: Context | None
    after: Context | None
    reading: Reading
    place: Place


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of identifier, by the name of its type. ``context`` says whether words for it must stand near (None: as
    the type says). ``region`` and ``pattern`` are read by the types that have them. ``strict``: the mask may forbid
    everything of its form, valid or not."""

    type: str
    place: Place
    region: str | None = None
    pattern: RegexSource | None = None
    context: bool | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Entities:
    """Any of the entities, anywhere in the text, where its validator passes."""

    entities: tuple[Entity, ...]
    reading: Reading
    place: Place


@dataclass(frozen=True, slots=True)
class Tally:
    """Where entities are found ``at_least`` so often in the whole text (all JSON strings and numbers together), as
    stretches that do not overlap. ``distinct``: with so many different values, as their validators read them."""

    item: Entities
    at_least: int
    distinct: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Sources:
    """Where one of the ``marks`` has an id that is none of those in the request's ``fact``, a list of texts."""

    mark: Mark
    marks: Regexes
    fact: str
    place: Place

    @property
    def name(self) -> str:
        return f"a source that `{self.fact}` does not list"


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


Searched: TypeAlias = Phrases | Regexes | Chains
"""What automata alone find."""
Leaf: TypeAlias = Searched | Entities
"""What reads text by itself."""
Pattern: TypeAlias = Phrase | RegexSource | Chain
Matcher: TypeAlias = Leaf | Tally | Sources | Predicate | Classifier | Language | AnyOf | AllOf | Not


def patterns(leaf: Searched) -> tuple[Pattern, ...]:
    """What a leaf looks for, any of it, as its automata number it."""
    match leaf:
        case Phrases(phrases):
            return phrases
        case Regexes(regexes):
            return regexes
        case Chains(chains):
            return chains
        case _:
            assert_never(leaf)


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
class Expression:
    """A condition over facts in CEL syntax (https://github.com/google/cel-spec, the subset that is documented)."""

    source: str
    place: Place


@dataclass(frozen=True, slots=True)
class Rego:
    """A decision of an Open Policy Agent, by its reference, such as `data.refunds.allow`; with ``with_text`` the agent
    is sent the text too."""

    reference: str
    with_text: bool
    place: Place


Condition: TypeAlias = Expression | Rego


@dataclass(frozen=True, slots=True)
class Approvals:
    """Demands that ``count`` people approve, who hold ``role`` and differ in ``distinct_by``; not the requester
    where ``not_requester``."""

    role: str
    count: int
    distinct_by: str
    not_requester: bool
    place: Place


@dataclass(frozen=True, slots=True)
class RuleException:
    """Where the rule does not hold: while ``when`` is true (always if None), until the start of ``expires``."""

    id: str
    when: Condition | None
    approved_by: str
    reason: str
    expires: date | None
    place: Place


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires where ``matcher`` finds something, ``when`` is true and the demanded ``approvals`` are not there; a part
    that is None does not narrow. ``tools`` are globs of tool names."""

    id: str
    severity: str
    cost: float
    mode: Mode
    scope: Scope
    matcher: Matcher | None
    action: Action
    why: str | None
    place: Place
    target: Target = Target.OUTPUT
    tools: tuple[str, ...] = ()
    when: Condition | None = None
    approvals: Approvals | None = None
    exceptions: tuple[RuleException, ...] = ()


@dataclass(frozen=True, slots=True)
class GivenApproval:
    user: str
    role: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StatedScore:
    """The probability that a classifier would give a label."""

    model: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Given:
    """What is judged and its circumstances. ``facts`` is a JSON object as text; ``decisions`` is what an Open Policy
    Agent would say, by reference, ``scores`` what classifiers would."""

    text: str
    target: Target = Target.OUTPUT
    tool: str | None = None
    facts: str = "{}"
    approvals: tuple[GivenApproval, ...] = ()
    decisions: tuple[tuple[str, bool], ...] = ()
    scores: tuple[StatedScore, ...] = ()
    profile: str | None = None
    tenant: str | None = None
    locale: str | None = None
    jurisdiction: str | None = None
    at: date | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What the verdict must be; None leaves a part unchecked. ``errors`` are the rules that cannot be decided; where it
    is None, none may be. ``golden`` is a file that holds the output; its path is
    relative to the folder of the file that the test stands in."""

    decision: str
    rules: tuple[str, ...] | None = None
    output: str | None = None
    exceptions: tuple[str, ...] | None = None
    golden: str | None = None
    errors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Variants:
    """In which other forms a test must come out the same: ``evasion`` for every spelling that the rule's views claim,
    ``chunking`` for every way of streaming the text in two parts, and by the character."""

    evasion: bool = False
    chunking: bool = False


@dataclass(frozen=True, slots=True)
class TestCase:
    __test__ = False  # not a pytest class

    name: str
    given: Given
    expect: Expect
    place: Place
    variants: Variants = Variants()


@dataclass(frozen=True, slots=True)
class Document:
    """One policy file. ``canonical`` is its content as canonical JSON: it loads to an equal document, and its
    digest ignores comments, key order and formatting. ``tests`` are also those of the file beside it, which are no part
    of the content. ``blocks_by_default``: what no allow rule admits is blocked, for
    the targets that its allow rules name. ``facts_schema`` is the facts' JSON Schema as JSON text."""

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
    blocks_by_default: bool = False
    facts_schema: str | None = None


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Documents that are compiled together; names are unique."""

    documents: tuple[Document, ...]
    warnings: tuple[Diagnostic, ...] = ()
