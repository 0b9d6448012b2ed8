"""`require: {citations: …}`: what must hold a citation, and which sources it may name.

A rule that says ``sources`` is two: one on the form, which a mask can hold, and one on the ids, which come with the
request. The second has the first one's id with `-sources` behind it, and everything else as the first.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from policykit.automata import compile_finder
from policykit.automata.citations import ENDS, MAX_STATES, WHITE, TooManyStates, uncited as finds_uncited
from policykit.automata.regex_syntax import parse
from policykit.conditions import FactsSchema, parse_condition
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.ir.citations import DEFAULT_FORM, DEFAULT_ID, ID, Mark, Per
from policykit.ir.document import Chain, Chains, Reading, Regexes, RegexSource, Sources, Uncited, Within
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Ranges, Regex, Repeat, ranges_of
from policykit.policy.checked import Entries
from policykit.policy.view_checks import check_regex
from policykit.text import view

SOURCES = "-sources"
_READING = Reading(views=("raw",), within=Within.TEXT)
_FACT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_NOT_FACTS = ("target", "tool", "args", "json")


# -- meaning -------------------------------------------------------------------------------------------------------


def citations_of(rule: Entries) -> Entries | None:
    """What a rule says about citations."""
    require = rule.entries("require")
    return require.entries("citations") if require else None


def uncited(cited: Entries, place: Place) -> Chains:
    """Finds what holds no citation."""
    mark, per = mark_of(cited), Per(cited.text("per") or Per.SENTENCE)
    what = {Per.SENTENCE: "sentence", Per.LINE: "line", Per.TEXT: "text"}[per]
    chain = Chain(f"a {what} without a citation `{mark.form}`", (Uncited(mark, per, free_of(cited)),), place)
    return Chains((chain,), _READING, place)


def free_of(cited: Entries) -> tuple[str, ...]:
    """The texts that need no citation."""
    return tuple(str(leaf.value) for leaf in cited.leaves("free"))


def sources(cited: Entries) -> Sources | None:
    """Finds citations of what the request does not list; None where any source may be named."""
    fact = cited.text("sources")
    if fact is None:
        return None
    mark, place = mark_of(cited), cited.keys["sources"]
    return Sources(mark, replace(marked(mark, _form_place(cited)), place=place), fact, place)


def marked(mark: Mark, place: Place) -> Regexes:
    """Finds citations of a form."""
    return Regexes((RegexSource(mark.form, mark.regex, place),), None, None, _READING, place)


def mark_of(cited: Entries) -> Mark:
    """How a citation is written, by the fields `format` and `id`."""
    own = cited.regexes("id")
    source = own[0].source if own else DEFAULT_ID
    parsed = own[0].parsed if own else parse(DEFAULT_ID, _form_place(cited))
    return Mark(cited.text("format") or DEFAULT_FORM, parsed.regex, source)


def _form_place(cited: Entries) -> Place:
    """Where the form of a mark is said, or the demand that leaves it out."""
    return cited.fields["format"].place if "format" in cited.fields else cited.place


def source_ids(rules: Sequence[Entries]) -> list[tuple[str, Entries]]:
    """The ids of the rules on sources, each with what says so."""
    return [
        (f"{rule_id}{SOURCES}", cited)
        for rule in rules
        if (cited := citations_of(rule)) and "sources" in cited.keys and (rule_id := rule.text("id"))
    ]


# -- mistakes ------------------------------------------------------------------------------------------------------


def check_citations(document: Entries, rules: Sequence[Entries], diagnostics: list[Diagnostic]) -> None:
    """Appends what is wrong with the demands for citations beyond single fields."""
    schema = _schema(document)
    for rule in rules:
        cited = citations_of(rule)
        if cited:
            _check_rule(rule, diagnostics)
            check_form(cited, diagnostics)
            _check_fact(cited, schema, diagnostics)
    taken = {rule.text("id"): rule.fields["id"].place for rule in rules if "id" in rule.fields}
    for rule_id, cited in source_ids(rules):
        if rule_id in taken:
            message = f"duplicate rule id `{rule_id}`"
            related = ((cited.keys["sources"], "the rule on the sources has it"),)
            diagnostics.append(Diagnostic("PK050", message, taken[rule_id], "rename it", related=related))


def _check_rule(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    require, action = rule.entries("require"), rule.entries("action")
    assert require is not None, "there are citations in it"
    place = require.keys["citations"]
    target = rule.text("target") or "output"
    if target != "output":
        message = f"citations are for what the model writes, and the target is `{target}`"
        diagnostics.append(Diagnostic("PK142", message, place, "remove `target`, or say in `match` what to find"))
    transform = action.entries("transform") if action else None
    if transform and not transform.keys.keys() & {"append", "prepend"}:
        message = "a citation cannot be put where it is missing"
        help = "use `block` or `escalate`, or add a notice to the text with `append` or `prepend`"
        diagnostics.append(Diagnostic("PK142", message, place, help))
    if "approvals" in require.keys:
        message = "citations and approvals cannot stand for each other"
        diagnostics.append(Diagnostic("PK142", message, place, "write two rules"))


def check_form(cited: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends PK140 unless a mark is told from the text and from other marks, and so is the id in it."""
    form, own = cited.text("format") or DEFAULT_FORM, cited.regexes("id")
    if ("format" in cited.keys and "format" not in cited.fields) or ("id" in cited.keys and not own):
        return  # told already
    place = _form_place(cited)
    if form.count(ID) != 1 or form.startswith(ID) or form.endswith(ID):
        help = "write what stands before and behind it: `[{id}]`"
        diagnostics.append(Diagnostic("PK140", f"`{form}` does not set an id apart with `{ID}`", place, help))
        return
    for leaf in own:
        n = len(diagnostics)
        check_regex(leaf, _READING.views, True, diagnostics)
        if len(diagnostics) > n:
            return
    why = _ambiguity(mark_of(cited))
    if why is not None:
        at = own[0].place if own else place
        diagnostics.append(Diagnostic("PK140", f"an id of `{form}` {why[0]}", at, why[1]))
        return
    try:
        _check_free(cited, diagnostics)
    except TooManyStates:
        message = f"what lacks a citation `{form}` needs more than {MAX_STATES} states to be found"
        help = "shorten bounded repetitions in `id`, or the texts that are `free`"
        diagnostics.append(Diagnostic("PK140", message, place, help))


