"""Findings in text whose reader decodes escapes: they cover the escapes as they stand in the text."""

import json

import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from policykit.ir.verdict import Verdict

ALL = ["html", "url", "json"]


def policies(match: dict[str, object], action: dict[str, object] | None = None, **rule: object) -> PolicySet:
    rules = [{"id": "r", "match": match, "action": action or {"block": {}}, **rule}]
    metadata = {"name": "t/t", "version": "1.0.0", "owner": "t@example.org", "why": "to be tried"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
    return PolicySet((pk.parse_document(json.dumps(document), "t.policy.yaml"),))


def verify(text: str, match: dict[str, object], action: dict[str, object] | None = None) -> Verdict:
    return pk.compile(policies(match, action)).verify(text)


PHRASE: dict[str, object] = {"phrases": ["guaranteed returns"], "unescape": ALL}


@pytest.mark.parametrize(("found", "view"), [
    ("&#103;uaranteed&nbsp;returns", "html, compat"),
    ("&#0000103;uarante&#X65;&#x64 returns", "html, compat"),
    ("%67uaranteed%20return%73", "url, compat"),
    ("%ef%bd%87uaranteed%20returns", "url, compat"),
    ("\\u0067uaranteed\\n\\tretu\\u0072\\u006es", "json, compat"),
    ("gu&shy;aranteed returns", "html, compat"),
    ("gu&#1;aranteed returns", "html, compat"),
])  # fmt: skip
def test_a_phrase_is_found_where_its_escapes_stand(found: str, view: str) -> None:
    text = f"Our {found}, & more: 100% \\o/"
    (violation,) = verify(text, PHRASE).violations
    assert text[violation.start : violation.end] == found
    assert (violation.view, violation.matched) == (view, "guaranteed returns")


@pytest.mark.parametrize("text", [
    "&amp;#103;uaranteed returns",  # escaped twice
    "%2567uaranteed returns",
    "&#37;67uaranteed returns",  # by two kinds at once
    "guarant&#x65ed returns",  # another number
    "guaranteed&copy;returns",
    "gu\\x61ranteed returns",
])  # fmt: skip
def test_what_says_something_else_is_not_found(text: str) -> None:
    assert verify(text, PHRASE).decision == "allow"


def test_escapes_are_decoded_before_a_view_is_applied() -> None:
    text = "&#1110;nvest r&#x456;sk free"
    assert verify(text, {"phrases": ["risk free"], "views": ["skeleton"], "unescape": ["html"]}).decision == "block"
    assert verify(text, {"phrases": ["risk free"], "views": ["compat"], "unescape": ["html"]}).decision == "allow"
    assert verify(text, {"phrases": ["risk free"], "views": ["skeleton"]}).decision == "allow"


def test_a_transform_replaces_the_escapes_too() -> None:
    match: dict[str, object] = {"regex": [r"\d{4}"], "views": ["raw"], "unescape": ["html", "url"]}
    verdict = verify("pin &#49;2%33 or %31234; 9876", match, {"transform": {"replace": {"with": "X"}}})
    assert (verdict.decision, verdict.text) == ("transform", "pin &#49;2%33 or X; X")


def test_an_entity_may_be_escaped() -> None:
    assert verify("IBAN DE89%2037040044%200532013000", {"entities": ["iban"], "unescape": ["url"]}).decision == "block"
    assert verify("IBAN DE89%2037040044%200532013001", {"entities": ["iban"], "unescape": ["url"]}).decision == "allow"


def test_what_is_absent_is_absent_in_every_reading() -> None:
    match: dict[str, object] = {"not": {"phrases": ["no advice"], "unescape": ["html"]}}
    assert verify("This is no&nbsp;advice.", match).decision == "allow"
    assert verify("This is no&copy;advice.", match).decision == "block"


STRINGS: dict[str, object] = {**PHRASE, "within": "json.strings"}


def test_json_decodes_its_strings_first() -> None:
    text = json.dumps({"a": "&#103;uaranteed returns", "b": "guaranteed\u00a0returns", "c": "gu\\u0061ranteed returns"})
    found = [text[v.start : v.end] for v in verify(text, STRINGS).violations]
    assert found == ["&#103;uaranteed returns", "guaranteed\\u00a0returns", "gu\\\\u0061ranteed returns"]


def test_a_find_across_array_strings_leaves_the_seam_out() -> None:
    text = '["&#103;uaranteed", "return&#115;!"]'
    verdict = verify(text, {**STRINGS, "join": "array"}, {"transform": {"replace": {"with": "X"}}})
    assert json.loads(verdict.text or "") in (["X", "X!"], ["X", "!"])


def test_the_digest_knows_the_escapes() -> None:
    plain, decoding = (
        pk.compile(policies({"phrases": ["a b"]})),
        pk.compile(policies({"phrases": ["a b"], "unescape": ["url"]})),
    )
    assert plain.bundle_digest != decoding.bundle_digest
    assert "with its url escapes decoded" in decoding.enforcements[0].why


def test_a_stream_waits_and_says_why() -> None:
    plan = pk.compile(policies(PHRASE))
    stream = plan.stream()
    assert "".join(stream.feed(c) for c in "&#103;uaranteed returns") == ""
    released, verdict = stream.close()
    assert (released, verdict.decision) == ("", "block")
    assert [w.why for w in stream.buffers] == ["escapes are decoded in the whole text"]


def test_a_shadow_rule_does_not_hold_a_stream_back() -> None:
    plan = pk.compile(policies(PHRASE, mode="shadow"))
    assert "a" in plan.stream().feed("a b c d e f g")
