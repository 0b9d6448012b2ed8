"""Transforms by hand: what each does, how they combine, and that what they lack blocks."""

import hashlib
import hmac
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policykit.ir.document import (
    Action,
    AllOf,
    Append,
    Hash,
    Join,
    Mask,
    Mode,
    Not,
    Prepend,
    Redact,
    Truncate,
    Within,
)
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import Verdict
from policykit.vault import Grant, Vault
from policykit.verify import PREVIEW, Resources, Verifier
from policykit.verify.json_fields import redactions
from tests.verify.build import block, mask, phrases, reading, regexes, replacement, rule

ANY = regexes(r"(?s:.)")
PIN = regexes(r"\b\d{4}\b")
IN_STRINGS = regexes(r"\d{4}", read=reading(within=Within.JSON_STRINGS))
KEYS = {"salt": b"k" * 32}
NOTE = "This is not advice."


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def session() -> Vault:
    return Vault.in_memory(clock=clock, grants=[Grant("audit", ("*",))])


def verify(text: str, *rules: ResolvedRule, resources: Resources = Resources(KEYS)) -> Verdict:  # noqa: B008 - a value
    return Verifier(rules, None, "", resources=resources).verify(text)


def released(text: str, *actions: Action, matcher=ANY, **more) -> str:
    """What comes out of rules that all fire; it must be stable, and nothing may have failed."""
    rules = tuple(rule(f"r{i}", matcher, action) for i, action in enumerate(actions))
    verdict = verify(text, *rules, **more)
    assert verdict.errors == ()
    assert verdict.decision in ("transform", "allow")
    again = verify(verdict.text, *rules, **more)
    assert (again.decision, again.text, again.violations, again.errors) == ("allow", verdict.text, (), ())
    return verdict.text


# -- append and prepend


@pytest.mark.parametrize(("text", "expected"), [
    ("Buy bonds.", "Buy bonds. This is not advice."), ("Buy bonds.\n", "Buy bonds.\nThis is not advice."),
    ("Buy. This is not advice.", "Buy. This is not advice."),
    ("Buy. This is not advice. \n", "Buy. This is not advice. \n"),
    ("This is not advice. Buy.", "This is not advice. Buy. This is not advice."),
    ("This is not advice.", "This is not advice."),
])  # fmt: skip
def test_a_text_is_appended_once(text: str, expected: str) -> None:
    assert released(text, Append(NOTE)) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("Buy.", "Note: Buy."), (" Buy.", "Note: Buy."), ("Note: Buy.", "Note: Buy."), ("\nNote:Buy.", "\nNote:Buy."),
])  # fmt: skip
def test_a_text_is_prepended_once(text: str, expected: str) -> None:
    assert released(text, Prepend("Note:")) == expected


def test_several_texts_stand_in_the_order_of_the_rules() -> None:
    actions = (Append("A."), Prepend("P!"), Append("\nB."), Prepend("Q!"))
    assert released("x", *actions) == "P! Q! x A.\nB."
    assert released("P! x A.", *actions) == "Q! P! x A.\nB."


def test_a_text_that_a_rule_requires_is_appended() -> None:
    rules = (rule("hedge", Not(phrases("not advice")), Append(NOTE)),)
    assert verify("Buy.", *rules).text == f"Buy. {NOTE}"
    assert verify("This is not advice: buy.", *rules).decision == "allow"


def test_an_empty_text_gets_the_text_alone() -> None:
    assert released("", Append(NOTE), matcher=Not(phrases("not advice"))) == NOTE


def test_what_stands_there_already_is_no_violation() -> None:
    verdict = verify(f"Buy. {NOTE}", rule("r", ANY, Append(NOTE)))
    assert (verdict.decision, verdict.violations, verdict.cost) == ("allow", (), 0)


@pytest.mark.parametrize("action", [Append(NOTE), Prepend(NOTE), Truncate(3, "characters", "")])
@pytest.mark.parametrize("text", ['{"a": "b c"}', " [1, 2, 3]", '\ufeff{"a": 1}'])
def test_json_is_neither_put_between_texts_nor_cut(action: Action, text: str) -> None:
    verdict = verify(text, rule("r", ANY, action))
    assert (verdict.decision, verdict.text, [error.rule for error in verdict.errors]) == ("block", "", ["r"])


