"""Entities in policies: levels and rows, labels, JSON strings and numbers, and what cannot be checked."""

import json
import sys
from pathlib import Path

import pytest
import stdnum.iban

import policykit as pk
from policykit.entities import checks, registry
from policykit.ir.document import Mask, Matcher, Not
from policykit.verify import Verifier
from tests.entities.find import entities
from tests.verify.build import rule

SCHEMA = {
    "type": "object",
    "properties": {"ssn": {"type": "integer"}, "note": {"type": "string"}},
    "required": ["ssn", "note"],
    "additionalProperties": False,
}
JSON = pk.Grammar.from_json_schema(SCHEMA)
MASK = "{transform: {mask: {with: '[{type}_{n}]'}}}"
BLOCK = "{block: {message: no}}"


def plan(folder: Path, match: str, action: str = MASK, grammar: object = None, more: str = "") -> pk.Plan:
    path = folder / "ids.policy.yaml"
    path.write_text(
        "apiVersion: policykit/v1\nkind: Policy\nmetadata: {name: ids, version: 1.0.0, owner: a@b.c, why: because}\n"
        f"rules:\n  - id: ids\n    {more}\n    match: {match}\n    action: {action}\n",
        encoding="utf-8",
    )
    return pk.compile(pk.load_policies(path), grammar)  # type: ignore[arg-type]


def row(made: pk.Plan) -> tuple[str, str]:
    found = next(row for row in made.enforcements if row.subject == "rule")
    return found.level.value, found.why


def test_every_entity_has_its_own_label_and_numbers(tmp_path: Path) -> None:
    made = plan(tmp_path, "{entities: [{type: iban}, payment_card, email]}")
    verdict = made.verify("Pay GB29NWBK60161331926819 or 4111 1111 1111 1111, ask a@b.com or c@d.org or a@b.com.")
    assert verdict.text == "Pay [IBAN_1] or [CARD_1], ask [EMAIL_1] or [EMAIL_2] or [EMAIL_1]."
    assert [v.matched for v in verdict.violations] == ["iban", "payment_card", "email", "email", "email"]


def test_a_label_that_the_author_writes_stands_for_all(tmp_path: Path) -> None:
    made = plan(tmp_path, "{entities: [iban, email]}", "{transform: {mask: {with: '<{type}{n}>', type: ID}}}")
    assert made.verify("GB29NWBK60161331926819 a@b.com").text == "<ID1> <ID2>"


def test_hashes_of_entities_are_known_again(tmp_path: Path) -> None:
    made = plan(tmp_path, "{entities: [us_ssn, email]}", "{transform: {hash: {key: salt, with: '{type}:{hash}'}}}")
    resources = pk.Resources(keys={"salt": b"k" * 32})
    once = Verifier(made.spec.rules, None, "", resources=resources).verify("SSN 123-45-6789 a@b.com")
    assert once.text.startswith("SSN US_SSN:")
    assert "EMAIL:" in once.text
    assert Verifier(made.spec.rules, None, "", resources=resources).verify(once.text).decision == "allow"


@pytest.mark.parametrize(
    ("match", "level", "why"),
    [
        ("{entities: [aws_access_key, jwt]}", "decode", "mask: regular on views compat of text"),
        ("{entities: [iban, jwt]}", "stream", "a mask cannot validate iban (`strict: true` forbids their form"),
        ("{entities: [us_ssn]}", "stream", "a mask cannot validate us_ssn"),
        ("{entities: [{type: iban, strict: true}]}", "decode", "over-approximation: forbids everything of the form"),
        ("{not: {entities: [{type: iban, strict: true}]}}", "output", "depends on an absence; a mask cannot validate"),
        ("{not: {entities: [jwt]}}", "decode", "mask: regular"),
        ("{all: [{entities: [iban]}, {phrases: [a]}]}", "stream", "a mask cannot validate iban"),
    ],
)
def test_the_plan_says_where_a_block_is_enforced(tmp_path: Path, match: str, level: str, why: str) -> None:
    found = row(plan(tmp_path, match, BLOCK))
    assert found[0] == level
    assert why in found[1]


