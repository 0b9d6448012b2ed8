"""What only begins like JSON: cut off, with text behind it, or JSON for lenient readers alone."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

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
    assert verify('["1234"] ok?', pin).text == '["[PIN_1]"] ok?'
    assert verify('["1234"]\n["5678"]', pin).text == '["[PIN_1]"]\n["[PIN_2]"]'
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


LENIENT = [
    '["1234"] ok?', '["1234",]', '["1234"]\n["5678"]', '["1234", // c\n "5678"]', "['1234']", '[01, "1234"]',
    '["\\x41 1234"]', '["1234"]]', '["a", // "\n "1234"]', "[\"a'\", '1234']", '[1]\n["1234"]', "{'a': '1234'}",
    '\x0c{"a": "1234"}', '\u00a0["1234"]', '[{"a": "1234"}, ', '["\\x31234"]', "[['a'], \"1234\"]", '["1234"',
]  # fmt: skip
PROSE = [
    "[1] see page 1234", "[1, 2] and [3] in 1234", '"Hello 1234", she said.', '[1] "On Growth 1234", by Thompson',
    "[Note] the \"pin\" is 1234", "[ ] call 1234", "[x](http://a/1234) {b}", "[12:34] 1234", '"No."\n"1234."\n',
    "[sic] 1234", "[I say] {1234}", "[None] of 1234",
]  # fmt: skip
READS: dict[str, dict[str, Any]] = {
    within: {
        "id": "r",
        "match": {"regex": [r"\d{4}"], "within": within},
        "action": {"transform": {"mask": {"with": "PIN"}}},
    }
    for within in ("json.strings", "json.scalars")
}
NEEDS: dict[str, dict[str, Any]] = {
    "json": {"id": "r", "target": "json", "match": {"phrases": ["1234"]}, "action": {"block": {}}},
    "redact": {
        "id": "r",
        "match": {"regex": ["(?s:.)"]},
        "action": {"transform": {"redact": {"fields": ["a", "*", "*.a"]}}},
    },
}
MADE = {name: pk.compile(of(rule)) for name, rule in (READS | NEEDS).items()}


def judged(text: str, name: str) -> Verdict:
    """The verdict on the whole text, which a stream shares, in pieces and in characters."""
    made = MADE[name]
    whole = made.verify(text)
    for chunks in ([text[:3], text[3:]], list(text)):
        stream = made.stream()
        shown = "".join(map(stream.feed, chunks))
        rest, streamed = stream.close()
        assert (streamed.decision, streamed.errors) == (whole.decision, whole.errors)
        assert [row.rule for row in streamed.not_applicable] == [row.rule for row in whole.not_applicable]
        assert shown + rest == whole.text
    return whole


@pytest.mark.parametrize("rule", MADE)
@pytest.mark.parametrize("text", LENIENT)
def test_no_lenient_reader_sees_what_a_rule_on_json_is_about(text: str, rule: str) -> None:
    verdict = judged(text, rule)
    assert "1234" not in verdict.text
    assert not verdict.not_applicable
    if rule in NEEDS:
        assert [error.message for error in verdict.errors] == [f"Ambiguous: {BROKEN_JSON}"]


@pytest.mark.parametrize("rule", MADE)
@pytest.mark.parametrize("text", PROSE)
def test_no_rule_on_json_is_about_prose(text: str, rule: str) -> None:
    verdict = judged(text, rule)
    assert (verdict.decision, verdict.text, verdict.errors) == (pk.Decision.ALLOW, text, ())
    assert [row.rule for row in verdict.not_applicable] == ["r"]


@given(st.sampled_from([*MADE]), st.text(st.sampled_from("[]{}\"',/: 1a\n"), max_size=12))
@example("json.strings", "['\"'")
def test_streams_agree_where_prose_begins(rule: str, text: str) -> None:
    judged(text, rule)