# -- truncate


@pytest.mark.parametrize(("text", "limit", "unit", "mark", "expected"), [
    ("abcdef", 6, "characters", "…", "abcdef"), ("abcdefg", 6, "characters", "…", "abcde…"),
    ("abcd efg", 6, "characters", "…", "abcd…"), ("abcdefg", 6, "characters", "", "abcdef"),
    ("abcdefg", 2, "characters", "..", ".."), ("e\u0301e\u0301e\u0301", 5, "characters", "", "e\u0301e\u0301"),
    ("abe\u0301d", 4, "characters", "…", "ab…"), ("ab👩\u200d👧cd", 5, "characters", "…", "ab…"),
    ("one two three", 3, "words", "…", "one two three"), ("one two three", 2, "words", "…", "one two…"),
    ("one  two\nthree four", 3, "words", " …", "one  two …"), (" a b c", 1, "words", "", " a"),
])  # fmt: skip
def test_a_text_is_cut_to_its_length(text: str, limit: int, unit: str, mark: str, expected: str) -> None:
    assert released(text, Truncate(limit, unit, mark)) == expected


def test_text_around_does_not_count() -> None:
    assert released("abcdefghij", Append(NOTE), Truncate(5, "characters", "…"), Prepend("N:")) == f"N: abcd… {NOTE}"
    assert released(f"abc {NOTE}", Append(NOTE), Truncate(3, "characters", "…")) == f"abc {NOTE}"
    assert released(f"abcd {NOTE}", Append(NOTE), Truncate(3, "characters", "…")) == f"ab… {NOTE}"


def test_text_around_is_discounted_once() -> None:
    text = f"ab {NOTE} {NOTE}"
    assert released(text, Append(NOTE), Truncate(5, "characters", "")) == f"ab Th {NOTE}"


def test_a_replaced_stretch_is_not_cut_in_two() -> None:
    rules = (rule("pin", PIN, mask(label="PIN")), rule("cut", ANY, Truncate(9, "characters", "…")))
    assert verify("my 1234 is it", *rules).text == "my…"
    assert verify("1234 5678", *rules).text == "[PIN_1]…"


def test_masks_that_make_a_text_too_long_are_cut_too() -> None:
    rules = (rule("pin", PIN, mask(label="PIN")), rule("cut", ANY, Truncate(9, "characters", "…")))
    verdict = verify("1234 abcd", *rules)
    assert (verdict.decision, verdict.text) == ("transform", "[PIN_1]…")


# -- redact


@pytest.mark.parametrize(("text", "fields", "expected"), [
    ('{"a": {"ssn": "1"}, "ssn": "2"}', ("a.ssn",), '{"a": {"ssn": "#"}, "ssn": "2"}'),
    ('{"a": {"ssn": "1"}, "ssn": "2"}', ("/a/ssn",), '{"a": {"ssn": "#"}, "ssn": "2"}'),
    ('{"a": {"ssn": "1"}, "ssn": "2"}', ("**.ssn",), '{"a": {"ssn": "#"}, "ssn": "#"}'),
    ('{"a": [{"b": 1}, {"b": [2]}]}', ("a.*.b",), '{"a": [{"b": "#"}, {"b": "#"}]}'),
    ('{"a": [{"b": 1}, {"b": [2]}]}', ("/a/1/b", "a.0"), '{"a": ["#", {"b": "#"}]}'),
    ('{"a": [{"b": 1}, {"b": [2]}]}', ("a", "a.*.b"), '{"a": "#"}'),
    ('{"x/y": 1, "~": 2, "*": 3, "z": 4}', ("/x~1y", "/~0", "/*"), '{"x/y": "#", "~": "#", "*": "#", "z": 4}'),
    ('{"s\\u0073n": true, "sn": null}', ("ssn",), '{"s\\u0073n": "#", "sn": null}'),
    ('[{"ssn": -1.5e3 }]', ("*.ssn",), '[{"ssn": "#" }]'),
    ('{"a":{"b":{"c":1},"c":2},"c":3}', ("a.**.c",), '{"a":{"b":{"c":"#"},"c":"#"},"c":3}'),
    ('{"a, b": "}{\\",", "c": 1}', ("c",), '{"a, b": "}{\\",", "c": "#"}'),
])  # fmt: skip
def test_fields_lose_their_values(text: str, fields: tuple[str, ...], expected: str) -> None:
    assert released(text, Redact(fields, "#")) == expected


