"""Verdicts that were worked out by hand."""

from dataclasses import dataclass

import pytest

from policykit.ir.document import AllOf, AnyOf, Join, Mode, Not, Within
from policykit.ir.plan import ResolvedRule
from policykit.verify import Verifier
from tests.verify.build import block, context, mask, phrases, reading, regexes, replacement, rule

JSON = Within.JSON_STRINGS


@dataclass(frozen=True)
class Case:
    """``spans`` are the matched stretches of the original, in order; None stands for an absence."""

    name: str
    rules: tuple[ResolvedRule, ...]
    text: str
    decision: str
    rules_fired: tuple[str, ...] = ()
    spans: tuple[str | None, ...] = ()
    output: str | None = None
    not_applicable: tuple[str, ...] = ()


RETURNS = rule("no-guarantees", phrases("guaranteed returns", "risk-free profit"), block("We cannot promise that."))
PIN = rule("pin", regexes(r"\b\d{4}\b"), mask(label="PIN"))
IN_STRINGS = phrases("guaranteed returns", read=reading(within=JSON))
JOINED = phrases("guaranteed returns", read=reading(within=JSON, join=Join.ARRAY))
UNMARKED = phrases("guaranteed returns", read=reading(("raw", "compat", "unmarked")))

CASES = (
    Case("nothing to find", (RETURNS,), "Delivery is guaranteed, returns are free.", "allow"),
    Case("empty text", (RETURNS,), "", "allow", output=""),
    Case("plain phrase", (RETURNS,), "x guaranteed returns!", "block", ("no-guarantees",), ("guaranteed returns",),
         "We cannot promise that."),
    Case("two phrases of one rule", (RETURNS,), "Risk-free profit, GUARANTEED RETURNS", "block",
         ("no-guarantees",), ("Risk-free profit", "GUARANTEED RETURNS")),
    Case("no boundary on the left", (RETURNS,), "unguaranteed returns", "allow"),
    Case("no boundary on the right", (RETURNS,), "guaranteed returnsy", "allow"),
    Case("a phrase inside a Japanese sentence", (rule("j", phrases("元本保証", "NISA")),),
         "この商品は元本保証です。NISAで", "block", ("j",), ("元本保証", "NISA")),
    Case("a phrase of kana is found in kana", (rule("j", phrases("かならず もうかる")),),
         "かならず　もうかるよ", "block", ("j",), ("かならず　もうかる",)),
    Case("voicing tells kana apart", (rule("j", phrases("ハス")),), "バスで行く", "allow"),
    Case("a phrase inside a Thai sentence", (rule("t", phrases("รับประกัน")),), "เรารับประกันกำไร", "block", ("t",),
         ("รับประกัน",)),
    Case("separators between the words", (RETURNS,), "guaranteed\t*_—\u00a0returns", "block", ("no-guarantees",),
         ("guaranteed\t*_—\u00a0returns",)),
    Case("zero-width characters inside", (RETURNS,), "a guaran\u200bteed re\u2060turns b", "block", ("no-guarantees",),
         ("guaran\u200bteed re\u2060turns",)),
    Case("zero-width characters beside", (RETURNS,), "\u200bguaranteed returns\u200b", "block", ("no-guarantees",),
         ("guaranteed returns",)),
    Case("full-width letters", (RETURNS,), "ｇｕａｒａｎｔｅｅｄ ｒｅｔｕｒｎｓ", "block", ("no-guarantees",),
         ("ｇｕａｒａｎｔｅｅｄ ｒｅｔｕｒｎｓ",)),
    Case("combining marks need the unmarked view", (RETURNS,), "guaránteed returns", "allow"),
    Case("combining marks on the unmarked view", (rule("u", UNMARKED),), "gua\u0301ránteed returns", "block", ("u",),
         ("gua\u0301ránteed returns",)),
    Case("several views see one stretch once", (rule("u", UNMARKED),), "guaranteed returns", "block", ("u",),
         ("guaranteed returns",)),
    Case("a match ends inside a ligature", (rule("r", regexes("of")),), "o\ufb01!", "block", ("r",), ("o\ufb01",)),
    Case("a match begins inside a ligature", (rule("r", regexes("ix")),), "\ufb01x", "block", ("r",), ("\ufb01x",)),
    Case("sharp s folds to two letters", (rule("r", phrases("strasse")),), "die Straße da", "block", ("r",),
         ("Straße",)),
    Case("on the raw view case counts", (rule("r", phrases("Rust", read=reading(("raw",)))),), "rust", "allow"),
    Case("exact phrases keep their space", (rule("r", phrases("a b", exact=True)),), "a  b", "allow"),
    Case("alternatives of one matcher overlap", (rule("r", AnyOf((phrases("red apple"), regexes("apple pie")))),),
         "red apple pie", "block", ("r",), ("red apple",)),
    Case("all of two", (rule("r", AllOf((phrases("a1"), phrases("b2")))),), "b2 a1", "block", ("r",), ("b2", "a1")),
    Case("all of two, one missing", (rule("r", AllOf((phrases("a1"), phrases("b2")))),), "a1", "allow"),
    Case("an absence has no place", (rule("r", Not(phrases("risk"))),), "no word", "block", ("r",), (None,)),
    Case("an absence that is none", (rule("r", Not(phrases("risk"))),), "a risk", "allow"),
    Case("a finding without what must go with it", (rule("r", AllOf((phrases("fund"), Not(phrases("risk"))))),),
         "our fund", "block", ("r",), ("fund",)),
    Case("double negation", (rule("r", Not(Not(phrases("fund")))),), "our fund", "block", ("r",), (None,)),
    Case("context before, near enough", (rule("r", regexes(r"\d+", before=context("acct", 2))),), "acct: 12", "block",
         ("r",), ("12",)),
    Case("context before, too far", (rule("r", regexes(r"\d+", before=context("acct", 2))),), "acct is 12", "allow"),
    Case("context after", (rule("r", phrases("ten", after=context("%|percent", 1))),), "ten % and ten", "block", ("r",),
         ("ten",)),
    Case("rules in the order of appearance", (rule("b", phrases("bb")), rule("a", phrases("aa"))), "aa bb", "block",
         ("a", "b"), ("aa", "bb")),
    Case("the first block in the plan speaks",
         (rule("b", phrases("bb"), block("B")), rule("a", phrases("aa"), block("A"))), "aa bb", "block", ("a", "b"),
         ("aa", "bb"), "B"),
    Case("block beats transform", (PIN, RETURNS), "1234 guaranteed returns", "block", ("pin", "no-guarantees"),
         ("1234", "guaranteed returns"), "We cannot promise that."),
    Case("equal ids are told apart", (rule("r", phrases("aa"), document="d1"), rule("r", phrases("aa"), document="d2")),
         "aa", "block", ("d1#r", "d2#r"), ("aa", "aa")),
    Case("a rule called grammar", (rule("grammar", phrases("aa")),), "aa", "block", ("doc#grammar",), ("aa",)),
    # transforms
    Case("equal values share a number", (PIN,), "1111 2222 1111", "transform", ("pin",), ("1111", "2222", "1111"),
         "[PIN_1] [PIN_2] [PIN_1]"),
    Case("numbers are per label", (PIN, rule("w", phrases("acme"), mask(label="NAME"))), "acme 1111", "transform",
         ("w", "pin"), ("acme", "1111"), "[NAME_1] [PIN_1]"),
    Case("zero-width characters go with the match", (rule("w", phrases("acme corp"), replacement("X")),),
         "an ac\u200bme\u200b corp.", "transform", ("w",), ("ac\u200bme\u200b corp",), "an X."),
    Case("overlap: the higher severity wins the union",
         (rule("lo", phrases("red apple"), replacement("LO"), severity="low"),
          rule("hi", phrases("apple pie"), replacement("HI"), severity="high")),
         "a red apple pie!", "transform", ("lo", "hi"), ("red apple", "apple pie"), "a HI!"),
    Case("overlap: then the earlier start", (rule("late", phrases("apple pie"), replacement("L")),
                                             rule("early", phrases("red apple"), replacement("E"))),
         "a red apple pie!", "transform", ("early", "late"), ("red apple", "apple pie"), "a E!"),
    Case("overlap: one inside the other", (rule("out", phrases("red apple pie"), replacement("O")),
                                           rule("in", phrases("apple"), replacement("I"))),
         "a red apple pie!", "transform", ("out", "in"), ("red apple pie", "apple"), "a O!"),
    Case("overlap: the inner one wins all of the outer",
         (rule("out", phrases("red apple pie"), replacement("O")),
          rule("in", phrases("apple"), replacement("I"), severity="high")),
         "a red apple pie!", "transform", ("out", "in"), ("red apple pie", "apple"), "a I!"),
    Case("a seam belongs to no match", (rule("j", regexes(r"sure\s", read=JOINED.reading), replacement("-")),),
         '["sure","thing"]', "transform", ("j",), ("sure",), '["-","thing"]'),
    Case("spans that touch stay apart", (rule("d", regexes("1"), replacement("x")),), "11", "transform", ("d",),
         ("1", "1"), "xx"),
    Case("overlapping alternatives are all covered",
         (rule("r", AnyOf((phrases("red apple"), phrases("apple pie"))), replacement("-")),), "red apple pie",
         "transform", ("r",), ("red apple",), "-"),
    Case("a transform whose result fires is blocked", (rule("r", regexes("a"), replacement("aa")),), "a", "block",
         ("r",), ("a", None), ""),
    Case("a transform whose result breaks another rule is blocked",
         (rule("r", phrases("x"), replacement("returns")), RETURNS), "guaranteed x", "block", ("r", "no-guarantees"),
         ("x", None), "We cannot promise that."),
    Case("a template is filled once", (rule("r", phrases("x"), mask("{n}{type}", "{n}")),), "x", "transform", ("r",),
         ("x",), "1{n}"),
    # JSON
    Case("escapes are covered whole", (rule("j", IN_STRINGS),), '["\\u0067uaranteed\\u0020returns"]', "block", ("j",),
         ("\\u0067uaranteed\\u0020returns",)),
    Case("keys are strings too", (rule("j", IN_STRINGS),), '{"guaranteed returns": 1}', "block", ("j",),
         ("guaranteed returns",)),
    Case("not across two strings", (rule("j", IN_STRINGS),), '["guaranteed","returns"]', "allow"),
    Case("across the strings of an array when joined", (rule("j", JOINED),), '[0, "guaranteed", "returns"]', "block",
         ("j",), ('guaranteed", "returns',)),
    Case("a number ends a run", (rule("j", JOINED),), '["guaranteed", 0, "returns"]', "allow"),
    Case("an object's strings are not joined", (rule("j", JOINED),), '{"guaranteed": "returns"}', "allow"),
    Case("structure is no string", (rule("j", regexes("true", read=reading(within=JSON))),), '{"a": true}', "allow"),
    Case("plain text has no JSON strings", (rule("j", IN_STRINGS), PIN), "guaranteed returns", "allow",
         not_applicable=("j",)),
    Case("what does not apply does not fire by absence", (rule("j", Not(IN_STRINGS)),), "prose", "allow",
         not_applicable=("j",)),
    Case("what decides without it fires", (rule("j", AnyOf((IN_STRINGS, phrases("prose")))),), "prose", "block", ("j",),
         ("prose",)),
    Case("what decides without it stays still", (rule("j", AllOf((IN_STRINGS, phrases("verse")))),), "prose", "allow"),
    Case("a lenient reader's JSON is read", (rule("j", IN_STRINGS),),
         '\ufeff{"n": ' + "9" * 5000 + ', "m": NaN, "s": "\x01guaranteed returns"}', "block", ("j",),
         ("guaranteed returns",)),
    Case("replacements are escaped in strings", (rule("j", IN_STRINGS, replacement('a "b"\n')),),
         '["guaranteed returns"]', "transform", ("j",), ("guaranteed returns",), '["a \\"b\\"\\n"]'),
    Case("equal contents share a number however they are spelled",
         (rule("j", phrases("acme", "bolt", read=reading(within=JSON)), mask(label="N")),),
         '["acme","\\u0061cme","bolt"]', "transform", ("j",), ("acme", "\\u0061cme", "bolt"),
         '["[N_1]","[N_1]","[N_2]"]'),
    Case("a joined match keeps the array's length", (rule("j", JOINED, replacement("-")),),
         '["not guaranteed","returns now"]', "transform", ("j",), ('guaranteed","returns',), '["not -"," now"]'),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("prefilter", [True, False], ids=["prefilter", "automata"])
def test_verdict(case: Case, prefilter: bool) -> None:
    verdict = Verifier(case.rules, None, "d1g357", prefilter=prefilter).verify(case.text)
    spans = tuple(None if v.start is None else case.text[v.start : v.end] for v in verdict.violations)
    assert (verdict.decision, verdict.rules, spans) == (case.decision, case.rules_fired, case.spans)
    assert verdict.errors == ()
    assert tuple(row.rule for row in verdict.not_applicable) == case.not_applicable
    assert verdict.digest == "d1g357"
    assert verdict.cost == sum(violation.cost for violation in verdict.violations)
    if case.decision == "allow":
        assert verdict.text == case.text
    elif case.output is not None:
        assert verdict.text == case.output


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_cost_is_summed_over_violations() -> None:
    rules = (rule("a", phrases("aa"), cost=2.5), rule("b", phrases("bb"), cost=0.25))
    assert Verifier(rules, None, "").verify("aa bb aa").cost == 5.25


def test_a_violation_names_phrase_view_and_severity() -> None:
    verdict = Verifier((rule("a", phrases("x", "Y Z"), severity="critical"),), None, "").verify("- y-z")
    (violation,) = verdict.violations
    assert (violation.matched, violation.view, violation.severity) == ("Y Z", "compat", "critical")
    assert (violation.start, violation.end) == (2, 5)


def test_shadow_is_logged_and_changes_nothing() -> None:
    rules = (
        rule("block", phrases("aa"), mode=Mode.SHADOW, cost=9),
        rule("mask", phrases("bb"), mask(), mode=Mode.SHADOW),
        rule("absent", Not(phrases("cc")), mask(), mode=Mode.SHADOW),
    )
    verdict = Verifier(rules, None, "").verify("aa bb")
    assert (verdict.decision, verdict.text, verdict.violations, verdict.cost) == ("allow", "aa bb", (), 0)
    assert [violation.rule for violation in verdict.shadow] == ["block", "mask", "absent"]


def test_transforms_say_what_they_did() -> None:
    verdict = Verifier((PIN,), None, "").verify("pin 1234!")
    (applied,) = verdict.transforms
    assert (applied.rule, applied.start, applied.end, applied.replacement) == ("pin", 4, 8, "[PIN_1]")


def test_a_blocked_text_has_no_transforms() -> None:
    assert Verifier((PIN, RETURNS), None, "").verify("1234 guaranteed returns").transforms == ()
