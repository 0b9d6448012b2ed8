"""Conditions that never change, and operands that never matter: held against every combination of small facts.

The oracle reads conditions by the naive interpreter, drops operands from the tree, and knows nothing of cells.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policykit.conditions import Constancy, FactsSchema, ast, constancy, parse_condition, render
from policykit.conditions.condition import Condition
from policykit.conditions.syntax import parse_tree
from policykit.diagnostics import Place, PolicyError
from tests.conditions.interpreter import interpret

PLACE = Place("x", 1, 1, 1, 1)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "i": {"type": "integer", "minimum": 0, "maximum": 3},
        "b": {"type": "boolean"},
        "e": {"enum": ["a", "b", 1]},
        "r": {"type": "string", "enum": ["a", "c"]},
    },
    "required": ["r"],
}
ABSENT = object()
DOMAINS: dict[str, list[Any]] = {
    "i": [0, 1, 2, 3, ABSENT],
    "b": [True, False, ABSENT],
    "e": ["a", "b", 1, ABSENT],
    "r": ["a", "c"],
    "o": [-1, 0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, "", "a", "aa", "b", "c", "d", None, True, False, [], {}, ABSENT],
}
"""For every fact a value of each kind that the conditions below could tell apart: all that the schema admits, and for
`o`, of which it says nothing, the constants, what lies between them, and every other type."""


def facts(names: frozenset[str]) -> Iterator[dict[str, Any]]:
    used = sorted(names)
    for values in itertools.product(*(DOMAINS[name] for name in used)):
        yield {name: value for name, value in zip(used, values, strict=True) if value is not ABSENT}


def truth(tree: Any, known: dict[str, Any]) -> bool | None:
    tag, value = interpret(tree, known)
    return value if (tag, type(value)) == ("ok", bool) else None


# -- the oracle


def dropped(tree: Any, gone: set[tuple[int, int]]) -> Any:
    """The tree without the operands that stand at these offsets; a binary node without one side is the other side."""
    match tree:
        case ast.Binary("&&" | "||" as operator, left, right):
            kept = [dropped(side, gone) for side in (left, right) if (side.start, side.end) not in gone]
            if len(kept) == 2:
                return ast.Binary(operator, kept[0], kept[1], tree.start, tree.end)
            return kept[0] if kept else ast.Literal(operator == "&&", 0, 0)
        case ast.Unary("!", operand):
            return ast.Unary("!", dropped(operand, gone), tree.start, tree.end)
        case ast.Ternary(condition, then, other):
            return ast.Ternary(*(dropped(part, gone) for part in (condition, then, other)), tree.start, tree.end)
        case _:
            return tree


def operands(tree: Any) -> list[Any]:
    """Operands of `&&` and `||`, those of outer nodes first, the last ones first."""
    out: list[Any] = []
    level = [tree]
    while level:
        for node in level:
            if isinstance(node, ast.Binary) and node.operator in ("&&", "||"):
                out += [node.right, node.left]
        logical = [n for n in level if isinstance(n, ast.Ternary) or getattr(n, "operator", "") in ("&&", "||", "!")]
        level = [child for node in logical for child in reversed(ast.children(node))]
    return out


def expected(tree: Any, worlds: list[dict[str, Any]]) -> tuple[bool | None, set[tuple[int, int]]]:
    """The value of a condition that never changes, or the operands that go, one after the other."""
    before = [truth(tree, known) for known in worlds]
    values = {value for value in before if value is not None}
    if len(values) < 2:
        return (values.pop() if values else False), set()
    gone: set[tuple[int, int]] = set()
    for operand in operands(tree):
        tried = gone | {(operand.start, operand.end)}
        if agrees(before, dropped(tree, tried), worlds):
            gone = tried
    return None, gone


def agrees(before: list[bool | None], tree: Any, worlds: list[dict[str, Any]]) -> bool:
    return all(value is None or truth(tree, known) is value for value, known in zip(before, worlds, strict=True))


def outermost(spans: set[tuple[int, int]]) -> set[tuple[int, int]]:
    return {(a, b) for a, b in spans if not any((c, d) != (a, b) and c <= a and b <= d for c, d in spans)}


# -- against every combination of facts


def condition(source: str) -> Condition:
    return parse_condition(source, PLACE, FactsSchema.from_json(SCHEMA, PLACE))


def found(source: str, asked: str | None = None, **more: Any) -> Constancy:
    where = condition(asked) if asked else None
    return constancy(condition(source), FactsSchema.from_json(SCHEMA, PLACE), given=where, **more)


def literal(value: Any) -> ast.Literal:
    return ast.Literal(value, 0, 0)


def node(kind: Any, *parts: Any) -> Any:
    return kind(*parts, 0, 0)


NAMES = st.sampled_from(sorted(DOMAINS)).map(lambda name: ast.Name(name, 0, 0))
NUMBERS = st.sampled_from([0, 1, 2, 0.5]).map(literal)
TEXTS = st.sampled_from(["a", "b", "c"]).map(literal)
COMPARED = st.one_of(
    st.builds(node, st.just(ast.Binary), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NAMES, NUMBERS | TEXTS),
    st.builds(node, st.just(ast.Binary), st.sampled_from(["==", "!=", "<", ">"]), NUMBERS | TEXTS, NAMES),
    st.builds(
        node,
        st.just(ast.Binary),
        st.just("in"),
        NAMES,
        st.lists(NUMBERS | TEXTS, max_size=3).map(lambda items: ast.ListOf(tuple(items), 0, 0)),
    ),
    st.just(ast.Name("b", 0, 0)),
    st.sampled_from([True, False, None]).map(literal),
)
OPEN = st.one_of(
    st.builds(node, st.just(ast.Binary), st.sampled_from(["==", "<"]), NAMES, NAMES),
    st.builds(
        lambda name, size: node(ast.Binary, ">", node(ast.Call, "size", (name,)), size),
        NAMES,
        st.sampled_from([-1, 0, 1]).map(literal),
    ),
    st.builds(
        lambda name, one: node(ast.Comprehension, ast.Quantifier.EXISTS, node(ast.ListOf, (name, one)), "v", VARIABLE),
        NAMES,
        NUMBERS,
    ),
    st.builds(lambda name, step: node(ast.Binary, "<", node(ast.Binary, "+", name, step), literal(2)), NAMES, NUMBERS),
)
VARIABLE = ast.Binary("==", ast.Name("v", 0, 0), ast.Literal(1, 0, 0), 0, 0)


def logic(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(node, st.just(ast.Binary), st.sampled_from(["&&", "||"]), inner, inner),
        st.builds(node, st.just(ast.Binary), st.sampled_from(["&&", "||"]), inner, inner),
        st.builds(node, st.just(ast.Unary), st.just("!"), inner),
        st.builds(node, st.just(ast.Ternary), inner, inner, inner),
    )


EXACT = st.recursive(COMPARED, logic, max_leaves=6)
ANY = st.recursive(COMPARED | OPEN, logic, max_leaves=6)
SEEN: Counter[str] = Counter()


def readable(tree: Any) -> tuple[str, list[dict[str, Any]]] | None:
    """The source of a generated tree and all facts that it can tell apart; None for one with too many, or that the
    checker refuses (an order of a text and a number, say)."""
    source = render(tree)
    try:
        reads = condition(source).reads
    except PolicyError:
        return None
    return (source, list(facts(reads))) if len(reads) <= 3 else None


@settings(max_examples=500, deadline=None)
@given(EXACT)
def test_comparisons_with_constants_are_decided_exactly(tree: Any) -> None:
    read = readable(tree)
    if read is None:
        return
    source, worlds = read
    got = found(source)
    always, gone = expected(parse_tree(source), worlds)
    assert not got.guessed
    assert got.always is always, source
    assert {(node.start, node.end) for node in got.idle} == outermost(gone), source
    SEEN[str(always)] += 1
    SEEN["idle"] += bool(gone)


def test_the_exact_cases_are_of_all_kinds() -> None:
    test_comparisons_with_constants_are_decided_exactly()
    assert all(SEEN[kind] >= 10 for kind in ("True", "False", "None", "idle")), SEEN


@settings(max_examples=400, deadline=None)
@given(ANY, ANY)
def test_what_is_claimed_holds_for_all_facts(tree: Any, asked: Any) -> None:
    read = readable(ast.Binary("&&", tree, asked, 0, 0))
    if read is None:
        return
    _, worlds = read
    source, where = render(tree), render(asked)
    got = found(source, where)
    read_tree, read_where = parse_tree(source), parse_tree(where)
    worlds = [known for known in worlds if truth(read_where, known)]
    before = [truth(read_tree, known) for known in worlds]
    if got.always is not None:
        assert (not got.always) not in before
    gone = {(node.start, node.end) for node in got.idle}
    assert agrees(before, dropped(read_tree, gone), worlds), (source, where)


# -- cases


@pytest.mark.parametrize(
    ("source", "always"),
    [
        ('user.role != "clerk" || user.role != "agent"', True),
        ('user.role == "clerk" && user.role == "agent"', False),
        ("o < 1 || o >= 1", True),
        ("i > 2 && i < 3", False),
        ("o > 2 && o < 3", None),
        ("o == 0.1 && o > 0.1", False),
        ("size(o) >= 0", True),
        ("o + 1 < 2 || o + 1 >= 2", None),  # what is computed may be NaN
        ("has(o.p) || !has(o.p)", True),
        ('r in ["a", "c"]', True),
        ('r == "c" && r.startsWith("a")', False),
        ('o.matches("a") && !o.matches("a")', False),
        ("o < user.x && o < user.x", None),
        ("o < user.x && !(o < user.x)", False),
        ("i < 9223372036854775807", True),
        ("1 > 2", False),
        ("1 / 0 == 1", False),
        ("i", False),
    ],
)
def test_what_never_changes(source: str, always: bool | None) -> None:
    schema = None if source == "i" else FactsSchema.from_json(SCHEMA, PLACE)
    got = constancy(parse_condition(source, PLACE, schema), schema)
    assert got.always is (None if source == "i" else always)


@pytest.mark.parametrize(
    ("source", "idle"),
    [
        ("args.amount > 500 && args.amount > 100", ["args.amount > 100"]),
        ('r != "b" && i > 1', ['r != "b"']),
        ("o < user.x && (b || o < user.x)", ["b || o < user.x"]),
        ("i > 1 || (b && !b)", ["b && !b"]),
        ("b && b && b", ["b", "b"]),
        ("i > 0 && b", []),
    ],
)
def test_operands_that_change_nothing(source: str, idle: list[str]) -> None:
    assert [source[node.start : node.end] for node in found(source).idle] == idle


def test_an_exception_is_asked_only_where_its_rule_is() -> None:
    assert found("o < 2", "o < 1").always is True
    assert found("o > 2", "o < 1").always is False
    assert found("o < 1", "o < 2").always is None
    assert found("o < 1", "b && !b").always is None  # it is never asked at all


def test_what_is_judged_and_the_tool_are_known() -> None:
    assert found('target == "output"', fixed={"target": ("output",)}).always is True
    assert found('tool == "a"', fixed={"tool": ("a", "b")}).always is None
    assert found('tool in ["a", "b"]', fixed={"tool": ("a", "b")}).always is True


def test_what_is_taken_to_be_anything_is_said() -> None:
    source = "size(o) > 3 && i > 1"
    assert [source[n.start : n.end] for n in found(source).guessed] == ["size(o)"]
    source = "user.role == 'a' && user == null"
    assert found(source).guessed
    assert not found("i > 1 && has(user.role)").guessed


def test_too_many_cases_are_not_claimed() -> None:
    source = " && ".join(f"user.f{i} > {i}" for i in range(20))
    assert found(source) == Constancy(is_over=True)
    assert found("b && !b", max_cases=2) == Constancy(is_over=True)
