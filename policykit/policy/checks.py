"""What fields mean together: uniqueness, references, and matchers that could never or would always fire.

The checks run on whatever part of a document could be read, so that one mistake does not hide another.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.policy.chains import check_composed
from policykit.policy.checked import Entries, Leaf
from policykit.policy.citations import check_citations, source_ids
from policykit.policy.classifiers import asked_in, check_classifiers, check_scores
from policykit.policy.decisions import check_decisions
from policykit.policy.entities import check_entities
from policykit.policy.lists import phrases_of
from policykit.policy.rules import DEFAULT_RULE, check_rules, exception_ids
from policykit.policy.stream_safe import check_stream_safe, ids_of
from policykit.policy.table import VIEWS
from policykit.policy.tests_table import JUDGED
from policykit.policy.transforms import check_transform, is_on_spans
from policykit.policy.view_checks import check_length, check_phrase, check_regex

DEFAULT_VIEWS = ("compat",)
SQUEEZED = (2, 10)
"""Words and letters that a phrase needs if its letters may be set apart: short ones are found all over prose."""


def check(document: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends everything that is wrong with the document beyond single fields."""
    rules, tests = document.records("rules"), document.records("tests")
    _unique("PK050", "rule id", (rule.leaf("id") for rule in rules), diagnostics)
    _unique("PK052", "test name", (test.leaf("name") for test in tests), diagnostics)
    _unique("PK064", "exception id", exception_ids(rules), diagnostics)
    _check_effective(document, diagnostics)
    check_stream_safe(document, diagnostics)
    check_rules(document, rules, diagnostics)
    check_citations(document, rules, diagnostics)
    for rule in rules:
        match = rule.entries("match")
        require = rule.entries("require")
        demanded = require.entries("match") if require else None
        if demanded:
            _check_match(demanded, diagnostics)
        if match:
            _check_match(match, diagnostics)
        check_classifiers(rule, diagnostics)
        _check_transform(rule, match, diagnostics)
    _check_expectations(document, rules, tests, diagnostics)
    check_decisions(rules, tests, diagnostics)
    asked = asked_in(rules)
    if asked is not None:
        check_scores(tests, asked, diagnostics)


def _unique(code: str, what: str, leaves: Iterable[Leaf | None], diagnostics: list[Diagnostic]) -> None:
    first: dict[object, Place] = {}
    for leaf in leaves:
        if leaf is None:
            continue
        if leaf.value in first:
            related = ((first[leaf.value], "the first one"),)
            message = f"duplicate {what} `{leaf.value}`"
            diagnostics.append(Diagnostic(code, message, leaf.place, "rename one of the two", related=related))
        first.setdefault(leaf.value, leaf.place)


def _check_effective(document: Entries, diagnostics: list[Diagnostic]) -> None:
    effective = document.entries("effective")
    since, until = (effective.day("from"), effective.day("until")) if effective else (None, None)
    if effective and since and until and since >= until:
        message = f"`from` {since} is not before `until` {until}, so the document never applies"
        place = effective.fields["until"].place
        diagnostics.append(
            Diagnostic("PK053", message, place, "`until` is the first day on which it no longer applies")
        )


def _check_expectations(
    document: Entries, rules: Sequence[Entries], tests: Sequence[Entries], diagnostics: list[Diagnostic]
) -> None:
    known = [text for rule in rules if (text := rule.text("id"))]
    known += [DEFAULT_RULE] if any("allow" in a.keys for r in rules if (a := r.entries("action"))) else []
    if len(known) < len(rules):
        return  # an id that could not be read is reported already, and a test may mean that one
    known += [*ids_of(document), *(rule_id for rule_id, _ in source_ids(rules))]
    check_tests(tests, known, [str(leaf.value) for leaf in exception_ids(rules) if leaf], diagnostics)


def check_tests(
    tests: Iterable[Entries], rules: Sequence[str], exceptions: Sequence[str], diagnostics: list[Diagnostic]
) -> None:
    """Appends what is wrong with tests of a document that has these rules and exceptions."""
    for test in tests:
        given = test.entries("given")
        judged = [given.keys[name] for name in JUDGED if name in given.keys] if given else []
        if len(judged) > 1:
            message = "a test judges one thing"
            diagnostics.append(Diagnostic("PK067", message, judged[1], "write a test for each of them"))
        expect = test.entries("expect")
        if expect:
            check_expected(expect, "rule", "rules", rules, diagnostics)
            check_expected(expect, "rule", "errors", rules, diagnostics)
            check_expected(expect, "exception", "exceptions", exceptions, diagnostics)
            _check_golden(expect, diagnostics)


