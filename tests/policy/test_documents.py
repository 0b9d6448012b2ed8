"""Laws of documents: canonical form, formatting, and that no text at all is more than a diagnostic."""

import dataclasses
import json
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.diagnostics import Place, PolicyError
from policykit.ir.document import AllOf, AnyOf, Block, Mask, Mode, Not, OnMatch, Phrases, Regexes, Within
from policykit.policy import load_policies, parse_document
from policykit.policy.table import VIEWS
from policykit.text import VIEW_NAMES
from tests.policy.cases import BASE, BLOCK, PHRASES
from tests.policy.documents import as_yaml, documents

LAWS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _without_places(value: Any) -> Any:
    if isinstance(value, Place):
        return None
    if dataclasses.is_dataclass(value):
        fields = {field.name: _without_places(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return type(value).__name__, fields
    return tuple(map(_without_places, value)) if isinstance(value, tuple) else value


@LAWS
@given(documents())
def test_the_canonical_form_loads_to_an_equal_document(value: dict[str, Any]) -> None:
    first = parse_document(json.dumps(value), "x")
    again = parse_document(first.canonical, "x")
    assert _without_places(again) == _without_places(first)
    assert json.loads(first.canonical) == value


@LAWS
@given(documents(), st.integers(0, 2**32))
def test_formatting_comments_and_key_order_do_not_change_the_canonical_form(value: dict[str, Any], seed: int) -> None:
    assert parse_document(as_yaml(value, seed), "x").canonical == parse_document(json.dumps(value), "x").canonical


@LAWS
@given(documents(), documents())
def test_different_contents_have_different_canonical_forms(a: dict[str, Any], b: dict[str, Any]) -> None:
    same = parse_document(json.dumps(a), "x").canonical == parse_document(json.dumps(b), "x").canonical
    assert same == (a == b)


_PIECES = st.sampled_from(
    [*"{}[]:,-?&*!|>'\"%@`#\n\t \\x0", "<<: ", "---\n", "...", "!!", "&a ", "*a", '"\\ud800"', "\ufeff"]
)


@settings(max_examples=250, deadline=None)
@given(st.integers(0, len(BASE)), st.integers(0, 12), st.lists(_PIECES | st.characters(), max_size=6).map("".join))
def test_no_text_is_more_than_a_diagnostic_inside_the_text(at: int, cut: int, put: str) -> None:
    text = BASE[:at] + put + BASE[at + cut :]
    try:
        parse_document(text, "x")
    except PolicyError as error:
        lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for diagnostic in error.diagnostics:
            place = diagnostic.place
            assert place is not None
            assert (place.line, place.column) <= (place.end_line, place.end_column)
            assert place.end_line <= len(lines)
            assert place.end_column <= len(lines[place.end_line - 1]) + 1


def _rule(match: str, action: str = BLOCK) -> Any:
    return parse_document(BASE.replace(PHRASES, match).replace(BLOCK, action), "x").rules[0]


def test_values_and_defaults() -> None:
    document = parse_document(BASE, "x.policy.yaml")
    (rule,) = document.rules
    assert (document.version, document.owner, document.scope.profiles) == ("1.0.0", "a@b.c", ("answer",))
    assert (rule.severity, rule.cost, rule.mode) == ("high", 2.0, Mode.ENFORCE)
    assert isinstance(rule.matcher, Phrases)
    assert (rule.matcher.exact, rule.matcher.reading.views, rule.matcher.reading.within) == (
        False,
        ("compat",),
        Within.AUTO,
    )
    assert rule.action == Block("no", None, OnMatch.AVOID)
    assert rule.place == Place("x.policy.yaml", 7, 9, 7, 22)
    assert rule.matcher.phrases[0].place == Place("x.policy.yaml", 10, 23, 10, 41)
    plain = parse_document(BASE.replace("    severity: high\n    cost: 2.0\n", ""), "x").rules[0]
    assert (plain.severity, plain.cost) == ("medium", 1.0)


def test_the_documents_defaults_stand_behind_the_rules() -> None:
    text = BASE.replace("rules:\n", "defaults: {mode: shadow, severity: low, cost: 0}\nrules:\n")
    assert parse_document(text, "x").rules[0].severity == "high"
    rule = parse_document(text.replace("    severity: high\n    cost: 2.0\n", ""), "x").rules[0]
    assert (rule.mode, rule.severity, rule.cost) == (Mode.SHADOW, "low", 0.0)


def test_matchers_side_by_side_are_alternatives() -> None:
    matcher = _rule("{phrases: [a, b], regex: c, exact: true, before: {regex: ^, within: 0}}").matcher
    assert isinstance(matcher, AnyOf)
    phrases, regexes = matcher.items
    assert isinstance(phrases, Phrases)
    assert isinstance(regexes, Regexes)
    assert [phrase.text for phrase in phrases.phrases] == ["a", "b"]
    assert phrases.exact
    assert phrases.before == regexes.before
    assert regexes.regexes[0].source == "c"


def test_matchers_combine() -> None:
    matcher = _rule("{all: [{phrases: a}, {not: {any: [{phrases: b}, {regex: c}]}}]}").matcher
    assert isinstance(matcher, AllOf)
    assert isinstance(matcher.items[1], Not)
    assert isinstance(matcher.items[1].item, AnyOf)


def test_a_mask_is_labelled_by_its_type_or_its_rule() -> None:
    assert _rule(PHRASES, '{transform: {mask: {with: "[{type}]"}}}').action == Mask("[{type}]", "NO_GUARANTEES")
    assert _rule(PHRASES, '{transform: {mask: {with: "[{type}]", type: IBAN}}}').action == Mask(
        "[{type}]", "IBAN", own_label=True
    )


def test_yaml_1_2_reads_words_as_words_and_versions_as_they_stand() -> None:
    text = BASE.replace("[answer]", "[on, NO, y]").replace("version: 1.0.0", "version: 1.10")
    document = parse_document(text.replace("because", "2026-01-01"), "x")
    assert document.scope.profiles == ("on", "NO", "y")
    assert document.version == "1.10"
    assert document.why == "2026-01-01"


def test_a_byte_order_mark_and_other_line_ends_are_fine(tmp_path: Any) -> None:
    (tmp_path / "a.policy.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    (document,) = load_policies(tmp_path).documents
    assert document.canonical == parse_document(BASE, "x").canonical
    assert document.rules[0].place.line == 7


def test_files_come_in_order_and_once(tmp_path: Any) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.policy.yaml").write_text(BASE.replace("finance/x", name))
    policies = load_policies(tmp_path / "b.policy.yaml", tmp_path)
    assert [document.name for document in policies.documents] == ["b", "a"]
    assert policies.warnings == ()


def test_the_language_names_the_views_that_there_are() -> None:
    assert VIEWS == VIEW_NAMES
