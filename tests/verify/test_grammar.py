"""A grammar's say in the verdict."""

from policykit.diagnostics import Place
from policykit.grammar import choices, json_schema
from policykit.verify import Verifier
from tests.verify.build import mask, phrases, replacement, rule

PLACE = Place("g.json")
TICKET = json_schema(
    {
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 12}, "level": {"enum": ["low", "high"]}},
        "required": ["title"],
        "additionalProperties": False,
    },
    PLACE,
)


def test_text_of_the_grammar_is_allowed() -> None:
    verdict = Verifier((), TICKET, "").verify('{"title":"a","level":"low"}')
    assert (verdict.decision, verdict.violations, verdict.cost) == ("allow", (), 0)


def test_text_that_is_not_of_the_grammar_is_blocked_with_the_pointer() -> None:
    verdict = Verifier((), TICKET, "").verify('{"title":"a","level":"medium"}')
    assert (verdict.decision, verdict.text, verdict.rules) == ("block", "", ("grammar",))
    assert verdict.violations[0].matched.startswith("/level: enum: ")
    assert (verdict.violations[0].start, verdict.cost) == (None, 1.0)


def test_every_broken_keyword_is_listed() -> None:
    verdict = Verifier((), TICKET, "").verify('{"level":"medium"}')
    assert len(verdict.violations) == 2


def test_truncated_json_is_read_as_json() -> None:
    rules = (rule("r", phrases("guaranteed returns")),)
    verdict = Verifier(rules, TICKET, "").verify('{"title":"\\u0067uaranteed returns')
    assert verdict.rules == ("grammar", "r")
    assert verdict.not_applicable == ()


def test_auto_reads_strings_under_a_json_grammar_and_text_under_another() -> None:
    rules = (rule("r", phrases("title")), rule("structure", phrases("{")))
    assert Verifier(rules, TICKET, "").verify('{"title":"a"}').rules == ("r",)
    assert Verifier(rules, choices(("{title}", "x"), PLACE), "").verify("{title}").rules == ("structure", "r")


def test_a_transform_inside_a_string_keeps_the_grammar() -> None:
    rules = (rule("r", phrases("acme"), replacement('"x"')),)
    verdict = Verifier(rules, TICKET, "").verify('{"title":"an acme"}')
    assert (verdict.decision, verdict.text) == ("transform", '{"title":"an \\"x\\""}')


def test_a_transform_that_leaves_the_grammar_is_blocked() -> None:
    rules = (rule("r", phrases("acme"), mask("[{type}]", "VERY_LONG_LABEL")),)
    verdict = Verifier(rules, TICKET, "").verify('{"title":"an acme"}')
    assert (verdict.decision, verdict.text, verdict.rules) == ("block", "", ("r", "grammar"))
    assert verdict.violations[1].matched.startswith("after transforms: /title: maxLength: ")


def test_a_grammar_that_cannot_be_decided_blocks() -> None:
    backtracking = json_schema({"type": "string", "pattern": "^(?:(?=a)a|a)*b$"}, PLACE)
    verdict = Verifier((), backtracking, "").verify('"' + "a" * 60 + '"')
    assert (verdict.decision, verdict.violations) == ("block", ())
    assert [error.rule for error in verdict.errors] == ["grammar"]


def test_a_number_that_no_decimal_holds_is_a_violation() -> None:
    verdict = Verifier((), json_schema({"type": "number"}, PLACE), "").verify("0.5e8721725736308237335537268884")
    assert (verdict.decision, verdict.rules, len(verdict.violations)) == ("block", ("grammar",), 1)
    assert "beyond the range of a double" in verdict.violations[0].matched
