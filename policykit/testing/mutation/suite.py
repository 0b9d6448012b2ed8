"""A document whose tests pass, and whether they notice a change of it.

Exact, and fast where a change is one of what a single rule finds: then only the parts that changed are looked for in
the tests' texts, and a test is run as a whole only where the rule finds something else there. Tests in which the rule
fired come first, and the first that fails is the last that is run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from policykit.compile.resolve import leaves, opaque, reads_facts, resolve, sources
from policykit.diagnostics import PolicyError
from policykit.ir.decision import Decider
from policykit.ir.document import (
    Allow,
    Block,
    Document,
    Escalate,
    Mode,
    PolicySet,
    Rule,
    TestCase,
)
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import Decision
from policykit.policy import document_of
from policykit.policy.nodes import Mapping
from policykit.testing.bench import Bench
from policykit.testing.contexts import context_of
from policykit.testing.mutation.apart import Apart
from policykit.testing.mutation.changes import Change
from policykit.testing.mutation.equivalence import Equivalence, shape
from policykit.testing.mutation.finds import Finds, Fired
from policykit.testing.mutation.report import Fate
from policykit.verify import Resources
from policykit.verify.gates import is_about
from policykit.verify.units import Readings


@dataclass(frozen=True, slots=True)
class Asked:
    """What tests are judged with beside the document."""

    grammar: GrammarSpec | None
    opa: Decider | None
    deployment: Resources


@dataclass(slots=True)
class _Case:
    """A test, or one of its spellings, and the texts that its verdict looks at, by their numbers."""

    test: TestCase
    fired: set[str]
    texts: list[tuple[int, Readings]] = field(default_factory=list[tuple[int, Readings]])


@dataclass(frozen=True, slots=True)
class _OneRule:
    """The mutant differs from the document in what this one rule finds."""

    before: Rule
    after: Rule


class Suite:
    """The tests of a document, and what its changes share: compiled matchers, spellings, what was found where."""

    def __init__(self, document: Document, file: str, asked: Asked) -> None:
        self._document, self._file, self._asked = document, file, asked
        self._is_json = bool(asked.grammar and asked.grammar.is_json)
        self._searches = Apart()
        self._bench = self._bench_of(document)
        self._finds = Finds(self._searches)
        self._n_texts = 0
        self._cases = [self._case(test) for test in document.tests]
        self._spelled: dict[str, list[_Case]] = {}
        self._equivalence = Equivalence()
        self._shape = shape(document)
        self._rules: dict[int, tuple[Document, dict[CompileContext, tuple[ResolvedRule, ...]]]] = {}

    def judge(self, change: Change, seen: set[object]) -> tuple[Fate, str]:
        """What becomes of a change, with a note on one that survives. ``seen`` are the shapes of earlier ones."""
        mutant = self._mutant(change)
        if mutant is None:
            return Fate.REFUSED, ""
        form = shape(mutant)
        if form == self._shape:
            return Fate.EQUIVALENT, ""
        n_seen = len(seen)
        seen.add(form)  # and so hashed once: that takes as long as many a test
        if len(seen) == n_seen:
            return Fate.SAME, ""
        one = self._one_rule(mutant)
        if self._is_noticed(mutant, one, change.rule):
            return Fate.KILLED, ""
        if one is None:
            return Fate.SURVIVED, ""
        context = context_of(self._document, self._document.tests[0].given)
        found = [_named(self._resolved(d, context), one.before.id) for d in (self._document, mutant)]
        pair = [rule for rule in found if rule is not None]
        return self._equivalence.judge(*pair) if len(pair) == 2 else (Fate.SURVIVED, "")

    def _mutant(self, change: Change) -> Document | None:
        """The changed document without tests; None where it is refused."""
        bare = tuple(entry for entry in change.root.entries if entry.key.text != "tests")
        try:
            return document_of(Mapping(bare, change.root.place), self._file)
        except PolicyError:
            return None

    def _bench_of(self, document: Document) -> Bench:
        asked = self._asked
        return Bench(document, asked.grammar, self._searches, asked.opa, asked.deployment, reference=self._document)

    def _case(self, test: TestCase) -> _Case:
        judged = self._bench.judge(test, test.given.text).verdict
        case = _Case(test, self._bench.fired(test))
        texts = [test.given.text, *([judged.text] if judged.decision is Decision.TRANSFORM else [])]
        for text in texts:
            case.texts.append((self._n_texts, self._bench.readings(test, text)))
            self._n_texts += 1
        return case

    def _one_rule(self, mutant: Document) -> _OneRule | None:
        """The one rule that finds something else; None where more than that is changed."""
        ours, theirs = self._document, mutant
        if len(ours.rules) != len(theirs.rules):
            return None
        pairs = [(a, b) for a, b in zip(ours.rules, theirs.rules, strict=True) if a != b]
        same = (ours.scope, ours.effective, ours.blocks_by_default) == (
            theirs.scope,
            theirs.effective,
            theirs.blocks_by_default,
        )
        if not same or len(pairs) != 1:
            return None
        before, after = pairs[0]
        if before.matcher is None or after.matcher is None or replace(after, matcher=before.matcher) != before:
            return None
        if isinstance(before.action, Allow) or any(
            opaque(matcher) or sources(matcher) for matcher in (before.matcher, after.matcher)
        ):
            return None
        return _OneRule(before, after) if before.mode is not Mode.OFF else None

    def _resolved(self, document: Document, context: CompileContext) -> tuple[ResolvedRule, ...]:
        """The rules that apply. Remembers those of two documents: the policy and its latest change."""
        known = self._rules.setdefault(id(document), (document, {}))[1]
        if len(self._rules) > 2:
            latest = {id(self._document), id(document)}
            self._rules = {key: value for key, value in self._rules.items() if key in latest}
        if context not in known:
            known[context] = resolve(PolicySet((document,)), context, json_output=self._is_json)
        return known[context]

    # -- does a test notice ------------------------------------------------------------------------------------

    def _is_noticed(self, mutant: Document, one: _OneRule | None, rule: str | None) -> bool:
        bench = self._bench_of(mutant)
        ordered = sorted(self._cases, key=lambda case: rule not in case.fired)

        def fails(case: _Case) -> bool:
            return self._may_fail(mutant, one, case) and not bench.passes(case.test)

        return any(map(fails, ordered)) or any(map(fails, self._spellings(rule)))

    def _may_fail(self, mutant: Document, one: _OneRule | None, case: _Case) -> bool:
        """False only where the rules find in the case's texts what they found."""
        if one is None:
            return True
        name = one.before.id
        context = context_of(self._document, case.test.given)
        before, after = (_named(self._resolved(d, context), name) for d in (self._document, mutant))
        if before is None or after is None or not is_about(before, case.test.given.target):
            return before is not after and (before is None or after is None)
        for number, readings in case.texts:
            found = self._fired(before, readings, number)
            if found != self._fired(after, readings, number):
                return True
            if found and _shows_spans(before) and self._may_move(before, after, readings, number):
                return True
        return False

    def _fired(self, rule: ResolvedRule, readings: Readings, number: int) -> Fired:
        assert rule.matcher is not None, "a rule with another matcher has one"
        return self._finds.fired(rule.matcher, readings, number)

    def _may_move(self, before: ResolvedRule, after: ResolvedRule, readings: Readings, number: int) -> bool:
        """Whether spans may differ: unless only parts were changed, none of which finds anything."""
        finds = self._finds
        ours, theirs = (
            {key: part for leaf in leaves(r.matcher) for part, key in finds.parts(leaf)} for r in (before, after)
        )
        changed = {key: (ours | theirs)[key] for key in ours.keys() ^ theirs.keys()}
        return not changed or any(finds.part(part, key, readings, number) is not False for key, part in changed.items())

    def _spellings(self, rule: str | None) -> Iterator[_Case]:
        for case in self._cases:
            if not case.test.variants.evasion or rule not in case.fired:
                continue
            name = case.test.name
            if name not in self._spelled:
                self._spelled[name] = [self._case(test) for test in self._bench.spelled_cases(case.test)]
            yield from self._spelled[name]


def _named(rules: Iterable[ResolvedRule], rule_id: str) -> ResolvedRule | None:
    return next((rule for rule in rules if rule.rule_id == rule_id), None)


def _shows_spans(rule: ResolvedRule) -> bool:
    """Whether a verdict depends on where the rule finds something, or how often."""
    return not isinstance(rule.action, Block | Escalate) or reads_facts(rule)
