"""Transforms from the policy file to the verdict: what is read, what is refused and where, and what a plan needs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import Place, PolicyError
from policykit.grammar import json_schema
from policykit.ir.document import Action, Append, Hash, Mask, Prepend, Redact, Truncate
from policykit.ir.plan import Level
from policykit.plan import load_plan
from policykit.policy import parse_document
from policykit.testing import run_tests
from policykit.vault import Grant, Vault
from policykit.verify import Resources
from tests.plan.documents import of, rule
from tests.testing.documents import with_tests

TEXT = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: a/b, version: 1.0.0, owner: o, why: w}
rules:
  - id: my-rule
    match: {phrases: [acme]}
    action: {transform: %s}
tests: []
"""
OBJECT = json_schema('{"type": "object", "properties": {"a": {"type": "string"}}}', Place("s.json"))
MATCH = {"phrases": ["acme"]}
MASK = {"transform": {"mask": {"with": "[{type}_{n}]", "type": "NAME", "reversible": True}}}


@pytest.mark.parametrize(("written", "action"), [
    ("{append: Not advice.}", Append("Not advice.")), ("{prepend: 'N: '}", Prepend("N: ")),
    ("{hash: {key: salt}}", Hash("salt", 16, "hex", "h:{hash}", "MY_RULE")),
    ("{hash: {key: salt, length: 8, encoding: base32, with: '<{type} {hash}>', type: ID}}",
     Hash("salt", 8, "base32", "<{type} {hash}>", "ID", own_label=True)),
    ("{redact: {fields: customer.ssn}}", Redact(("customer.ssn",), "[REDACTED]")),
    ("{redact: {fields: [/a/b, '**.c', 'x.*.y'], with: ''}}", Redact(("/a/b", "**.c", "x.*.y"), "")),
    ("{redact: {fields: a, remove: true}}", Redact(("a",), None)),
    ("{truncate: {characters: 500}}", Truncate(500, "characters", "…")),
    ("{truncate: {words: 80, with: ' (cut)'}}", Truncate(80, "words", " (cut)")),
    ("{mask: {with: '[{type}_{n}]', reversible: true}}", Mask("[{type}_{n}]", "MY_RULE", "session")),
    ("{mask: {with: '<{n}>', reversible: true, vault: kept, type: A}}", Mask("<{n}>", "A", "kept", own_label=True)),
    ("{mask: {with: '{n}', reversible: false}}", Mask("{n}", "MY_RULE", None)),
])  # fmt: skip
def test_a_transform_is_read(written: str, action: Action) -> None:
    assert parse_document(TEXT % written, "x").rules[0].action == action


@pytest.mark.parametrize(("code", "marked", "help"), [
    ("PK199", "{mask: {with: «'[{type}]'», reversible: true}}", "such as `[{type}_{n}]`"),
    ("PK199", "{mask: {with: «'{n}]'», reversible: true}}", "such as"),
    ("PK199", "{mask: {with: «'\"{n}\"'», reversible: true}}", "such as"),
    ("PK199", "{hash: {key: salt, with: «hash»}}", "such as `h:{hash}`"),
    ("PK199", "{hash: {key: salt, with: «'{hash} {hash}'»}}", "such as"),
    ("PK199", "{hash: {key: salt, with: «'\"{hash}\"'»}}", "such as"),
    ("PK199", "{truncate: {characters: 2, «with»: '...'}}", "shorten it"),
    ("PK199", "{truncate: {words: 1, «with»: and so on}}", "shorten it"),
    ("PK030", "{truncate: {characters: 2, «words»: 3}}", "keep one of them"),
    ("PK028", "{«truncate»: {with: x}}", "it needs one of"),
    ("PK026", "{truncate: {words: «0»}}", "from 1 to"),
    ("PK026", "{hash: {key: salt, length: «7»}}", "from 8 to 48"),
    ("PK021", "{«hash»: {length: 8}}", "the key's name"),
    ("PK023", "{hash: {key: salt, encoding: «base64»}}", "`base32`"),
    ("PK056", "{mask: {with: x, «vault»: v}}", "remove it"),
    ("PK056", "{mask: {with: x, reversible: false, «vault»: v}}", "remove it"),
    ("PK056", "{redact: {fields: a, remove: true, «with»: x}}", "keep one"),
    ("PK057", "{hash: {key: salt, with: «'h:{n}{hash}'»}}", "`{type}` and `{hash}`"),
    ("PK025", "{redact: {fields: [a, «b..c»]}}", "JSON pointer"),
    ("PK025", "{redact: {fields: «/a~2»}}", "JSON pointer"),
    ("PK030", "{«append»: a, prepend: b}", "keep one"),
    ("PK029", "{append: «' '»}", "give it a text"),
])  # fmt: skip
def test_a_mistake_is_told_at_its_place(code: str, marked: str, help: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_document(TEXT % marked.replace("«", "").replace("»", ""), "x")
    (found,) = caught.value.diagnostics
    assert found.place is not None
    start = 1 + len("    action: {transform: ") + marked.index("«")
    assert (found.code, found.place.line, found.place.column) == (code, 7, start)
    assert found.place.end_column == start + marked.index("»") - marked.index("«") - 1
    assert help in (found.help or "")


def test_a_match_through_several_strings_cannot_be_put_back() -> None:
    text = TEXT.replace("[acme]}", "[acme], join: array}") % "{mask: {with: '[{n}]', reversible: true}}"
    with pytest.raises(PolicyError) as caught:
        parse_document(text, "x")
    (found,) = caught.value.diagnostics
    assert (found.code, found.help) == ("PK199", "remove `join: array`")


# -- plans


@pytest.mark.parametrize("transform", [{"append": "a"}, {"prepend": "a"}, {"truncate": {"words": 3}}])
def test_text_around_json_is_refused_when_compiling(transform) -> None:
    policies = of(rule("around", MATCH, {"transform": transform}))
    with pytest.raises(PolicyError) as caught:
        pk.compile(policies, OBJECT)
    (found,) = caught.value.diagnostics
    assert (found.code, found.place) == ("PK199", policies.documents[0].rules[0].place)
    assert pk.compile(policies).spec.rules[0].level is Level.OUTPUT


def test_what_changes_the_whole_output_waits_for_it() -> None:
    plan = pk.compile(of(rule("redact", MATCH, {"transform": {"redact": {"fields": "a"}}})), OBJECT)
    (row,) = [row for row in plan.enforcements if row.subject == "rule"]
    assert (row.level, row.why) == (
        Level.OUTPUT,
        "verifier, when the output is complete: redact changes the output as a whole",
    )
    assert plan.verify('{"a": "acme"}').text == '{"a": "[REDACTED]"}'


def vault() -> Vault:
    return Vault.in_memory(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), grants=[Grant("audit", ("*",))])


