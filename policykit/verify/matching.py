"""What a rule's matcher finds in a text: its leaves on their views, combined over the whole text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from policykit.compile.resolve import leaves, opaque
from policykit.entities import fits_numbers, labels_of, value_of
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Chains,
    Entities,
    Join,
    Leaf,
    Matcher,
    Not,
    Phrases,
    Regexes,
    Searched,
    Sources,
    Tally,
    Within,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.predicates import PredicateError
from policykit.predicates.language import library, told
from policykit.text import View, view
from policykit.verify.finders import Search, Searches
from policykit.verify.findings import NO_FINDINGS, Finding, Findings, Listed, Part, part_of, separated
from policykit.verify.sources import listed
from policykit.verify.units import Readings


@dataclass(frozen=True, slots=True)
class Outcome:
    """``fired`` is None where the matcher does not apply to the text, and ``why`` says so. A matcher that fired
    without a finding found an absence."""

    fired: bool | None
    findings: Findings = NO_FINDINGS
    why: str = ""


Check: TypeAlias = Callable[[Readings], Outcome]


def whole_check(matcher: Matcher | None, searches: Searches, use_prefilter: bool) -> Check:
    """Whether some leaf matches the text as a whole, from the first to the last character that its view shows."""
    inner = compile_check(matcher, searches, use_prefilter)

    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        return Outcome(matcher is None or outcome.findings.has_whole)

    return check


def compile_check(matcher: Matcher | None, searches: Searches, use_prefilter: bool) -> Check:
    """The matcher as a function of a text's readings; none is true of every text.

    Combinations follow Kleene's strong logic: what does not apply decides nothing, unless the rest decides without it.
    """
    match matcher:
        case None:
            return lambda readings: Outcome(True)
        case Phrases() | Regexes() | Chains():
            return _leaf(matcher, searches, use_prefilter)
        case Predicate() | Classifier():
            return _opaque(matcher)
        case Language():
            return _language(matcher)
        case Entities():
            return _entities(matcher, searches, use_prefilter)
        case Tally():
            return _tally(matcher, searches, use_prefilter)
        case Sources():
            return _sources(matcher, searches, use_prefilter)
        case AnyOf(items):
            return _any([compile_check(item, searches, use_prefilter) for item in items])
        case AllOf(items):
            return _all([compile_check(item, searches, use_prefilter) for item in items])
        case Not(item):
            return _not(compile_check(item, searches, use_prefilter))
        case _:
            assert_never(matcher)


def _any(checks: Sequence[Check]) -> Check:
    def check(readings: Readings) -> Outcome:
        outcomes = [check(readings) for check in checks]
        fired = [outcome for outcome in outcomes if outcome.fired]
        if fired:
            return Outcome(True, _all_of(fired))
        return next((outcome for outcome in outcomes if outcome.fired is None), Outcome(False))

    return check


def _all_of(outcomes: Sequence[Outcome]) -> Findings:
    return Findings(part for outcome in outcomes for part in outcome.findings.parts)


def _all(checks: Sequence[Check]) -> Check:
    def check(readings: Readings) -> Outcome:
        outcomes = [check(readings) for check in checks]
        if any(outcome.fired is False for outcome in outcomes):
            return Outcome(False)
        inapplicable = next((outcome for outcome in outcomes if outcome.fired is None), None)
        return inapplicable or Outcome(True, _all_of(outcomes))

    return check


def _not(inner: Check) -> Check:
    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        return outcome if outcome.fired is None else Outcome(not outcome.fired)

    return check


_NOT_JSON = Outcome(None, why="reads JSON strings, and the text is not JSON")


def _entities(leaf: Entities, searches: Searches, use_prefilter: bool) -> Check:
    compiled = [(on, searches.entities(leaf, on), kind) for on, kind in _ways(leaf)]
    in_json = Within.JSON_SCALARS if any(map(fits_numbers, leaf.entities)) else Within.JSON_STRINGS
    return _on_views(leaf, compiled, labels_of(leaf), in_json, use_prefilter)


def _tally(tally: Tally, searches: Searches, use_prefilter: bool) -> Check:
    inner = _entities(tally.item, searches, use_prefilter)

    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        is_enough = not outcome.fired or counted(outcome.findings, tally.distinct) >= tally.at_least
        return outcome if is_enough else Outcome(False)

    return check


def counted(findings: Findings, distinct: bool) -> int:
    """How many entities a verdict would name, or how many different ones."""
    kept = separated(findings)
    if not distinct:
        return len(kept)
    numbers: list[tuple[int, int]] = list(zip(kept.part.tolist(), kept.index.tolist(), strict=True))
    found = (kept.parts[part].finding(i) for part, i in numbers)
    return len({value_of(finding.matched, finding.content) for finding in found})


def _sources(leaf: Sources, searches: Searches, use_prefilter: bool) -> Check:
    """Raises UnknownSources where there are marks, and the request does not say which ids they may have."""
    inner = _leaf(leaf.marks, searches, use_prefilter)

    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        if not outcome.fired:
            return outcome
        known = listed(readings.facts, leaf.fact)
        wrong = [found for found in outcome.findings if leaf.mark.id_of(found.content) not in known]
        named = tuple(found._replace(matched=leaf.name) for found in wrong)
        return Outcome(True, Findings([Listed(named)])) if named else Outcome(False)

    return check


def _leaf(leaf: Searched, searches: Searches, use_prefilter: bool) -> Check:
    compiled = [(on, searches.get(leaf, on), kind) for on, kind in _ways(leaf)]
    return _on_views(leaf, compiled, (None,) * len(leaf_names(leaf)), Within.JSON_STRINGS, use_prefilter)


def _on_views(
    leaf: Leaf,
    compiled: Sequence[tuple[View, Search, str]],
    labels: Sequence[str | None],
    in_json: Within,
    use_prefilter: bool,
) -> Check:
    """What a leaf finds in all its ways to read; ``in_json`` is how it reads texts that are JSON."""
    names = leaf_names(leaf)

    def check(readings: Readings) -> Outcome:
        within = readings.resolve(leaf.reading.within, in_json)
        if within.is_json and not readings.has_strings:
            return _NOT_JSON
        parts: list[Part] = []
        for on, search, kind in compiled:
            seen = readings.seen(within, leaf.reading.join, on, kind)
            if not seen.units:
                continue
            found = search.find(seen) if use_prefilter else search.find_by_automata(seen)
            if len(found):
                parts.append(part_of(seen, found, _name(on, kind), names, labels, within.is_json))
        return Outcome(True, Findings(parts)) if parts else Outcome(False)

    return check


def _opaque(leaf: Predicate | Classifier) -> Check:
    """What is asked of others. Raises their errors; none is asked where the text is read for explanations alone."""
    name = f"predicate {leaf.name}" if isinstance(leaf, Predicate) else f"classifier {leaf.model}: {leaf.label}"
    views = [view(on) for on in leaf.views]

    def check(readings: Readings) -> Outcome:
        findings: list[Finding] = []
        for on in views:
            (seen,) = readings.seen(Within.TEXT, Join.NONE, on).units
            spans, is_place = readings.ask(leaf, seen.text)
            for start, end in spans:
                is_whole = (start, end) == (0, len(seen.text))
                i, j = seen.in_unit(start, end)
                findings.append(Finding(((i, j),), readings.text[i:j], on.name, name, False, is_whole, is_place))
        return Outcome(bool(findings), Findings([Listed(tuple(findings))]))

    return check


def _language(leaf: Language) -> Check:
    """Raises PredicateError where the library is not the one that the plan was compiled with."""

    def check(readings: Readings) -> Outcome:
        if library() != leaf.identity:
            raise PredicateError(f"the plan was compiled with {leaf.identity}, installed is {library()}")
        language, why = told(readings.text, leaf.letters, leaf.confidence)
        if language is None:
            return Outcome(None, why=why)
        if (language in leaf.languages) == leaf.others:
            return Outcome(False)
        whole = (0, len(readings.text))
        found = Finding((whole,), readings.text, "raw", f"{leaf.name}: {why}", False, True, False)
        return Outcome(True, Findings([Listed((found,))]))

    return check


def _ways(leaf: Leaf) -> list[tuple[View, str]]:
    """The views of a leaf, and each for every kind of escapes that it decodes."""
    return [(view(name), kind) for kind in ("", *leaf.reading.unescape) for name in leaf.reading.views]


def _name(on: View, kind: str) -> str:
    """A view as findings name it."""
    return f"{kind}, {on.name}" if kind else on.name


def leaf_names(leaf: Leaf) -> tuple[str, ...]:
    """What the author wrote, in the order that findings index."""
    match leaf:
        case Phrases(phrases):
            return tuple(phrase.text for phrase in phrases)
        case Regexes(regexes):
            return tuple(item.source for item in regexes)
        case Chains(chains):
            return tuple(chain.name for chain in chains)
        case Entities(entities):
            return tuple(entity.type for entity in entities)
        case _:
            assert_never(leaf)


def data_of(matcher: Matcher | None) -> dict[str, tuple[tuple[str, str], ...]]:
    """What lists say about the matcher's phrases, by phrase; of one that several have, the first."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for leaf in leaves(matcher):
        for phrase in leaf.phrases if isinstance(leaf, Phrases) else ():
            if phrase.data:
                found.setdefault(phrase.text, phrase.data)
    return found


def absence(matcher: Matcher | None) -> str:
    """Names what is missing where a matcher fired without a finding."""
    if matcher is None:
        return "the condition"
    names = [name for leaf in leaves(matcher) for name in leaf_names(leaf)]
    names += [leaf.label if isinstance(leaf, Classifier) else leaf.name for leaf in opaque(matcher)]
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"absent: {shown}"
