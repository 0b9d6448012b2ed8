"""Everything that stops a plan from being compiled, loaded or used: the code, the places, the advice."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit.diagnostics import CATALOGUE, Diagnostic, PolicyError, Severity
from policykit.ir.document import Not, PolicySet, Replace
from policykit.ir.grammar import GrammarSpec

from .documents import blocks, document, of, policies, rule

AT = date(2026, 6, 1)
GUARANTEES = of(blocks("guaranteed returns"))
SAY_IT = rule("say-it", {"not": {"phrases": ["capital at risk"]}})
NEVER_SAY_IT = blocks("at risk", id="never-say-it")


def failing(make: Callable[[], object]) -> tuple[Diagnostic, ...]:
    with pytest.raises(PolicyError) as caught:
        make()
    for found in caught.value.diagnostics:
        assert found.code in CATALOGUE
        assert found.message[0] == found.message[0].lower()
        assert not found.message.endswith(".")
        assert found.help
    return caught.value.diagnostics


def only(make: Callable[[], object]) -> Diagnostic:
    (found,) = failing(make)
    return found


def schema(content: Any) -> GrammarSpec:
    return pk.Grammar.from_json_schema(content, pk.Place("answer.schema.json"))


def constant(value: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"note": {"const": value}}, "required": ["note"]}


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1
    return text[: text.index(part)].count("\n") + 1


# ---- dates


def test_nothing_to_compile() -> None:
    found = only(lambda: pk.compile(None))
    assert found.code == "PK300"


def test_an_expired_policy() -> None:
    expired = document([blocks("a b")], effective={"from": "2025-01-01", "until": "2026-06-01"})
    found = only(lambda: pk.compile(policies(expired), at=AT))
    assert (found.code, found.place and found.place.file) == ("PK301", "0.policy.yaml")
    assert "`finance/x` expired on 2026-06-01" in found.message
    assert pk.compile(policies(expired), at=date(2026, 5, 31)).enforcements


def test_every_expired_policy_is_named() -> None:
    effective = {"until": "2026-01-01"}
    old = [document([blocks("a b")], name=name, effective=effective) for name in ("x", "y")]
    assert [d.code for d in failing(lambda: pk.compile(policies(*old), at=AT))] == ["PK301", "PK301"]


def test_a_policy_that_is_not_effective_yet_is_a_warning() -> None:
    waiting = of(blocks("a b"), effective={"from": "2026-07-01"})
    plan = pk.compile(waiting, at=AT)
    (found,) = plan.warnings
    assert (found.code, found.severity) == ("PK302", Severity.WARNING)
    assert found.place is not None
    assert "2026-07-01" in found.message
    assert plan.enforcements == ()
    assert plan.valid_until == date(2026, 7, 1)


# ---- rules


def test_an_expression_with_too_many_states() -> None:
    text = document([rule("wide", {"regex": ["(?:a|b)*a(?:a|b){20}"]}), blocks("c d")])
    found = only(lambda: pk.compile(policies(text)))
    assert found.code == "PK303"
    assert found.place is not None
    assert found.place.line == line_of(text, '"(?:a|b)*a(?:a|b){20}"')
    assert "`wide`" in found.message


def transforming(matcher: Callable[[Any], Any]) -> PolicySet:
    """A rule that masks what a matcher finds, as a program could build it: the loader refuses an absence earlier."""
    (loaded,) = of(rule("hide", {"phrases": ["secret"]}, {"transform": {"replace": {"with": "x"}}})).documents
    (hide,) = loaded.rules
    assert isinstance(hide.action, Replace)
    return PolicySet((replace(loaded, rules=(replace(hide, matcher=matcher(hide.matcher)),)),))


def test_a_transform_of_an_absence() -> None:
    found = only(lambda: pk.compile(transforming(Not)))
    assert found.code == "PK304"
    assert found.place is not None
    assert "`hide`" in found.message


def test_a_transform_beside_an_absence_has_a_place() -> None:
    both = {"all": [{"phrases": ["secret"]}, {"not": {"phrases": ["cleared"]}}]}
    plan = pk.compile(of(rule("hide", both, {"transform": {"replace": {"with": "x"}}})))
    (row,) = plan.enforcements
    assert row.level == pk.Level.OUTPUT
    assert "absence" in row.why
    assert plan.verify("a secret here").text == "a x here"
    assert plan.verify("a secret here, cleared").decision == pk.Decision.ALLOW


def test_a_requirement_that_another_rule_forbids() -> None:
    text = document([SAY_IT, NEVER_SAY_IT])
    found = only(lambda: pk.compile(policies(text)))
    assert found.code == "PK305"
    assert found.place is not None
    assert found.place.line == line_of(text, '"say-it"')
    ((place, label),) = found.related
    assert place.line == line_of(text, '"never-say-it"')
    assert label
    assert pk.compile(of(SAY_IT)).enforcements


# ---- rules and grammar


def clash(content: Any, what: str, pointer: str, text: str = "guaranteed returns") -> None:
    policy = document([blocks("some other phrase", text)])
    found = only(lambda: pk.compile(policies(policy), schema(content)))
    assert found.code == "PK306"
    assert f"{what} `" in found.message
    assert f"`{pointer}`" in found.message
    assert found.place == pk.Place("answer.schema.json")
    ((place, _),) = found.related
    assert (place.file, place.line) == ("0.policy.yaml", line_of(policy, f'"{text}"'))


def test_a_constant_that_a_rule_forbids() -> None:
    clash(constant("our GUARANTEED  returns"), "const", "/properties/note/const")


def test_the_only_member_that_a_rule_forbids() -> None:
    content = {"type": "object", "properties": {"note": {"enum": ["guaranteed returns"]}}, "required": ["note"]}
    clash(content, "enum", "/properties/note/enum/0")


def test_a_required_key_that_a_rule_forbids() -> None:
    content = {"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}
    clash(content, "key", "/properties/password", text="password")


def test_an_enum_of_which_nothing_is_left() -> None:
    members = ["guaranteed returns", "Guaranteed-Returns!"]
    content = {"type": "object", "properties": {"note": {"enum": members}}, "required": ["note"]}
    found = failing(lambda: pk.compile(GUARANTEES, schema(content)))
    assert {d.code for d in found} == {"PK306"}
    assert any("nothing to write at `/properties/note/enum/" in d.message for d in found)
    conflicts = [d for d in found if d.related]
    assert [d.message.split("`")[1] for d in conflicts] == members


def test_a_pattern_that_forces_a_phrase() -> None:
    pattern = {"type": "string", "pattern": "^[Gg]uaranteed returns( of [0-9]{1,2} %)?$"}
    content = {"type": "object", "properties": {"note": pattern}, "required": ["note"]}
    found = only(lambda: pk.compile(GUARANTEES, schema(content)))
    assert found.code == "PK307"
    assert found.place == pk.Place("answer.schema.json")
    assert "`/properties/note`" in found.message
    assert [place.file for place, _ in found.related] == ["0.policy.yaml"]


def test_a_grammar_of_which_every_text_is_forbidden() -> None:
    source = 'start: "We offer " KIND " returns"\nKIND: "guaranteed" | "Guaranteed"'
    grammar = pk.Grammar.from_lark(source, pk.Place("offer.lark"))
    found = only(lambda: pk.compile(GUARANTEES, grammar))
    assert found.code == "PK307"
    assert found.place is not None
    assert found.place.file == "offer.lark"
    assert [place.file for place, _ in found.related] == ["0.policy.yaml"]


# ---- plan files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    pk.compile(of(blocks("guaranteed returns"), effective={"until": "2027-01-01"}), at=AT).save(path)
    return path


def change(path: Path, edit: Callable[[Any], object]) -> None:
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data), "utf-8")


def test_an_expired_plan(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = pk.load_plan(saved)
    assert plan.valid_until == date(2027, 1, 1)
    vocabulary = pk.Vocabulary.from_tokens([bytes([b]) for b in range(256)] + [b""], [256])
    monkeypatch.setattr("policykit.plan.plan.today", lambda: date(2026, 12, 31))
    assert plan.verify("fine").decision == pk.Decision.ALLOW
    monkeypatch.setattr("policykit.plan.plan.today", lambda: date(2027, 1, 1))
    for use in (lambda: plan.verify("fine"), lambda: plan.constraint(vocabulary)):
        found = only(use)
        assert found.code == "PK310"
        assert "expired on 2027-01-01" in found.message


def test_a_plan_for_a_day_in_the_past_has_expired_already() -> None:
    plan = pk.compile(of(blocks("a b"), effective={"until": "2021-01-01"}), at=date(2020, 1, 1))
    assert only(lambda: plan.verify("fine")).code == "PK310"


def break_json(path: Path) -> None:
    path.write_text("{", "utf-8")


def break_encoding(path: Path) -> None:
    path.write_bytes(b'{"kind": "\xff"}')


def nest(path: Path) -> None:
    path.write_text("[" * 100_000, "utf-8")


def replace_by_a_list(path: Path) -> None:
    path.write_text("[]", "utf-8")


def remove(path: Path) -> None:
    path.unlink()


def other_kind(path: Path) -> None:
    change(path, lambda data: data.update(kind="policykit/report"))


def without_documents(path: Path) -> None:
    change(path, lambda data: data.pop("documents"))


def with_a_wrong_day(path: Path) -> None:
    change(path, lambda data: data["context"].update(at="soon"))


def with_a_wrong_grammar(path: Path) -> None:
    change(path, lambda data: data.update(grammar={"kind": "antlr", "source": ""}))


@pytest.mark.parametrize(
    "damage",
    [break_json, break_encoding, nest, replace_by_a_list, remove, other_kind, without_documents, with_a_wrong_day,
     with_a_wrong_grammar],
)  # fmt: skip
def test_a_file_that_is_no_plan(saved: Path, damage: Callable[[Path], None]) -> None:
    damage(saved)
    found = only(lambda: pk.load_plan(saved))
    assert found.code == "PK311"
    assert found.place == pk.Place(str(saved))


@pytest.mark.parametrize("version", [99, None, "1"])
def test_a_plan_of_another_format(saved: Path, version: object) -> None:
    change(saved, lambda data: data.update(format=version))
    found = only(lambda: pk.load_plan(saved))
    assert found.code == "PK312"
    assert f"`{version}`" in found.message
    assert found.place == pk.Place(str(saved))


def weaken(data: Any) -> None:
    data["documents"][0]["rules"][0]["match"]["phrases"] = ["guaranteed profit"]


def drop_rules(data: Any) -> None:
    data["documents"] = []


def widen_context(data: Any) -> None:
    data["context"]["profile"] = "answer"


@pytest.mark.parametrize(
    "edit",
    [weaken, drop_rules, widen_context, lambda data: data.pop("digest"), lambda data: data.pop("bundle_digest")],
)
def test_an_edited_plan(saved: Path, edit: Callable[[Any], object]) -> None:
    change(saved, edit)
    found = only(lambda: pk.load_plan(saved))
    assert found.code == "PK313"
    assert found.place == pk.Place(str(saved))