@pytest.mark.parametrize(("text", "fields", "expected"), [
    ('{"a":1,"b":2,"c":3}', ("a",), '{"b":2,"c":3}'), ('{"a":1,"b":2,"c":3}', ("b",), '{"a":1,"c":3}'),
    ('{"a":1,"b":2,"c":3}', ("c",), '{"a":1,"b":2}'), ('{"a":1,"b":2,"c":3}', ("a", "b"), '{"c":3}'),
    ('{"a":1,"b":2,"c":3}', ("b", "c"), '{"a":1}'), ('{"a":1,"b":2,"c":3}', ("a", "c"), '{"b":2}'),
    ('{ "a": 1, "b": 2 }', ("*",), "{  }"), ('{"k":{"a":1},"l":[1,2]}', ("k.a", "l.0"), '{"k":{},"l":[null,2]}'),
])  # fmt: skip
def test_fields_are_taken_out(text: str, fields: tuple[str, ...], expected: str) -> None:
    assert released(text, Redact(fields, None)) == expected


@pytest.mark.parametrize(("new", "expected"), [("#", [(5, 6), (18, 19)]), (None, [(1, 7), (7, 20)])])
def test_a_name_that_stands_twice_is_redacted_twice(new: str | None, expected: list[tuple[int, int]]) -> None:
    text = '{"a":1,"\\u0061"  :2,"b":3}'
    assert [edit.span for edit in redactions(text, [Redact(("a",), new)])] == expected


def test_two_rules_may_take_out_neighbours() -> None:
    assert released('{"a":1,"b":2,"c":3}', Redact(("a",), None), Redact(("b",), None)) == '{"c":3}'
    assert released('{"a":1,"b":2,"c":3}', Redact(("c",), None), Redact(("b",), "#")) == '{"a":1,"b":"#"}'


def test_what_is_redacted_is_not_masked_too() -> None:
    rules = (
        rule("pin", IN_STRINGS, mask(label="PIN"), severity="critical"),
        rule("ssn", ANY, Redact(("ssn",), "#"), severity="low"),
    )
    verdict = verify('{"ssn": "1234", "say": "1234 5678"}', *rules)
    assert verdict.text == '{"ssn": "#", "say": "[PIN_1] [PIN_2]"}'


def test_a_redaction_reads_json_only() -> None:
    verdict = verify("ssn: 1234", rule("r", ANY, Redact(("ssn",), "#")))
    assert (verdict.decision, [row.rule for row in verdict.not_applicable]) == ("allow", ["r"])
    assert verify('{"a": 1}', rule("r", ANY, Redact(("ssn",), "#"))).violations == ()


def test_a_match_around_a_redacted_value_swallows_it() -> None:
    redact = rule("ssn", ANY, Redact(("ssn",), "#"))
    around = rule("mask", regexes('"ssn": "12"'), replacement('"n": 0'))
    assert verify('{"ssn": "12"}', around, redact).text == '{"n": 0}'
    begins = rule("mask", regexes(r'\{"ssn": "1'), replacement("["))
    verdict = verify('{"ssn": "12"}', begins, redact)
    assert (verdict.decision, verdict.errors[0].message) == ("block", "the transformed text is JSON no more")


def test_a_transform_that_breaks_json_blocks() -> None:
    verdict = verify('{"pin": 1234}', rule("pin", PIN, mask(label="PIN")))
    assert (verdict.decision, verdict.text, [error.rule for error in verdict.errors]) == ("block", "", ["pin"])


