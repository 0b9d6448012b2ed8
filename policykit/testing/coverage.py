"""What of a policy some passing test brings into play: rules, phrases, expressions, entities, exceptions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policykit.compile.resolve import leaves, opaque
from policykit.diagnostics import Place
from policykit.ir.decision import Decider
from policykit.ir.document import (
    Chain,
    Chains,
    Document,
    Entities,
    Leaf,
    Link,
    Mode,
    Phrases,
    PolicySet,
)
from policykit.ir.grammar import GrammarSpec
from policykit.ir.opaque import Classifier, Opaque, Predicate
from policykit.testing.bench import Bench
from policykit.testing.report import Status
from policykit.verify import NONE, Resources


@dataclass(frozen=True, slots=True)
class Part:
    """``kind`` is `rule`, `phrase`, `expression`, `chain`, `entity`, `predicate`, `classifier`, `language`
    or `exception`."""

    document: str
    rule: str
    kind: str
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Coverage:
    n_parts: int
    uncovered: tuple[Part, ...]

    @property
    def share(self) -> float:
        """In [0, 1]; 1 where there is nothing to cover."""
        return 1 - len(self.uncovered) / self.n_parts if self.n_parts else 1.0


def coverage_of(
    policies: PolicySet,
    grammar: GrammarSpec | None = None,
    *,
    opa: Decider | None = None,
    deployment: Resources = NONE,
) -> Coverage:
    """A rule is covered by a test that expects it, an exception by one in which it applies, and a phrase, expression,
    entity, predicate or classifier by one whose text holds it, where the rule's matcher finds it on its own.

    ``opa`` and ``deployment`` are as for :func:`policykit.testing.run_tests`."""
    parts: list[Part] = []
    uncovered: list[Part] = []
    for document in policies.documents:
        ours = list(_parts(document))
        seen = _seen(document, Bench(document, grammar, opa=opa, deployment=deployment))
        parts += ours
        uncovered += [part for part in ours if (part.kind, part.rule, part.name) not in seen]
    return Coverage(len(parts), tuple(uncovered))


def _parts(document: Document) -> Iterator[Part]:
    for rule in document.rules:
        if rule.mode is Mode.OFF:
            continue
        yield Part(document.name, rule.id, "rule", rule.id, rule.place)
        for leaf in leaves(rule.matcher):
            for kind, name, place in _items(leaf):
                yield Part(document.name, rule.id, kind, name, place)
        for asked in opaque(rule.matcher):
            yield Part(document.name, rule.id, *_name(asked), asked.place)
        for exception in rule.exceptions:
            yield Part(document.name, rule.id, "exception", exception.id, exception.place)


def _name(asked: Opaque) -> tuple[str, str]:
    """A kind and a name that tells it from the others of its rule."""
    if isinstance(asked, Predicate):
        return "predicate", asked.name if asked.args == "{}" else f"{asked.name} {asked.args}"
    if isinstance(asked, Classifier):
        return "classifier", f"{asked.model}: {asked.label} from {asked.threshold:g}"
    return "language", asked.name.removeprefix("language ")


def _items(leaf: Leaf) -> list[tuple[str, str, Place]]:
    if isinstance(leaf, Phrases):
        return [("phrase", phrase.text, phrase.place) for phrase in leaf.phrases]
    if isinstance(leaf, Entities):
        return [("entity", entity.type, entity.place) for entity in leaf.entities]
    if isinstance(leaf, Chains):
        named = {chain.name: ("chain", chain.name, chain.place) for chain in leaf.chains}
        return [*named.values(), *((kind, name, place) for kind, name, place, _ in _links(leaf))]
    return [("expression", item.source, item.place) for item in leaf.regexes]


def _alone(leaf: Leaf) -> Iterator[tuple[str, str, Leaf]]:
    """The leaf's items, each with a leaf that looks for nothing else."""
    if isinstance(leaf, Phrases):
        for phrase in leaf.phrases:
            yield "phrase", phrase.text, replace(leaf, phrases=(phrase,))
    elif isinstance(leaf, Entities):
        for entity in leaf.entities:
            yield "entity", entity.type, replace(leaf, entities=(entity,))
    elif isinstance(leaf, Chains):
        for chain in leaf.chains:
            yield "chain", chain.name, replace(leaf, chains=(chain,))
        for kind, name, _, alone in _links(leaf):
            yield kind, name, alone
    else:
        for regex in leaf.regexes:
            yield "expression", regex.source, replace(leaf, regexes=(regex,))


def _links(leaf: Chains) -> Iterator[tuple[str, str, Place, Chains]]:
    """The phrases and expressions that stand near others, each with a leaf that has it in place of its alternatives.
    Of what is counted together none counts for itself."""
    links = dict.fromkeys(part for chain in leaf.chains for part in chain.parts if isinstance(part, Link))
    for link in () if leaf.counts else links:
        for phrase in link.phrases:
            alone = _with(leaf, link, replace(link, phrases=(phrase,), regexes=()))
            yield "phrase", phrase.text, phrase.place, alone
        for regex in link.regexes:
            yield (
                "expression",
                regex.source,
                regex.place,
                _with(leaf, link, replace(link, phrases=(), regexes=(regex,))),
            )


def _with(leaf: Chains, link: Link, other: Link) -> Chains:
    def changed(chain: Chain) -> Chain:
        return replace(chain, parts=tuple(other if part == link else part for part in chain.parts))

    return replace(leaf, chains=tuple(map(changed, leaf.chains)))


def _seen(document: Document, bench: Bench) -> set[tuple[str, str, str]]:
    owner = {exception.id: rule.id for rule in document.rules for exception in rule.exceptions}
    seen: set[tuple[str, str, str]] = set()
    for test in document.tests:
        if bench.run(replace(test, variants=type(test.variants)())).status is not Status.PASSED:
            continue
        seen |= {("rule", rule, rule) for rule in test.expect.rules or ()}
        judged = bench.judge(test, test.given.text)
        seen |= {("exception", owner[e.exception], e.exception) for e in judged.verdict.exceptions}
        for rule in judged.rules:
            if rule.target is test.given.target:
                asked = (item for item in opaque(rule.matcher) if bench.finds(item, test))
                seen |= {(kind, rule.rule_id, name) for kind, name in map(_name, asked)}
            for leaf in leaves(rule.matcher):
                for kind, name, alone in _alone(leaf):
                    key = (kind, rule.rule_id, name)
                    if key not in seen and rule.target is test.given.target and bench.finds(alone, test):
                        seen.add(key)
    return seen
