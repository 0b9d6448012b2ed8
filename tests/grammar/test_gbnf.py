"""GBNF: read with places, written back, and its language against a recogniser that enumerates spans."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings, strategies as st

import policykit as pk
from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.bnf import render
from policykit.grammar.gbnf import parse
from policykit.grammar.rules import Chars, Group, Item, Reference, Rules

PLACE = Place("case.gbnf")
TEXTS = ["".join(letters) for n in range(5) for letters in product("ab", repeat=n)]

chars = st.builds(
    Chars,
    st.sampled_from([((97, 97),), ((98, 98),), ((97, 98),), ((120, 122), (97, 97))]),
    st.booleans(),
)
references = st.builds(Reference, st.sampled_from(["root", "x"]), st.just(0))


def items(atoms: "st.SearchStrategy[Chars | Reference | Group]") -> "st.SearchStrategy[Item]":
    counts = st.sampled_from([(1, 1), (1, 1), (0, 1), (0, None), (1, None), (2, 2), (1, 3)])
    return st.builds(lambda atom, count: Item(atom, *count), atoms, counts)


def groups(of: "st.SearchStrategy[Item]") -> "st.SearchStrategy[Group]":
    return st.lists(st.lists(of, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple).map(Group)


leaves = items(st.one_of(chars, references))
bodies = groups(st.one_of(leaves, items(groups(leaves))))
worlds = st.fixed_dictionaries({"root": bodies, "x": bodies})


class Spans:
    """Which stretches of a text each rule derives: a fixed point, found by trying again until nothing is new."""

    def __init__(self, rules: Rules, text: str) -> None:
        self.rules, self.text, self.known = rules, text, set[tuple[str, int, int]]()
        size = -1
        while size != len(self.known):
            size = len(self.known)
            for name, group in rules.items():
                for at in range(len(text) + 1):
                    self.known |= {(name, at, end) for end in self.group(group, at)}

    def group(self, group: Group, at: int) -> set[int]:
        found: set[int] = set()
        for sequence in group.alternatives:
            reached = {at}
            for item in sequence:
                reached = {end for place in reached for end in self.item(item, place)}
            found |= reached
        return found

    def item(self, item: Item, at: int) -> set[int]:
        found, reached = set[int](), {at}
        most = len(self.text) + item.least + 1 if item.most is None else item.most
        for n in range(most + 1):
            if n >= item.least:
                found |= reached
            reached = {end for place in reached for end in self.atom(item.atom, place)}
        return found

    def atom(self, atom: "Chars | Reference | Group", at: int) -> set[int]:
        match atom:
            case Group():
                return self.group(atom, at)
            case Reference(name):
                return {end for rule, begin, end in self.known if (rule, begin) == (name, at)}
            case Chars(ranges, is_negated):
                if at == len(self.text):
                    return set()
                within = any(low <= ord(self.text[at]) <= high for low, high in ranges)
                return {at + 1} if within != is_negated else set()


@settings(deadline=None, max_examples=25)
@given(worlds, st.data())
def test_the_language_is_the_one_that_the_rules_derive(rules: Rules, data: st.DataObject) -> None:
    try:
        spec = grammar.gbnf(render(rules), PLACE)
    except PolicyError as refused:
        if {d.code for d in refused.diagnostics} != {"PK208"}:
            raise
        assume(False)
        return
    for text in data.draw(st.lists(st.sampled_from(TEXTS), min_size=8, max_size=8)):
        assert grammar.matches(spec, text) == (("root", 0, len(text)) in Spans(rules, text).known), text


@settings(deadline=None, max_examples=50)
@given(worlds)
def test_what_is_written_is_read_back(rules: Rules) -> None:
    assert _placeless(parse(render(rules), PLACE)) == _placeless(rules)


def _placeless(rules: Rules) -> str:
    return render(rules)


CHESS = r"""
# moves, as they are written down
root   ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move   ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]   # not a pawn
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
"""


@pytest.mark.parametrize(
    ("source", "inside", "outside"),
    [
        (CHESS, ["1. e4 e5\n2. Nf3 Nc6\n", "1. d4 d5\n2. O-O-O exd5=Q#\n"], ["1. e4 e5\n", "1. e4\n2. e5 e6\n"]),
        ('root ::= "a" |\n  "b"', ["a", "b"], ["ab"]),
        ("root ::= (\n[a-c]\n# a comment\n)+", ["abc"], ["", "d"]),
        (r'root ::= "\"\\\x41\u00e9\U0001F600\n\t\r"', ['"\\Aé😀\n\t\r'], ['"']),
        (r"root ::= [\]\[^-]", ["]", "[", "^", "-"], ["a"]),
        (r"root ::= [^a\n-z]", ["é", "\t"], ["a", "\n", "z", "A"]),
        ("root ::= .{2}", ["a\n", "é😀"], ["a", "abc"]),
        ('root ::= "ab"{2,} "c"{0,1}', ["abab", "abababc"], ["ab", "ababb"]),
        ('root ::= x-1\nx-1 ::= "" | "(" x-1 ")"', ["", "(())"], ["(", "())"]),
        ('root ::= ("ab" | "a") ("c" | "bcd")', ["abc", "ac", "abcd", "abbcd"], ["ab", "abb"]),
        ('root ::= "yes"\r\n', ["yes"], ["no"]),
    ],
)
def test_what_the_notation_says(source: str, inside: list[str], outside: list[str]) -> None:
    spec = pk.Grammar.from_gbnf(source)
    for text in (*inside, *outside):
        assert grammar.matches(spec, text) == (text in inside), text
        assert (not grammar.GrammarValidator(spec).check(text)) == (text in inside)
    again = grammar.gbnf(render(parse(source, PLACE)), PLACE)
    assert all(grammar.matches(again, text) == (text in inside) for text in (*inside, *outside))


@pytest.mark.parametrize(
    ("source", "code", "line", "column"),
    [
        ('root ::= "a', "PK210", 1, 10),
        ("root ::= [a", "PK210", 1, 10),
        ('root ::= ("a"', "PK210", 1, 10),
        ('root ::= "a")', "PK210", 1, 13),
        ('root ::= "a"\nroot ::= "b"', "PK210", 2, 1),
        ('root "a"', "PK210", 1, 6),
        ("root ::= *", "PK210", 1, 10),
        ('root ::= "a"**', "PK210", 1, 14),
        ('root ::= "a"{3,2}', "PK210", 1, 13),
        ('root ::= "a"{x}', "PK210", 1, 13),
        ("root ::= [b-a]", "PK210", 1, 10),
        (r'root ::= "\q"', "PK210", 1, 11),
        (r'root ::= "\x4"', "PK210", 1, 11),
        (r'root ::= "\ud800"', "PK210", 1, 11),
        ("root ::= []", "PK208", 1, 10),
        ('root ::= "a" verb', "PK211", 1, 14),
        ('start ::= "a"', "PK211", 1, 1),
        ("root ::= root", "PK208", 1, 1),
        ("root ::= <think>", "PK216", 1, 10),
        ("root ::= !<think>", "PK216", 1, 10),
        ('root ::= "a"{9999}', "PK206", 1, 13),
        ("root ::= " + "(" * 80 + ")" * 80, "PK206", 1, 74),
    ],
)
def test_what_is_no_grammar_is_refused_with_its_place(source: str, code: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as refused:
        grammar.gbnf(source, PLACE)
    found = refused.value.diagnostics[0]
    assert (found.code, found.place.line, found.place.column) == (code, line, column)


def test_a_file_and_a_plan_keep_it(tmp_path: Path) -> None:
    folder = tmp_path
    (folder / "answer.gbnf").write_text('root ::= "yes" | "no"', "utf-8")
    plan = pk.compile(None, pk.load_grammar(folder / "answer.gbnf"))
    plan.save(folder / "plan.json")
    loaded = pk.load_plan(folder / "plan.json")
    assert loaded.digest == plan.digest
    assert loaded.verify("no").decision is pk.Decision.ALLOW
    assert loaded.verify("maybe").decision is pk.Decision.BLOCK