# -- hash

HASH = Hash("salt", 16, "hex", "h:{hash}", "ID")


def by_hand(value: str, length: int = 16) -> str:
    """The documented construction, from RFC 2104 and nothing of the package."""

    def mac(use: bytes, data: str) -> str:
        message = b"policykit/hash/1\0" + use + b"\0" + data.encode()
        return hmac.new(KEYS["salt"], message, hashlib.sha256).hexdigest()

    digest = mac(b"value", value)[:length]
    return f"h:{digest}{mac(b'seal', digest)[:4]}"


def test_a_match_is_hashed_under_the_key() -> None:
    assert released("pin 1234, 1234 or 5678", HASH, matcher=PIN) == (
        f"pin {by_hand('1234')}, {by_hand('1234')} or {by_hand('5678')}"
    )


@pytest.mark.parametrize("matcher", [regexes("[0-9a-fh:]{4,}"), regexes(r"\S+"), regexes("[0-9a-f]{5,}")])
def test_a_hash_is_not_hashed_again(matcher) -> None:
    once = released("12345 abcde", HASH, matcher=matcher)
    assert once.count("h:") == 2


@pytest.mark.parametrize("text", ["h:1234567890abcdef1234", "h:00000000000000000000"])
def test_what_only_looks_like_a_hash_is_hashed(text: str) -> None:
    assert released(text, HASH, matcher=regexes("h:[0-9a-f]+")) == by_hand(text)


def test_another_key_makes_another_hash() -> None:
    other = Resources({"salt": b"o" * 32})
    assert released("1234", HASH, matcher=PIN, resources=other) != by_hand("1234")


def test_base32_and_templates() -> None:
    action = Hash("salt", 10, "base32", "<{type}:{hash}>", "PIN")
    text = released("1234", action, matcher=PIN)
    assert text.startswith("<PIN:")
    assert set(text[5:-1]) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert len(text) == len("<PIN:>") + 14


# -- reversible masks

REVERSIBLE = Mask("[{type}_{n}]", "PIN", "session")


def test_a_reversible_mask_comes_back() -> None:
    vault = session()
    resources = Resources(vaults={"session": vault}, tenant="acme")
    text = "pin 1234, [PIN_1] and 1234 or 5678"
    masked = released(text, REVERSIBLE, matcher=PIN, resources=resources)
    assert masked == f"pin [PIN_{vault.nonce}_1], [PIN_1] and [PIN_{vault.nonce}_1] or [PIN_{vault.nonce}_2]"
    assert vault.unmask(masked, "acme", "audit", "a") == text


def test_numbers_of_the_vault_are_no_matches() -> None:
    vault = session()
    resources = Resources(vaults={"session": vault}, tenant="acme")
    for i in range(1100):
        vault.tokenise("acme", "PIN", f"value {i}")
    masked = released("pin 1234", REVERSIBLE, matcher=PIN, resources=resources)
    assert masked == f"pin [PIN_{vault.nonce}_1101]"


def test_json_strings_come_back_as_they_mean() -> None:
    vault = session()
    resources = Resources(vaults={"session": vault}, tenant="acme")
    text = '["a \\u0031234", "5678\\n"]'
    masked = released(text, REVERSIBLE, matcher=regexes(r"\d{4}\s?", read=IN_STRINGS.reading), resources=resources)
    assert "1234" not in masked
    assert json.loads(vault.unmask(masked, "acme", "audit", "a", as_json=True)) == json.loads(text)


def test_previews_need_no_vault_and_no_key() -> None:
    rules = (rule("pin", PIN, REVERSIBLE), rule("word", phrases("acme"), HASH))
    verdict = verify("1234 acme 5678", *rules, resources=PREVIEW)
    assert verdict.decision == "transform"
    assert verdict.text.startswith("[PIN_1] h:")
    assert verdict.text.endswith("[PIN_2]")


# -- what fails, blocks


def blocked(verdict: Verdict, rule_id: str, says: str) -> None:
    assert (verdict.decision, verdict.text, verdict.transforms) == ("block", "", ())
    (error,) = verdict.errors
    assert error.rule == rule_id
    assert says in error.message


