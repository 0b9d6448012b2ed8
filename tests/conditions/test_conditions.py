"""Conditions: what they give, what they refuse, and that two readings of them agree."""

from ast import literal_eval
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policykit.conditions import (
    ConditionError,
    FactsSchema,
    UnknownFact,
    ast,
    compile_condition,
    parse_condition,
    render,
)
from policykit.conditions.evaluate import compile_node
from policykit.diagnostics import Place, PolicyError
from tests.conditions.interpreter import interpret
from tests.conditions.table import CASES, FACTS

TABLE = [(kind, source, wanted) for kind, cases in CASES.items() for source, wanted in cases]


def place(source: str) -> Place:
    return Place("x", 3, 5, 3, 5 + len(source))


def run(source: str, facts: dict[str, object] = FACTS) -> object:
    return compile_condition(parse_condition(source, place(source)))(facts)


def _outcome(source: str) -> object:
    """What the condition gives, or why it is none."""
    try:
        return run(source)
    except PolicyError as error:
        return error


@pytest.mark.parametrize(("kind", "source", "wanted"), TABLE, ids=[f"{kind}: {source}" for kind, source, _ in TABLE])
def test_the_table(kind: str, source: str, wanted: object) -> None:
    got = _outcome(source)
    match wanted:
        case bool():
            assert got is wanted
        case str():
            assert got == UnknownFact(wanted)
        case _:  # what can only ever fail may be refused when it is read
            assert isinstance(got, ConditionError | PolicyError), got


def test_the_table_is_large() -> None:
    assert len(TABLE) >= 150


@pytest.mark.parametrize(
    "source",
    [
        "b'x' == 1", "1u == 1", "a.b{c: 1} == 1", "timestamp(a) > b", "duration('1s') == a", "type(a) == int",
        "dyn(a)", "a.b.c()", "a ? b", "a == 1 &", "[1, 2", "{1: }", "'unclosed", "for == 1", "a..b", "1 = 1",
        "has(a)", "has(a.b, c)", "l.all(x)", "l.all(1, t)", "a.exists(x.y, t)", "a\x00b", "`a`", "",
        "string({})", "-'a' == 1", "!1", "1 + true > 1", "'a' in 'b'", "null < 1", "t ? 1 : 2",
        "a.matches('(?<=x)')", "a.matches(b)", "[1].map(x, x)", "'\\ud800' == a", "1e999x",
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_in_its_place(source: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(source)
    for found in caught.value.diagnostics:
        assert found.code.startswith("PK15"), found
        assert found.place.line == 3
        assert 5 <= found.place.column <= 5 + len(source)
        assert found.help


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "user": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"role": {"type": "string"}, "age": {"type": "integer"}},
        },
        "limits": {"type": "object", "additionalProperties": {"type": "number"}},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("usr.role == 'a'", "PK152"),
        ("user.rol == 'a'", "PK152"),
        ("user.role == 1", "PK153"),
        ("user.role > 1", "PK153"),
        ("user.age", "PK153"),
        ("1 in tags", "PK153"),
        ("tags.exists(t, t > 1)", "PK153"),
        ("limits.refund == 'a'", "PK153"),
        ("size(user.age) > 1", "PK153"),
        ("user.role.size(1) > 1", "PK153"),
        ("user.role.x == 1", "PK153"),
        ("user.role[0] == 'a'", "PK153"),
        ("tags['a'] == 'a'", "PK153"),
    ],
)
def test_a_schema_finds_what_could_never_work(source: str, code: str) -> None:
    schema = FactsSchema.from_json(SCHEMA, place(""))
    with pytest.raises(PolicyError) as caught:
        parse_condition(source, place(source), schema)
    assert [found.code for found in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    "source",
    ["user.role == 'a'", "limits.refund > 500", "limits.refund * 2 > user.age", "'x' in tags", "args.amount > 1",
     "profile == 'answer'", "tags.all(t, t.startsWith('a'))", "json.rating in ['low', 'high']"],
)  # fmt: skip
def test_a_schema_admits_what_works(source: str) -> None:
    parse_condition(source, place(source), FactsSchema.from_json(SCHEMA, place("")))


@pytest.mark.parametrize(
    "schema",
    [{"type": "string"}, {"type": 3}, {"properties": {"a": {"oneOf": []}}}, {"properties": {"a": 1}}, {"$ref": "#/a"}],
)
def test_what_is_no_schema_of_facts_is_refused(schema: dict[str, object]) -> None:
    with pytest.raises(PolicyError, match="PK156"):
        FactsSchema.from_json(schema, place(""))


def test_facts_are_checked_against_the_schema() -> None:
    schema = FactsSchema.from_json(SCHEMA, place(""))
    assert schema.problems({"user": {"role": "a"}}) == []
    assert schema.problems({"user": {"role": 1}})[0].startswith("/user/role: ")
    assert schema.problems({"other": 1})


