"""`streamSafe`: which characters it counts, and that mask, verdict, stream and comparison count alike."""

import json
import unicodedata
from typing import Any

import pytest

import policykit as pk
from policykit.analysis import Relation, compare_rules
from policykit.compile import resolve
from policykit.ir.document import PolicySet, Regexes
from policykit.ir.plan import CompileContext
from policykit.policy import parse_document
from policykit.policy.stream_safe import STREAM_SAFE
from policykit.text import UNICODE_VERSION
from tests.laws.worlds import bytewise

MARK = "\u0301"
LEGITIMATE = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 40,  # a family, forty times
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f" * 20,  # the flag of England
    "นี้ไม่ใช่คำแนะนำ" * 20,
    "क्षत्रिय हिन्दी की" * 20,
    "བསྒྲུབས་" * 20,
    "بِسْمِ ٱللَّهِ ٱلرَّحْمَٰنِ" * 20,
    "Z" + MARK * 30 + "a" + MARK * 30,
)
REFUSED = ("Z" + MARK * 31, "a" + "\u200b" * 31 + "b", (MARK + "\ufe0f\u2060") * 11, "\u3164" * 40)


def policy(*, on: bool | None = True, **more: Any) -> PolicySet:
    rules: list[dict[str, Any]] = [
        {"id": "r", "match": {"phrases": ["guaranteed returns"]}, "action": {"block": {}}},
        *more.pop("rules", ()),
    ]
    metadata = {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"}
    document: dict[str, Any] = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": metadata,
        "rules": rules,
        **more,
    }
    if on is not None:
        document["streamSafe"] = on
    return PolicySet((parse_document(json.dumps(document), "x"),))


def rule_ids(policies: PolicySet) -> list[str]:
    return [rule.id for rule in policies.documents[0].rules]


def test_marks_and_what_the_standard_calls_ignorable_are_counted() -> None:
    """DerivedCoreProperties, Default_Ignorable_Code_Point, written down here; marks by Python's own database."""
    ignorable = {0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0}
    for low, high in ((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFE00, 0xFE0F),
                      (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)):  # fmt: skip
        ignorable |= set(range(low, high + 1))
    plan = pk.compile(policy())

    def is_refused(point: int) -> bool:
        return plan.verify(chr(point) * 31).decision.value == "block"

    assigned = [p for p in range(0x110000) if unicodedata.category(chr(p)) not in ("Cn", "Cs", "Co")]
    marks = [p for p in assigned if unicodedata.category(chr(p)).startswith("M")]
    assert all(map(is_refused, sorted({*ignorable, *marks[::7]}))), UNICODE_VERSION
    others = [p for p in assigned[::97] if p not in ignorable and not unicodedata.category(chr(p)).startswith("M")]
    assert not any(map(is_refused, others))


@pytest.mark.parametrize("text", LEGITIMATE + REFUSED)
def test_verdict_stream_and_mask_agree(text: str) -> None:
    plan = pk.compile(policy())
    wanted = "block" if text in REFUSED else "allow"
    assert plan.verify(text).decision.value == wanted
    stream = plan.stream()
    for char in text:
        stream.feed(char)
    assert stream.close()[1].decision.value == wanted
    vocabulary = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256])
    state = plan.constraint(vocabulary).start()
    admitted = all(state.accept(token) for token in bytewise(vocabulary, text.encode())) and state.accept(256)
    assert admitted == (wanted == "allow")


def test_it_is_a_rule_of_the_plan_with_a_row_a_name_and_digests_of_its_own() -> None:
    plan, without = pk.compile(policy()), pk.compile(policy(on=None))
    assert [(row.name, row.level.value) for row in plan.enforcements] == [
        ("x#r", "decode"),
        (f"x#{STREAM_SAFE}", "decode"),
    ]
    assert [v.rule for v in plan.verify(REFUSED[0]).violations] == [STREAM_SAFE]
    assert plan.digest != without.digest
    assert plan.bundle_digest != without.bundle_digest
    assert without.verify(REFUSED[0]).decision.value == "allow"
    off = pk.compile(policy(on=False))
    assert [row.name for row in off.enforcements] == ["x#r"]


def test_every_target_that_rules_judge_has_its_rule_in_the_documents_mode() -> None:
    call: dict[str, Any] = {"id": "s", "target": "tool_call", "match": {"phrases": ["a b"]}, "action": {"block": {}}}
    policies = policy(rules=[call], defaults={"mode": "shadow"})
    assert rule_ids(policies) == ["r", "s", STREAM_SAFE, f"{STREAM_SAFE}-tool-call"]
    plan = pk.compile(policies)
    judged = plan.verify(pk.tool_call("t", {"x": REFUSED[0]}, {}))
    assert (judged.decision.value, [v.rule for v in judged.shadow]) == ("allow", [f"{STREAM_SAFE}-tool-call"])


def test_strings_of_json_are_read_as_they_are_decoded() -> None:
    plan = pk.compile(policy(), pk.Grammar.from_json_schema({"type": "object"}))
    assert plan.verify(json.dumps({"a": REFUSED[0]})).decision.value == "block"
    assert plan.verify(json.dumps({"a": LEGITIMATE[0]})).decision.value == "allow"


def test_it_finds_exactly_what_a_rule_finds_that_an_author_writes() -> None:
    own: dict[str, Any] = {"id": "own", "match": {"regex": [_source()], "views": ["raw"]}, "action": {"block": {}}}
    *_, written, built_in = resolve(policy(rules=[own]), CompileContext())
    (comparison,) = compare_rules(written, built_in).comparisons
    assert comparison.relation is Relation.EQUAL


def _source() -> str:
    matcher = policy().documents[0].rules[-1].matcher
    assert isinstance(matcher, Regexes)
    return matcher.regexes[0].source