@pytest.mark.parametrize(("action", "resources", "says"), [
    (HASH, Resources(), "PK199: there is no key `salt`"), (HASH, Resources({"salt": b"short"}), "5 bytes"),
    (REVERSIBLE, Resources(tenant="acme"), "PK199: there is no vault `session`"),
    (REVERSIBLE, Resources(vaults={"session": session()}), "per tenant"),
])  # fmt: skip
def test_a_missing_key_or_vault_blocks_and_is_named(action: Action, resources: Resources, says: str) -> None:
    rules = (rule("r", PIN, action),)
    blocked(verify("pin 1234", *rules, resources=resources), "r", says)
    assert verify("no pin", *rules, resources=resources).decision == "allow"


def test_a_locked_vault_blocks(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.db", b"k" * 32, clock=clock, busy_s=0.05)
    other = sqlite3.connect(tmp_path / "v.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    resources = Resources(vaults={"session": vault}, tenant="acme")
    blocked(verify("pin 1234", rule("r", PIN, REVERSIBLE), resources=resources), "r", "PK194")
    other.execute("ROLLBACK")
    other.close()
    assert verify("pin 1234", rule("r", PIN, REVERSIBLE), resources=resources).decision == "transform"


def test_a_damaged_vault_blocks(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "v.db", b"k" * 32, clock=clock)
    resources = Resources(vaults={"session": vault}, tenant="acme")
    masked = verify("pin 1234", rule("r", PIN, REVERSIBLE), resources=resources)
    assert masked.decision == "transform"
    with sqlite3.connect(tmp_path / "v.db") as connection:
        connection.execute("UPDATE tokens SET sealed = x'00'")
    blocked(verify("pin 1234", rule("r", PIN, REVERSIBLE), resources=resources), "r", "PK193")


def test_a_vault_that_cannot_say_what_is_its_own_blocks() -> None:
    vault = session()
    resources = Resources(vaults={"session": vault}, tenant="acme")
    text = verify("pin 1234", rule("r", PIN, REVERSIBLE), resources=resources).text
    vault.close()
    verdict = verify(f"{text} 5678", rule("r", PIN, REVERSIBLE), resources=resources)
    assert (verdict.decision, verdict.text) == ("block", "")
    assert "closed" in verdict.errors[0].message


def test_a_mark_saves_nothing_from_a_block() -> None:
    rules = (rule("hash", regexes("acct"), HASH), rule("stop", regexes("h:"), block("no")))
    verdict = verify("acct", *rules, resources=Resources(KEYS))
    assert (verdict.decision, verdict.text) == ("block", "no")


def test_shadow_transforms_change_nothing() -> None:
    rules = (rule("a", ANY, Append(NOTE), mode=Mode.SHADOW), rule("b", PIN, HASH, mode=Mode.SHADOW))
    verdict = verify("pin 1234", *rules, resources=Resources())
    assert (verdict.decision, verdict.text, verdict.errors) == ("allow", "pin 1234", ())
    assert {violation.rule for violation in verdict.shadow} == {"a", "b"}


def test_together_in_their_order() -> None:
    rules = (
        rule("after", AllOf((phrases("call"), Not(phrases("never")))), Append("Bye.")),
        rule("cut", ANY, Truncate(20, "characters", "…")),
        rule("pin", PIN, mask(label="PIN")),
        rule("before", phrases("call"), Prepend("Hi!")),
    )
    verdict = verify("call 1234 and then 5678 again", *rules)
    assert verdict.text == "Hi! call [PIN_1] and th… Bye."
    assert [edit.rule for edit in verdict.transforms] == ["before", "pin", "cut", "after"]


def test_joined_strings_and_hashes() -> None:
    joined = regexes("ab cd", read=reading(within=Within.JSON_STRINGS, join=Join.ARRAY))
    verdict = verify('["x ab", "cd y"]', rule("r", joined, HASH))
    assert json.loads(verdict.text) == [f"x {by_hand('ab cd')}", " y"]
