"""What cannot be judged is an error, and an error blocks."""

import pytest

from policykit.automata import Found, Matches
from policykit.ir.document import Mode, Not, Phrases, Regexes, Within
from policykit.text import View
from policykit.verify import Verifier
from policykit.verify.finders import unit_by_unit
from policykit.verify.units import Seen, parses_as_json
from tests.verify.build import mask, phrases, reading, rule


class Crashing:
    """Searches that fail with one exception, in place of the real ones."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def get(self, leaf: Phrases | Regexes, view: View) -> "Crashing":
        return self

    def find(self, seen: Seen) -> Matches:
        raise self._error

    def find_by_automata(self, seen: Seen) -> Matches:
        raise self._error


RULES = (rule("a", phrases("aa")),)


@pytest.mark.parametrize("prefilter", [True, False])
@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), RecursionError(), MemoryError(), AssertionError("x")], ids=repr
)
def test_a_crashing_check_blocks(error: Exception, prefilter: bool) -> None:
    verdict = Verifier(RULES, None, "", prefilter=prefilter, searches=Crashing(error)).verify("harmless")
    assert (verdict.decision, verdict.text, verdict.violations) == ("block", "", ())
    (failed,) = verdict.errors
    assert failed.rule == "a"
    assert type(error).__name__ in failed.message


def test_a_crash_below_a_negation_blocks() -> None:
    rules = (rule("a", Not(phrases("aa"))),)
    verdict = Verifier(rules, None, "", searches=Crashing(RuntimeError("boom"))).verify("aa")
    assert (verdict.decision, len(verdict.errors)) == ("block", 1)


def test_a_crash_hides_no_other_rule() -> None:
    class CrashesOnA:
        def get(self, leaf: Phrases | Regexes, view: View) -> "Crashing | Finds":
            is_a = isinstance(leaf, Phrases) and leaf.phrases[0].text == "aa"
            return Crashing(RuntimeError("boom")) if is_a else Finds()

    class Finds:
        def find(self, seen: Seen) -> Matches:
            return unit_by_unit(seen, lambda text: [Found(0, 1, 0)])

        def find_by_automata(self, seen: Seen) -> Matches:
            return self.find(seen)

    rules = (rule("a", phrases("aa")), rule("b", phrases("bb")))
    verdict = Verifier(rules, None, "", searches=CrashesOnA()).verify("x")
    assert verdict.decision == "block"
    assert verdict.rules == ("b",)
    assert [failed.rule for failed in verdict.errors] == ["a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_an_exit_is_no_check_error(error: BaseException) -> None:
    with pytest.raises(type(error)):
        Verifier(RULES, None, "", searches=Crashing(error)).verify("harmless")


def test_a_crashing_shadow_rule_is_named_and_changes_nothing() -> None:
    rules = (rule("a", phrases("aa"), mode=Mode.SHADOW),)
    verdict = Verifier(rules, None, "", searches=Crashing(RuntimeError("boom"))).verify("harmless")
    assert (verdict.decision, verdict.text) == ("allow", "harmless")
    assert [failed.rule for failed in verdict.errors] == ["a"]


@pytest.mark.parametrize("text", ["\ud800", "aa\udfff", "a\udc80b"])
def test_text_with_a_lone_surrogate_is_an_error(text: str) -> None:
    verdict = Verifier((), None, "").verify(text)
    assert (verdict.decision, verdict.text, len(verdict.errors)) == ("block", "", 1)


@pytest.mark.parametrize("prefilter", [True, False])
@pytest.mark.parametrize("text", ['["guar\\ud800anteed returns"]', '["\\udc00"]', '["\\ud83d\\ud83d"]'])
def test_an_unpaired_surrogate_escape_is_an_error(text: str, prefilter: bool) -> None:
    rules = (rule("j", phrases("guaranteed returns", read=reading(within=Within.JSON_STRINGS))),)
    verdict = Verifier(rules, None, "", prefilter=prefilter).verify(text)
    assert (verdict.decision, verdict.rules, [failed.rule for failed in verdict.errors]) == ("block", (), ["j"])


def test_a_paired_surrogate_escape_is_a_character() -> None:
    rules = (rule("j", phrases("\U0001f600", read=reading(within=Within.JSON_STRINGS))),)
    (violation,) = Verifier(rules, None, "").verify('["\\ud83d\\ude00"]').violations
    assert (violation.start, violation.end) == (2, 14)


@pytest.mark.parametrize(("text", "decision"), [("é" * 5, "allow"), ("é" * 5 + "a", "block"), ("a" * 11, "block")])
def test_the_size_is_bounded_in_bytes(text: str, decision: str) -> None:
    verdict = Verifier((), None, "", max_bytes=10).verify(text)
    assert verdict.decision == decision
    assert bool(verdict.errors) == (decision == "block")


def test_a_transform_that_outgrows_the_bound_blocks() -> None:
    verdict = Verifier((rule("m", phrases("x"), mask("y" * 50)),), None, "", max_bytes=20).verify("a x")
    assert (verdict.decision, verdict.text, len(verdict.errors)) == ("block", "", 1)


def test_a_transform_of_an_absence_blocks() -> None:
    verdict = Verifier((rule("m", Not(phrases("x")), mask()),), None, "").verify("y")
    assert (verdict.decision, verdict.text, [failed.rule for failed in verdict.errors]) == ("block", "", ["m"])


def test_nesting_too_deep_to_tell_blocks() -> None:
    rules = (rule("j", phrases("x", read=reading(within=Within.JSON_STRINGS))),)
    verdict = Verifier(rules, None, "").verify("[" * 200_000)
    assert (verdict.decision, len(verdict.errors)) == ("block", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("  ", False), ("a", False), ("{", False), ('"a"', True), (" [1] ", True), ("1" * 9000, True),
     ('{"a": Infinity}', True), ('["\n"]', True), ("\ufeff{}", True), ("{} {}", False), ("[1,]", False)],
)  # fmt: skip
def test_what_reads_as_json(text: str, expected: bool) -> None:
    assert parses_as_json(text) is expected