def test_a_plan_masks_with_the_deployment_s_vault() -> None:
    plan = pk.compile(of(rule("name", MATCH, MASK)), tenant="acme")
    blocked = plan.verify("we are acme")
    assert (blocked.decision, blocked.text) == ("block", "")
    assert blocked.errors[0].message == "PK199: there is no vault `session`"
    session = vault()
    deployed = plan.with_resources(Resources(vaults={"session": session}))
    assert deployed.resources.tenant == "acme"
    assert deployed.digest == plan.digest
    text = deployed.verify("we are acme").text
    assert text == f"we are [NAME_{session.nonce}_1]"
    assert session.unmask(text, "acme", "audit", "a") == "we are acme"


def test_what_a_plan_needs_is_asked_for_at_once() -> None:
    policies = of(rule("name", MATCH, MASK), rule("hash", MATCH, {"transform": {"hash": {"key": "salt"}}}))
    plan = pk.compile(policies, tenant="acme")
    with pytest.raises(PolicyError) as caught:
        plan.with_resources(Resources())
    told = [(d.code, d.message, d.place) for d in caught.value.diagnostics]
    first, second = (rule.place for rule in policies.documents[0].rules)
    assert told == [("PK199", "there is no vault `session`", first), ("PK199", "there is no key `salt`", second)]
    with pytest.raises(PolicyError, match="the plan is for tenant `acme`"):
        plan.with_resources(Resources({"salt": b"k" * 32}, {"session": vault()}, "bolt"))
    plan.with_resources(Resources({"salt": b"k" * 32}, {"session": vault()}))


def test_keys_are_not_shown() -> None:
    assert "secret" not in repr(Resources({"salt": b"secret" * 4}))


def test_a_saved_plan_has_its_transforms_and_no_resources(tmp_path: Path) -> None:
    plan = pk.compile(of(rule("name", MATCH, MASK)), tenant="acme").with_resources(
        Resources(vaults={"session": vault()})
    )
    plan.save(tmp_path / "plan.json")
    loaded = load_plan(tmp_path / "plan.json")
    assert (loaded.digest, loaded.resources) == (plan.digest, Resources())
    assert loaded.verify("acme").decision == "block"


def test_tests_of_policies_need_no_vault() -> None:
    rules = """\
rules:
  - id: pin
    match: {regex: ['\\b\\d{4}\\b']}
    action: {transform: {mask: {with: "[{type}_{n}]", reversible: true}}}
"""
    good = '{name: a, given: {output: pin 1234}, expect: {decision: transform, output: "pin [PIN_1]", rules: [pin]}}'
    assert run_tests(with_tests(good, rules=rules)).passed