def check_expected(expect: Entries, what: str, field: str, known: Sequence[str], diagnostics: list[Diagnostic]) -> None:
    """Appends a diagnostic for everything that a test expects and its document does not have."""
    for leaf in expect.leaves(field):
        if leaf.value not in known:
            help = did_you_mean(str(leaf.value), known) or f"known {what}s: {', '.join(known) or 'none'}"
            message = f"the test expects {what} `{leaf.value}`, which this document does not have"
            diagnostics.append(Diagnostic("PK059", message, leaf.place, help))


def _check_golden(expect: Entries, diagnostics: list[Diagnostic]) -> None:
    golden = expect.leaf("golden")
    if golden is None:
        return
    path = PurePosixPath(str(golden.value))
    if path.is_absolute() or ".." in path.parts or "\\" in str(golden.value):
        message = f"`{golden.value}` is not in the folder of this file, or below it"
        diagnostics.append(Diagnostic("PK508", message, golden.place, "name it relative to this file: `golden/x.txt`"))
    if "output" in expect.keys:
        message = "the output is said twice"
        diagnostics.append(Diagnostic("PK508", message, expect.keys["golden"], "keep one of `output` and `golden`"))


def _check_transform(rule: Entries, match: Entries | None, diagnostics: list[Diagnostic]) -> None:
    action = rule.entries("action")
    transform = action.entries("transform") if action else None
    if transform:
        check_transform(transform, match, diagnostics)
    if action and transform and match and is_on_spans(transform) and not _has_place(match):
        message = "`transform` has nothing to replace where an absence or a number is found"
        help = "use `block`, or combine it with a matcher under `all`"
        diagnostics.append(Diagnostic("PK058", message, action.keys["transform"], help))


def _has_place(match: Entries) -> bool:
    """Whether everything that the match finds stands somewhere in the text."""
    count = match.entries("count")
    if match.fields.keys() & {"not", "length", "language"} or (count and not _counts_places(count)):
        return False
    if "all" in match.fields:
        return any(map(_has_place, match.records("all")))
    return all(map(_has_place, match.records("any")))


def _counts_places(count: Entries) -> bool:
    """Whether what is counted is found in its places, and not only told to be often enough, or too seldom."""
    return {"entities", "atLeast"} <= count.fields.keys()


def _check_match(match: Entries, diagnostics: list[Diagnostic]) -> None:
    inner = match.entries("not")
    for item in (*match.records("all"), *match.records("any"), *((inner,) if inner else ())):
        _check_match(item, diagnostics)
    names = [leaf.value for leaf in match.leaves("views")]
    for holder in (match, match.entries("predicate"), match.entries("classifier")):
        views = [leaf.value for leaf in holder.leaves("views")] if holder else []
        if holder and len(set(views)) < len(views):
            place = holder.fields["views"].place
            diagnostics.append(Diagnostic("PK056", "a view is named twice", place, "name each view once"))
    kinds = [leaf.value for leaf in match.leaves("unescape")]
    if len(set(kinds)) < len(kinds):
        place = match.fields["unescape"].place
        diagnostics.append(Diagnostic("PK056", "a kind of escapes is named twice", place, "name each kind once"))
    if match.text("within") == "text" and match.text("join") == "array":
        message = "`join: array` has no effect on `within: text`"
        diagnostics.append(Diagnostic("PK056", message, match.keys["join"], "use `within: json.strings`, or remove it"))
    if match.text("within") == "json.scalars" and match.text("join") == "array":
        message = "`join: array` joins strings, and `json.scalars` reads numbers too"
        diagnostics.append(Diagnostic("PK056", message, match.keys["join"], "use `within: json.strings`, or remove it"))
    views = tuple(str(name) for name in names if name in VIEWS) or DEFAULT_VIEWS
    check_entities(match, diagnostics)
    check_composed(match, views, diagnostics)
    if match.flag("squeeze") and match.flag("exact"):
        message = "`exact` has no effect under `squeeze`, which erases separators"
        diagnostics.append(Diagnostic("PK056", message, match.keys["exact"], "keep one of the two"))
    for phrase, _ in phrases_of(match):
        check_phrase(phrase, views, diagnostics)
        if match.flag("squeeze"):
            check_length(str(phrase.value), "squeeze", SQUEEZED, phrase.place, diagnostics)
    for regex in match.regexes("regex"):
        check_regex(regex, views, True, diagnostics)
    for side in (match.entries("before"), match.entries("after")):
        for regex in side.regexes("regex") if side else ():
            check_regex(regex, views, False, diagnostics)