def test_the_names_that_it_reads_are_known() -> None:
    source = "user.role == 'a' && l.exists(x, x == y)"
    assert parse_condition(source, place(source)).reads == {"user", "l", "y"}


def test_what_costs_too_much_is_an_error_and_not_absorbed() -> None:
    deep = "l.all(a, l.all(b, l.all(c, l.all(d, t))))"
    facts: dict[str, object] = {"l": list(range(30)), "t": True}
    assert isinstance(run(f"t || {deep}", facts), bool)
    assert isinstance(run(f"{deep} || t", facts), ConditionError)
    assert isinstance(run("s + s + s == s", {"s": "x" * 100_000}), ConditionError)


def test_limits_of_length_and_nesting() -> None:
    for source in ("a || " * 1_000 + "a", "(" * 60 + "a" + ")" * 60, "!" * 300 + "a", "a" + ".b" * 300):
        with pytest.raises(PolicyError, match="PK155"):
            parse_condition(source, place(source))


def test_facts_that_are_no_json_are_errors() -> None:
    assert isinstance(run("x == 1", {"x": object()}), ConditionError)
    assert isinstance(run("x == 1", {"x": 2**70}), ConditionError)
    assert isinstance(run("x != x", {"x": float("nan")}), ConditionError)
    assert run("x == [1, 2]", {"x": (1, 2)}) is True


# ---- two readings

NAMES = st.sampled_from(["t", "f", "n", "i", "d", "s", "l", "m", "empty", "people", "big", "nope", "v"])
LITERALS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.integers(2**63 - 3, 2**63 - 1), st.sampled_from([0.0, 0.5, 2.0]),
    st.text(alphabet="ab\"\\\n'ß😀", max_size=3),
)  # fmt: skip
OPERATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||"])


def _trees(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    at = {"start": st.just(0), "end": st.just(0)}
    fields = st.sampled_from(["a", "b", "c", "name", "role"])
    return st.one_of(
        st.builds(ast.Binary, OPERATORS, inner, inner, **at),
        st.builds(ast.Unary, st.sampled_from("!-"), inner, **at),
        st.builds(ast.Ternary, inner, inner, inner, **at),
        st.builds(ast.Select, inner, fields, st.booleans(), **at),
        st.builds(ast.Index, inner, inner, **at),
        st.builds(ast.ListOf, st.lists(inner, max_size=3).map(tuple), **at),
        st.builds(ast.MapOf, st.lists(st.tuples(inner, inner), max_size=2).map(tuple), **at),
        st.builds(ast.Call, st.just("size"), st.tuples(inner), **at),
        st.builds(ast.Comprehension, st.sampled_from(list(ast.Quantifier)), inner, st.just("v"), inner, **at),
    )


TREES: st.SearchStrategy[Any] = st.recursive(
    st.builds(ast.Literal, LITERALS, st.just(0), st.just(0)) | st.builds(ast.Name, NAMES, st.just(0), st.just(0)),
    _trees,
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(TREES)
def test_closures_and_a_naive_reading_agree(tree: Any) -> None:
    tag, value = interpret(tree, dict(FACTS))
    got = compile_node(tree, 10**7)(FACTS)
    assert got is value if tag == "ok" and type(value) is bool else not isinstance(got, bool)


def _shape(node: Any) -> object:
    """A tree without offsets; a number and its sign are one literal where the reader makes them one."""
    if isinstance(node, ast.Unary) and node.operator == "-":
        inner = _shape(node.operand)
        number = literal_eval(inner[1]) if isinstance(inner, tuple) and inner[0] == "literal" else None
        return ("literal", repr(-number)) if type(number) in (int, float) else ("-", inner)
    match node:
        case ast.Literal(value):
            return ("literal", repr(value))
        case ast.Name(name):
            return name
        case ast.Select(operand, field, is_test):
            return ("select", _shape(operand), field, is_test)
        case ast.Comprehension(quantifier, over, variable, body):
            return (quantifier, _shape(over), variable, _shape(body))
        case ast.Call(function, arguments):
            return (function, *map(_shape, arguments))
        case _:
            kind = getattr(node, "operator", type(node).__name__)
            return (kind, *map(_shape, ast.children(node)))


@settings(max_examples=400, deadline=None)
@given(TREES)
def test_rendered_source_reads_as_the_same_tree(tree: Any) -> None:
    from policykit.conditions.syntax import parse_tree

    assert _shape(parse_tree(render(tree))) == _shape(tree)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="ab.()[]{}&|!<>=+-*/%?:,'\"\\ 01einhs", max_size=40)))
def test_any_text_is_a_condition_or_an_error_with_a_place(source: str) -> None:
    found = _outcome(source)
    if isinstance(found, PolicyError):
        assert all(each.code.startswith("PK15") and each.help for each in found.diagnostics)
