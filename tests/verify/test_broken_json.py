"""What only begins like JSON: cut off, with text behind it, or JSON for lenient readers alone."""

import pytest

import policykit as pk
from policykit.ir.document import Redact, Within
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import Verdict
from policykit.verify import Verifier
from policykit.verify.subject import BROKEN_JSON
from tests.plan.documents import of
from tests.verify.build import mask, reading, regexes, rule

ANY = regexes(r"(?s:.)")
IN_STRINGS = regexes(r"\d{4}", read=reading(within=Within.JSON_STRINGS))


def verify(text: str, *rules: ResolvedRule) -> Verdict:
    return Verifier(rules, None, "").verify(text)


@pytest.mark.parametrize("text", [
    '{"ssn": "12', '{"ssn": 12', '{"ssn": {"a": 1', '{"ssn": [1, "2"', '{"n": 1, "ss', '{"ssn": "\\', '{"ssn": 1,}',
    '{"ssn": 1} ok?', '[{"ssn": 1}', "{see} 12", '{"ssn": 1}}', '[{"ssn": tru',
])  # fmt: skip
def test_fields_that_cannot_be_told_are_not_released(text: str) -> None:
    redact = rule("r", ANY, Redact(("ssn", "*.ssn"), "#"))
    verdict = verify(text, redact, rule("pin", IN_STRINGS, mask()))
    assert (verdict.decision, verdict.text, verdict.transforms) == ("block", "", ())
    assert [(error.rule, error.message) for error in verdict.errors] == [("r", f"Ambiguous: {BROKEN_JSON}")]


@pytest.mark.parametrize("text", ["see ]", "[I] say }", '"a" and } ]', "12 }", 'so: {"ssn": 1}'])
def test_prose_with_brackets_has_no_fields(text: str) -> None:
    verdict = verify(text, rule("r", ANY, Redact(("ssn", "**.ssn"), "#")))
    assert (verdict.decision, verdict.text, verdict.errors) == ("allow", text, ())
    assert [row.rule for row in verdict.not_applicable] == ["r"]


def test_strings_of_json_that_is_cut_off_are_read() -> None:
    pin = rule("pin", IN_STRINGS, mask(label="PIN"))
    assert verify('{"a": "1234", "b": "say 56', pin).text == '{"a": "[PIN_1]", "b": "say 56'
    assert verify('{"a": "1234"} 1234', pin).text == '{"a": "[PIN_1]"} 1234'
    assert verify("[1] 1234", pin).text == "[1] 1234"


@pytest.mark.parametrize(
    "text", ['{"rating": "mid', '{"rating": "mid"} ok?', '{"rating": "mid", "n": NaN}', "[{'rating'"]
)
def test_a_rule_on_json_lets_no_such_text_pass(text: str) -> None:
    match = {"phrases": ["guaranteed returns"]}
    made = pk.compile(of({"id": "r", "target": "json", "match": match, "action": {"block": {}}}))
    stream = made.stream()
    shown = "".join(map(stream.feed, text))
    rest, streamed = stream.close()
    for verdict in (made.verify(text), streamed):
        assert verdict.decision is pk.Decision.BLOCK
        assert [(error.rule, error.message) for error in verdict.errors] == [("r", f"Ambiguous: {BROKEN_JSON}")]
    assert shown + rest == ""
    assert made.verify("[1] says so").decision is pk.Decision.ALLOW
