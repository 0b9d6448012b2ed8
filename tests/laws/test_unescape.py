r"""Escapes that a reader decodes: mask, verifier and the standard library's decoders are of one mind.

Every text of a few pieces is tried, among them beginnings of escapes. A text is clean if `re` finds nothing in it, nor
in what `html.unescape`, `urllib.parse.unquote` or `json.loads` make of it. What the mask admits to the end must be
clean, what it closes must have no clean ending, and the verifier must say the same.
"""

import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

import policykit as pk
from policykit.compile import lower
from policykit.constraint import PolicyMachine
from policykit.constraint.rows import has_bit
from tests.laws.languages import rule
from tests.laws.worlds import policies

PROBES = ("", "Ж", "☃", "Ж☃", "☃Ж", "0;Ж", "0000000", "0000000Ж", " ", ";", ";☃", "#75;")
PROBES += tuple(word[n:] for word in ("Kopf;", "szlig;", "#8490;", "u0061") for n in range(len(word)))
"""What may follow a text; the tails finish an escape that has begun."""
_NOT_IN_WORD = r"(?<![^\W_]){}(?![^\W_])"


def from_json(text: str) -> str:
    """Each run of escapes as the JSON reader of the standard library reads it."""

    def read(run: re.Match[str]) -> str:
        content: str = json.loads(f'"{run.group()}"')
        return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    return re.sub(r'(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+', read, text)


DECODERS: dict[str, Callable[[str], str]] = {"html": html.unescape, "url": unquote, "json": from_json}


@dataclass(frozen=True)
class World:
    """A matcher with the expression that finds the same, and the pieces of the texts that are tried."""

    match: dict[str, Any]
    kinds: tuple[str, ...]
    finds: str
    pieces: Sequence[str]
    length: int
    view: Callable[[str], str] = str

    def is_clean(self, text: str) -> bool:
        readings = (text, *(DECODERS[kind](text) for kind in self.kinds))
        return not any(re.search(self.finds, self.view(reading)) for reading in readings)

    def has_an_ending(self, text: str) -> bool:
        return any(self.is_clean(text + probe) for probe in PROBES)


def word(text: str) -> str:
    return _NOT_IN_WORD.format(re.escape(text))


AB = {"phrases": ["ab"], "views": ["raw"]}
WORLDS = {
    "html numbers": World(AB, ("html",), word("ab"), ["&#9", "&#x6", "1", "2", "7", "8", "a", "b", ";"], 4),
    "html pieces": World({"phrases": ["1"], "views": ["raw"]}, ("html",), word("1"), [*"&#x34091;"], 4),
    "html anywhere": World({"regex": ["ab"], "views": ["raw"]}, ("html",), "ab", ["&#9", "&#x6", *"1278ab;"], 4),
    "html names": World({"regex": ["<a"], "views": ["raw"]}, ("html",), "<a", ["&", *"lta<;", "lt", "amp"], 4),
    "html on compat": World(
        {"phrases": ["ßk"], "views": ["compat"]}, ("html",), word("ssk"), ["&szlig", "&Kopf", "&#8490", "ſ", *"sK;&#"],
        4,
        lambda text: text.casefold().replace("𝕂", "k"),
    ),
    "url": World(
        {"phrases": ["a é"], "exact": True, "views": ["raw"]}, ("url",), word("a é"), [*"%2061aé ", "c3", "%A9"], 4
    ),
    "url bytes": World({"regex": ["é"], "views": ["raw"]}, ("url",), "é", [*"%Cc3aA9é", "%c3", "%A"], 4),
    "json": World(AB, ("json",), word("ab"), ["\\", "\\u00", *"u0612ab"], 5),
    "json pairs": World(
        {"regex": ["😀"], "views": ["raw"]}, ("json",), "😀", ["\\ud83d", "\\u", "\\", "D83D", "\\ude0", "de00", "0"], 4
    ),
    "every character": World({"regex": ["[^☃b]"], "views": ["raw"]}, ("url",), "[^☃b]", [*"%62e8bx☃", "%98%83"], 7),
    "two kinds": World(AB, ("html", "url"), word("ab"), ["&#9", *"78%612ab;"], 4),
}  # fmt: skip


def plan_of(world: World) -> pk.Plan:
    return pk.compile(policies([rule({**world.match, "unescape": list(world.kinds)})]))


def judge(world: World, plan: pk.Plan, length: int) -> tuple[int, int, int]:
    """Number of clean and of forbidden texts up to a length, and of pieces that were closed."""
    known = [*world.pieces, *(probe for probe in PROBES if probe)]
    tokens = list(dict.fromkeys([*(bytes([b]) for b in range(256)), *(text.encode() for text in known)]))
    words = pk.Vocabulary.from_tokens([*tokens, b""], [len(tokens)])
    ids = {token: i for i, token in enumerate(tokens)}
    machine = PolicyMachine(lower(plan.spec.rules), words, plan.spec.liveness)
    n_clean = n_forbidden = n_closed = 0
    todo = [(machine.start(), "", 0)]
    while todo:
        joint, text, n = todo.pop()
        clean = world.is_clean(text)
        assert machine.may_end(joint) == clean, text
        assert (plan.verify(text).decision == "allow") == clean, text
        n_clean, n_forbidden = n_clean + clean, n_forbidden + (not clean)
        row = machine.mask(joint)
        for piece in world.pieces if n < length else ():
            after = machine.advance(joint, ids[piece.encode()])
            is_open = has_bit(row, ids[piece.encode()])
            assert is_open == world.has_an_ending(text + piece), (text, piece, after is None)
            if after is not None and is_open:
                todo.append((after, text + piece, n + 1))
            n_closed += not is_open
    return n_clean, n_forbidden, n_closed


@pytest.mark.parametrize("name", WORLDS)
def test_what_the_mask_admits_is_clean_as_it_stands_and_decoded(name: str) -> None:
    world = WORLDS[name]
    n_clean, n_forbidden, n_closed = judge(world, plan_of(world), world.length - 1)
    assert n_clean >= 15
    assert n_forbidden + n_closed >= 1, (n_clean, n_forbidden, n_closed)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_what_the_mask_admits_is_clean_as_it_stands_and_decoded_at_length(name: str) -> None:
    world = WORLDS[name]
    n_clean, n_forbidden, n_closed = judge(world, plan_of(world), world.length)
    assert n_clean >= 200
    assert n_forbidden + n_closed >= 5, (n_clean, n_forbidden, n_closed)


def test_the_law_can_fail() -> None:
    """A planted violation: a mask that decodes nothing."""
    world = WORLDS["html numbers"]
    with pytest.raises(AssertionError):
        judge(world, pk.compile(policies([rule(dict(world.match))])), 4)