def _check_free(cited: Entries, diagnostics: list[Diagnostic]) -> None:
    """Each of the free texts is one sentence (line, text) that would lack a citation. Raises TooManyStates."""
    mark, per = mark_of(cited), Per(cited.text("per") or Per.SENTENCE)
    finds_uncited(mark.regex, per, free_of(cited), view("raw"))
    bare = replace(uncited(cited, cited.place).chains[0], parts=(Uncited(mark, per),))
    finder = compile_finder(Chains((bare,), _READING, cited.place), view("raw"))
    for leaf in cited.leaves("free"):
        text = str(leaf.value)
        if [(found.start, found.end) for found in finder.findall(text)] != [(0, len(text))]:
            message = f"`{text}` is not one {per} that lacks a citation"
            help = f"write one {per}, with its stop, without white space around it"
            diagnostics.append(Diagnostic("PK143", message, leaf.place, help))


def _ambiguity(mark: Mark) -> tuple[str, str] | None:
    """What keeps marks from being told apart, and what to do about it; None where nothing does.

    The id ends where what stands behind it begins, and no mark begins inside another.
    """
    inside = _characters(mark.id)
    if inside is None:
        return "looks beside itself", "leave `^`, `$` and `\\b` out: what stands around the id is in `format`"
    before, after = _points(mark.before), _points(mark.after)
    if _meet(ranges_of([*inside, *before, *after]), ranges_of([*WHITE, *ENDS[Per.SENTENCE]])):
        return "may hold white space or what ends a sentence", "write a class without them, such as `[0-9A-Za-z_-]+`"
    first, rest = _points(mark.before[0]), _points(mark.before[1:])
    is_nested = _meet(first, ranges_of([*inside, *after])) or (_meet(first, rest) and _meet(before, inside))
    if is_nested or _meet(_points(mark.after[0]), inside):
        return "may hold the marks around it", "use brackets that no id has, as in `[{id}]`, or narrow `id`"
    return None


def _check_fact(cited: Entries, schema: FactsSchema | None, diagnostics: list[Diagnostic]) -> None:
    leaf = cited.leaf("sources")
    if leaf is None:
        return
    fact = str(leaf.value)
    if not _FACT.fullmatch(fact) or fact.partition(".")[0] in _NOT_FACTS:
        help = "the name of a fact of the request, a list of texts: `retrieved.ids`"
        diagnostics.append(Diagnostic("PK141", f"`{fact}` is no name of a fact", leaf.place, help))
        return
    if schema is None:
        return
    ids = _mistake(f'"" in {fact}', leaf.place, schema)
    if ids is not None and _mistake(f'{fact}.all(one, one.id == "")', leaf.place, schema) is not None:
        help = "describe it in the facts' schema as a list of texts, or of objects that have a text `id`"
        diagnostics.append(Diagnostic("PK141", f"`{fact}` lists no ids: {ids}", leaf.place, help))


def _mistake(condition: str, place: Place, schema: FactsSchema) -> str | None:
    """What is wrong with a condition over the facts; None where nothing is."""
    try:
        parse_condition(condition, place, schema)
    except PolicyError as error:
        return error.diagnostics[0].message
    return None


def _schema(document: Entries) -> FactsSchema | None:
    facts = document.entries("facts")
    described = facts.data("inline") if facts else None
    try:
        if facts and isinstance(described, dict):
            return FactsSchema.from_json(described, facts.fields["inline"].place)
    except PolicyError:
        pass  # told with the conditions
    return None


def _characters(regex: Regex) -> Ranges | None:
    """All characters that the expression may read; None where it has assertions."""
    match regex:
        case Empty():
            return ()
        case Assertion():
            return None
        case Chars(literal, on_view):
            return ranges_of([*literal, *on_view])
        case Repeat(item):
            return _characters(item)
        case Concat(items) | Alternation(items):
            found = [_characters(item) for item in items]
            known = [ranges for ranges in found if ranges is not None]
            return ranges_of([pair for ranges in known for pair in ranges]) if len(known) == len(found) else None
        case _:
            assert_never(regex)


def _points(text: str) -> Ranges:
    return ranges_of([(ord(char), ord(char)) for char in text])


def _meet(a: Ranges, b: Ranges) -> bool:
    """Whether a character is in both."""
    return any(low <= high_b and low_b <= high for low, high in a for low_b, high_b in b)
