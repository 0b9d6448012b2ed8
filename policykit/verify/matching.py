"""What a rule's matcher finds in a text: its leaves on their views, combined over the whole text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never

from policykit.compile.resolve import leaves, opaque
from policykit.entities import fits_numbers, labels_of
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
    Within,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.predicates import PredicateError
from policykit.predicates.language import library, told
from policykit.text import View, view
from policykit.verify.finders import Hit, Searches
from policykit.verify.units import Readings, Span


class Finding(NamedTuple):
    """A match; a tuple, since a text may be full of them. ``pieces`` are its spans in the original text, one per JSON
    string that it runs through; ``content`` is the matched text as read (escapes decoded), ``in_json`` whether it was
    read inside JSON strings, ``is_whole`` whether it is all that the view shows of the text, ``is_place`` whether it
    says where something stands and not only that it does, ``is_number`` whether it is a JSON number. ``label`` is an
    entity's name in masks."""

    pieces: tuple[Span, ...]
    content: str
    view: str
    matched: str
    in_json: bool
    is_whole: bool = False
    is_place: bool = True
    is_number: bool = False
    label: str | None = None

    @property
    def start(self) -> int:
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        return self.pieces[-1][1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``fired`` is None where the matcher does not apply to the text, and ``why`` says so. A matcher that fired
    without a finding found an absence."""

    fired: bool | None
    findings: tuple[Finding, ...] = ()
    why: str = ""


Check: TypeAlias = Callable[[Readings], Outcome]


def whole_check(matcher: Matcher | None, searches: Searches, use_prefilter: bool) -> Check:
    """Whether some leaf matches the text as a whole, from the first to the last character that its view shows."""
    inner = compile_check(matcher, searches, use_prefilter)

    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        return Outcome(matcher is None or any(finding.is_whole for finding in outcome.findings))

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
            return Outcome(True, tuple(finding for outcome in fired for finding in outcome.findings))
        return next((outcome for outcome in outcomes if outcome.fired is None), Outcome(False))

    return check


def _all(checks: Sequence[Check]) -> Check:
    def check(readings: Readings) -> Outcome:
        outcomes = [check(readings) for check in checks]
        if any(outcome.fired is False for outcome in outcomes):
            return Outcome(False)
        inapplicable = next((outcome for outcome in outcomes if outcome.fired is None), None)
        return inapplicable or Outcome(True, tuple(finding for outcome in outcomes for finding in outcome.findings))

    return check


def _not(inner: Check) -> Check:
    def check(readings: Readings) -> Outcome:
        outcome = inner(readings)
        return outcome if outcome.fired is None else Outcome(not outcome.fired)

    return check


_NOT_JSON = Outcome(None, why="reads JSON strings, and the text is not JSON")


def _entities(leaf: Entities, searches: Searches, use_prefilter: bool) -> Check:
    compiled = [(on, searches.entities(leaf, on), kind) for on, kind in _ways(leaf)]
    names, labels = leaf_names(leaf), labels_of(leaf)
    in_json = Within.JSON_SCALARS if any(map(fits_numbers, leaf.entities)) else Within.JSON_STRINGS

    def check(readings: Readings) -> Outcome:
        within = readings.resolve(leaf.reading.within, in_json)
        if within.is_json and not readings.has_strings:
            return _NOT_JSON
        findings: list[Finding] = []
        for on, search, kind in compiled:
            seen = readings.seen(within, leaf.reading.join, on, kind)
            if not seen.units:
                continue
            hits = search.find(seen) if use_prefilter else search.find_by_automata(seen)
            findings += _findings(hits, _name(on, kind), names, labels, within.is_json)
        return Outcome(bool(findings), tuple(findings))

    return check


def _leaf(leaf: Searched, searches: Searches, use_prefilter: bool) -> Check:
    compiled = [(on, searches.get(leaf, on), kind) for on, kind in _ways(leaf)]
    names = leaf_names(leaf)
    labels = (None,) * len(names)

    def check(readings: Readings) -> Outcome:
        within = readings.resolve(leaf.reading.within)
        if within.is_json and not readings.has_strings:
            return _NOT_JSON
        findings: list[Finding] = []
        for on, search, kind in compiled:
            seen = readings.seen(within, leaf.reading.join, on, kind)
            if not seen.units:
                continue
            hits = search.find(seen) if use_prefilter else search.find_by_automata(seen)
            findings += _findings(hits, _name(on, kind), names, labels, within.is_json)
        return Outcome(bool(findings), tuple(findings))

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
        return Outcome(bool(findings), tuple(findings))

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
        return Outcome(True, (Finding((whole,), readings.text, "raw", f"{leaf.name}: {why}", False, True, False),))

    return check


def _ways(leaf: Leaf) -> list[tuple[View, str]]:
    """The views of a leaf, and each for every kind of escapes that it decodes."""
    return [(view(name), kind) for kind in ("", *leaf.reading.unescape) for name in leaf.reading.views]


def _name(on: View, kind: str) -> str:
    """A view as findings name it."""
    return f"{kind}, {on.name}" if kind else on.name


def _findings(
    hits: Iterable[Hit], on: str, names: Sequence[str], labels: Sequence[str | None], in_json: bool
) -> Iterator[Finding]:
    """What was found on one view; ``labels`` are the names of entities in masks, by the leaf's index."""
    for seen, found in hits:
        start, end = found.start, found.end
        i, j = seen.in_unit(start, end)
        unit = seen.unit
        is_whole = not in_json and start == 0 and end == len(seen.text)
        content = unit.text if unit.is_number else unit.text[i:j]
        pieces = ((i, j),) if unit.starts is None else unit.pieces(i, j)
        index = found.index
        yield Finding(pieces, content, on, names[index], in_json, is_whole, True, unit.is_number, labels[index])


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


def separate_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without overlaps: earliest start, then longest, then the first view and leaf. One stretch of text
    is one violation, however many views and alternatives see it."""
    ordered = list(findings)
    if len(ordered) < 2:
        return ordered
    ordered.sort(key=_longest_first)
    chosen: list[Finding] = []
    free_from = -1
    for finding in ordered:
        pieces = finding.pieces
        start = pieces[0][0]
        if start >= free_from:
            chosen.append(finding)
            free_from = max(pieces[-1][1], start + 1)
    return chosen


def _longest_first(finding: Finding) -> int:
    """By start, then the longest: as one number, which is made and compared faster than two."""
    pieces = finding.pieces
    return (pieces[0][0] << 32) - pieces[-1][1]
