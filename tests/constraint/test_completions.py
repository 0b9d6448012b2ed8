"""A character that was begun needs one completion that *all* rules admit. The oracle spells every completion and
searches the whole text with `re`."""

import random
import re
from itertools import product

import numpy as np
import pytest

import policykit as pk
from policykit.automata import parse_regex
from policykit.compile import lower
from policykit.constraint import PolicyMachine
from policykit.diagnostics import Place
from policykit.ir.document import Block, Join, Mode, OnMatch, Reading, Regexes, RegexSource, Within
from policykit.ir.plan import Level, ResolvedRule

PLACE = Place("test")
LEADS = {0xC3: range(0xC0, 0x100), 0xC4: range(0x100, 0x140)}
HEADS = ("", "a", "b", "ab", "ba", "é")
BEFORE = ("", "a", "b", "ab", "[ab]{2}", "a.", "é", "bab")
TOKENS = ["a", "b", "ab", "é", "."]


def rule(name: str, sources: list[str]) -> ResolvedRule:
    reading = Reading(("raw",), Within.TEXT, Join.NONE)
    regexes = tuple(RegexSource(s, parse_regex(s, PLACE), PLACE) for s in sources)
    matcher = Regexes(regexes, None, None, reading, PLACE)
    block = Block(None, None, OnMatch.AVOID)
    return ResolvedRule(name, name, "doc", "high", 1.0, Mode.ENFORCE, Level.DECODE, matcher, block, PLACE)


def random_sources(rng: random.Random) -> list[str]:
    """Expressions that, after some letters, each forbid a part of what two lead bytes can become."""
    out: list[str] = []
    for low, high in ((0xC0, 0xFF), (0x100, 0x13F)):
        cuts = sorted(rng.sample(range(low, high), 2))
        parts = [(low, cuts[0]), (cuts[0] + 1, cuts[1]), (cuts[1] + 1, high)]
        for a, b in rng.sample(parts, rng.choice((2, 3, 3))):
            befores = rng.sample(BEFORE, rng.choice((1, 1, 3)))
            out.append("|".join(f"{before}[{chr(a + k)}-{chr(b)}]" for k, before in enumerate(befores) if a + k <= b))
    return out


def clean(text: str, sources: list[str]) -> bool:
    return not any(re.search(source, text) for source in sources)


def bit(row: np.ndarray, token_id: int) -> bool:
    return bool(row.view(np.uint32)[token_id >> 5] >> (token_id & 31) & 1)


def closed_jointly(seed: int) -> int:
    """Checks every short text of one random plan; how many tokens were shut for want of a common completion."""
    rng = random.Random(seed)
    sources = random_sources(rng)
    tokens = [t.encode() for t in TOKENS]
    begun = [(head, lead, len(tokens) + k) for k, (head, lead) in enumerate(product(HEADS, LEADS))]
    tokens += [head.encode() + bytes([lead]) for head, lead, _ in begun]
    vocabulary = pk.Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)
    machine = PolicyMachine(lower([rule(f"r{i}", [s]) for i, s in enumerate(sources)]), vocabulary)
    if seed % 2:
        machine.warm()
    todo, shut = [(machine.start(), "")], 0
    while todo:
        joint, text = todo.pop(rng.randrange(len(todo)))
        row = machine.mask(joint)
        for head, lead, token_id in begun:
            before = text + head
            expected = clean(before, sources) and any(clean(before + chr(c), sources) for c in LEADS[lead])
            shut += clean(before, sources) and not expected
            assert bit(row, token_id) == expected, (sources, text, head, lead)
            assert (machine.advance(joint, token_id) is not None) == expected, (sources, text, head, lead)
        for token_id, token in enumerate(TOKENS):
            after = machine.advance(joint, token_id)
            assert (after is not None) == clean(text + token, sources)
            if after is not None and len(text) < 3:
                todo.append((after, text + token))
    return shut


@pytest.mark.parametrize("batch", range(3))
def test_a_token_that_begins_a_character_is_open_where_one_completion_is_clean(batch: int) -> None:
    assert sum(closed_jointly(10 * batch + i) for i in range(10)) > 50


def test_the_tables_of_completions_count_towards_the_bound() -> None:
    """A machine that has no room for them drops everything after each mask, and answers the same."""
    rng = random.Random(1)
    rules = [rule(f"r{i}", [s]) for i, s in enumerate(random_sources(rng))]
    tokens = [*(t.encode() for t in TOKENS), b"\xc3", b"a\xc3", b"\xc4", b"ab\xc4"]
    vocabulary = pk.Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)
    free = PolicyMachine(lower(rules), vocabulary)
    two = free.start()
    free.mask(two)
    room = sum(unit.n_bytes for unit in free.reader.epoch.units) + free.reader.completions.n_bytes - 1
    bounded = PolicyMachine(lower(rules), vocabulary, table_bytes=room)
    one = bounded.start()
    for token_id in (0, 1, 2, 4, 0, 0, 1):
        assert np.array_equal(bounded.mask(one), free.mask(two))
        assert bounded.reader.completions.n_bytes == 0
        following, same = bounded.advance(one, token_id), free.advance(two, token_id)
        assert (following is None) == (same is None)
        if following is not None and same is not None:
            one, two = following, same
