"""Tokens that a grammar names: what a vocabulary lacks is refused where it is named, and what it has is masked.

The oracle reads a made grammar as a list of sets of token ids, and knows neither the engine nor the reader of sources.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.grammar import CompiledGrammar, TokenTable, lark, matches
from policykit.grammar.matcher import Beginning
from policykit.grammar.named_tokens import check_named
from policykit.ir.lark import token_names, without_token_names
from tests.plan.documents import blocks, of

PLACE = Place("g.lark")
TOKENS = (b"a", b"b", b"ab", b"<pad>", b"<tool>", b"", b"<end>", b"<stop>", b"<tool_call>")
TABLE = TokenTable(TOKENS, frozenset({3, 4, 6, 7}), (6, 7))
ENDS, UNUSED, SPECIAL = {6, 7}, {5}, {"<pad>": 3, "<tool>": 4}
ALL = frozenset(range(len(TOKENS)))


@dataclass(frozen=True)
class Part:
    """What stands in a made grammar, and the tokens that may be written there; None: no vocabulary says which."""

    source: str
    ids: frozenset[int] | None


def ranges(written: list[tuple[int, int]], excludes: bool, sign: str) -> Part:
    meant = frozenset(i for low, high in written for i in range(low, high + 1))
    source = ",".join(f"{sign}{low}-{sign}{high}" if low < high else f"{sign}{low}" for low, high in written)
    ids = None if max(meant) >= len(TOKENS) else (ALL - meant if excludes else meant) - ENDS - UNUSED
    return Part(f"<[{'^' if excludes else ''}{source}]>", ids or None)


RANGE = st.tuples(st.integers(0, 9), st.integers(0, 2)).map(lambda pair: (pair[0], pair[0] + pair[1]))
PARTS = st.one_of(
    st.sampled_from([Part(name, frozenset({i})) for name, i in SPECIAL.items()]),
    st.sampled_from(["<end>", "<stop>", "<x>", "<|x|>", "<tool_call>", "<TOOL>"]).map(lambda name: Part(name, None)),
    st.just(Part("<[*]>", ALL - ENDS - UNUSED)),
    st.builds(ranges, st.lists(RANGE, min_size=1, max_size=3), st.booleans(), st.sampled_from(["", "+", "0"])),
    st.just(Part('"<x>"', frozenset())),
)
BEHIND = st.sampled_from(["", "  ", " // <x>", ' // a "'])


def opened(state: Any) -> set[int]:
    row = np.zeros(TABLE.row_words, np.int32)
    state.fill(row)
    return {i for i in ALL if int(row[i // 32]) >> (i % 32) & 1}


@given(st.lists(st.tuples(PARTS, BEHIND), min_size=1, max_size=5), st.data())
def test_made_grammars(made: list[tuple[Part, str]], data: st.DataObject) -> None:
    rules = [f"p{n}: {part.source}{behind}" for n, (part, behind) in enumerate(made)]
    source = "\n".join([f"start: {' '.join(f'p{n}' for n in range(len(made)))}", *rules])
    spec = lark(source, PLACE)
    parts = [part for part, _ in made]
    lacking = {part.source for part in parts if part.ids is None}
    if lacking:
        with pytest.raises(PolicyError) as refused:
            CompiledGrammar(spec, TABLE)
        found = refused.value.diagnostics
        assert {d.code for d in found} == {"PK219"}
        lines = source.split("\n")
        shown = [lines[d.place.line - 1][d.place.column - 1 : d.place.end_column - 1] for d in found if d.place]
        assert sorted(shown) == sorted(lacking), "each is underlined, once"
        return
    state = CompiledGrammar(spec, TABLE).start()
    for part in parts:
        if not part.ids:  # a text, which begins with what no token here is
            return
        assert opened(state) == part.ids
        assert not any(map(state.accept, ALL - part.ids))
        assert state.accept(data.draw(st.sampled_from(sorted(part.ids))))
    assert opened(state) == ENDS


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('start: "a"\n  | <|x|>', "g.lark:2:5: PK219: `<|x|>` is no special token of this vocabulary\n"
         '  help: it has `<pad>`, `<tool>`; what is to be read is a text: "<|x|>"'),
        ("start: <tol>", "did you mean `<tool>`?"),
        ("start: <tool_call>", "is an ordinary token of this vocabulary, and no special one"),
        ("start: <[9]>", "`<[9]>` names the token 9, and this vocabulary has 9\n  help: use ids from 0 to 8"),
        ("start: <[7-99999999]>", "names the token 99999999"),
        ("start: <end>", "`<end>` ends the text, and nothing comes behind that\n  help: leave it out"),
        ("start: <[6-7]>", "ends the text"),
        ("start: <[5]>", "leaves no token that writes something"),
        ("start: <[^0-8]>", "leaves no token that writes something"),
        ('start: %json {"type": "null"} <y>', "g.lark:1:31: PK219: `<y>`"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_token_that_is_not_there(source: str, says: str) -> None:
    with pytest.raises(PolicyError) as refused:
        CompiledGrammar(lark(source, PLACE), TABLE)
    assert says in str(refused.value)


def test_a_name_that_two_tokens_have() -> None:
    table = TokenTable((b"a", b"<x>", b"<x>", b"<end>"), frozenset({1, 2, 3}), (3,))
    with pytest.raises(PolicyError, match=r"is the name of 2 special tokens\n  help: name one by its id: `<\[1\]>`"):
        CompiledGrammar(lark("start: <x>", PLACE), table)


READ = {
    'start: "<x>" /<y>+/ <z> // <w>\n': ["<z>"],
    'start: %json {"const": "<x>"} <z>': ["<z>"],
    'start: %regex {"substring_words": "<x> y"}': [],
    'start: A "\\"" <[1-2,4]> <[^3]>\nA: "<"': ["<[1-2,4]>", "<[^3]>"],
    'start: /a\\/<x>/ "b"': [],
    "start: %json {": [],
}


@pytest.mark.parametrize("source", READ)
def test_texts_expressions_comments_and_json_name_nothing(source: str) -> None:
    assert [name.text for name in token_names(source)] == READ[source]
    left = without_token_names(source)
    assert len(left) == len(source)
    assert all(one == other for one, other in zip(left, source, strict=True) if one not in '" ')


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("start: <x> b", "PK211"),
        ("start: <x> /(/", "PK212"),
        ("start: <[9-3]>", "PK210"),
        ("start: A\nA: <x>", "PK210"),
        ('start: <x> "a"{9000000000}', "PK206"),
        ("start: <x> | b\nb: <y> b b", None),
    ],
)
def test_the_rest_of_such_a_grammar_is_looked_at_when_it_is_read(source: str, code: str | None) -> None:
    if code is None:
        lark(source, PLACE)
        return
    with pytest.raises(PolicyError) as refused:
        lark(source, PLACE)
    assert [d.code for d in refused.value.diagnostics] == [code]


@pytest.mark.parametrize("source", ['start: "a" <x>', 'start: "a" <[98]>', 'start: "a" <[*]>'])
def test_no_text_is_judged_by_such_a_grammar(source: str) -> None:
    """An id is not the byte of that number: 98 is `b` as a byte, and any token as an id."""
    spec = lark(source, PLACE)
    for judge in (lambda: matches(spec, "ab"), lambda: Beginning(spec)):
        with pytest.raises(InternalError, match="a grammar that names tokens"):
            judge()
    verdict = pk.compile(None, spec).verify("ab")
    assert (verdict.decision, [error.rule for error in verdict.errors]) == ("block", ["grammar"])


@pytest.mark.parametrize("change", [
    {}, {"when": "user.x == 1"}, {"mode": "shadow"}, {"target": "json"}, {"target": "input"},
    {"target": "tool_call", "tool": ["t"]}, {"match": {"not": {"phrases": ["b"]}}},
    {"action": {"transform": {"append": "c"}}},
])  # fmt: skip
def test_rules_and_such_a_grammar_do_not_go_together(change: dict[str, Any]) -> None:
    """Also where the mask enforces none of them: the verifier would hold every text against the grammar."""
    policies = of({**blocks("b"), **change})
    pk.compile(policies)
    with pytest.raises(PolicyError) as refused:
        pk.compile(policies, lark('start: "a"\n  | <|user|>', PLACE))
    (found,) = refused.value.diagnostics
    assert (found.code, str(found.place)) == ("PK218", "g.lark:2:5")


def test_many_names_over_a_large_vocabulary_are_looked_at_quickly() -> None:
    tokens = (*(b"%d" % i for i in range(200_000)), b"<end>")
    table = TokenTable(tokens, frozenset({200_000}), (200_000,))
    spec = lark("start: " + " | ".join(f"<[^{i}]>" for i in range(2_000)), PLACE)
    began = time.thread_time()
    check_named(spec, table)
    assert time.thread_time() - began < 5