def test_the_row_of_a_json_rule_names_what_it_reads(tmp_path: Path) -> None:
    assert "of json.scalars" in row(plan(tmp_path, "{entities: [iban, us_ssn]}", MASK, JSON))[1]
    assert "of json.strings" in row(plan(tmp_path, "{entities: [email]}", MASK, JSON))[1]
    strict = row(plan(tmp_path, "{entities: [{type: us_ssn, strict: true}]}", BLOCK, JSON))[1]
    assert "numbers are written without exponents" in strict


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ('{"ssn": 123456789, "note": ""}', True),
        ('{"ssn": 123456789', True),  # cut off
        ('{"ssn": 123456780000, "note": ""}', False),
        ('{"ssn": 123456789.0, "note": ""}', True),
        ('{"ssn": 1.23456789e8, "note": ""}', True),
        ('{"ssn": 12345678900E-2, "note": ""}', True),
        ('{"ssn": -123456789, "note": ""}', True),
        ('{"ssn": 1, "note": "123-45-6789"}', False),  # `ssn` is the key of another value
        ('{"ssn": 1, "note": "ssn 123-45-6789"}', True),
        ('{"ssn": 1, "note": "\\u0073sn 123\\u002d45-6789"}', True),
    ],
)
def test_numbers_of_a_json_text_are_read_with_their_keys(tmp_path: Path, text: str, fires: bool) -> None:
    verdict = plan(tmp_path, "{entities: [us_ssn]}", BLOCK, JSON).verify(text)
    assert ("ids" in verdict.rules) is fires


@pytest.mark.parametrize(
    ("key", "fires"),
    [("ssn", True), ("patientSSN", True), ("social_security_number", True), ("total", False), ("assn", False)],
)
def test_words_of_a_key_are_context(tmp_path: Path, key: str, fires: bool) -> None:
    call = pk.tool_call("save", {key: 123456789, "more": {"list": [987654321]}})
    verdict = plan(tmp_path, "{entities: [us_ssn]}", BLOCK, more="target: tool_call").verify(call)
    assert (verdict.decision == "block") is fires


def test_what_stands_in_an_array_or_object_has_its_key(tmp_path: Path) -> None:
    made = plan(tmp_path, "{entities: [us_ssn]}", BLOCK, more="target: tool_call")
    assert made.verify(pk.tool_call("save", {"ssn": [1, [123456789]]})).decision == "block"
    assert made.verify(pk.tool_call("save", {"ssn": [{"n": 123456789}]})).decision == "block"
    assert made.verify(pk.tool_call("save", {"ssn": {"of": {"the": {"client": "123-45-6789"}}}})).decision == "block"
    assert made.verify(pk.tool_call("save", {"ssn": {"of": 1}, "n": [123456789]})).decision == "allow"


def test_a_masked_number_becomes_a_string(tmp_path: Path) -> None:
    made = plan(tmp_path, "{within: json.scalars, entities: [us_ssn, payment_card]}")
    verdict = made.verify('{"ssn": 123456789, "cards": [4111111111111111, "x 4111111111111111"], "n": 5}')
    assert json.loads(verdict.text) == {"ssn": "[US_SSN_1]", "cards": ["[CARD_1]", "x [CARD_1]"], "n": 5}


@pytest.mark.parametrize("matcher", [entities("iban"), Not(entities("iban"))], ids=["found", "absent"])
def test_a_validator_that_raises_is_an_error_and_blocks(matcher: Matcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(number: str, check_country: bool) -> bool:
        raise LookupError("no table")

    checks.is_valid.cache_clear()
    monkeypatch.setattr(stdnum.iban, "is_valid", broken)
    verifier = Verifier((rule("ids", matcher),), None, "")
    assert verifier.verify("no candidate").errors == ()
    verdict = verifier.verify("GB29NWBK60161331926819")
    checks.is_valid.cache_clear()
    assert (verdict.decision, verdict.text) == ("block", "")
    assert verdict.errors[0].message == "LookupError: no table"


def test_a_missing_package_is_an_error_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    verdict = Verifier((rule("ids", entities("phone"), Mask("x", "ID")),), None, "").verify("+44 20 7946 0958")
    assert verdict.decision == "block"
    assert "phonenumbers" in verdict.errors[0].message


def test_the_digest_covers_what_entity_types_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan(tmp_path, "{entities: [iban]}").bundle_digest
    assert plan(tmp_path, "{entities: [iban]}").bundle_digest == before
    monkeypatch.setattr(registry, "_version", lambda package: "0")
    assert plan(tmp_path, "{entities: [iban]}").bundle_digest != before
