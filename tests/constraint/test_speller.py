"""An exhaustive speller against an oracle that shares no code: every text over a tiny vocabulary, up to a length.

The oracle searches strings. A prefix is admitted exactly if some ending makes it a clean text: nothing, a letter that
occurs in no rule, or a mark that does.
"""

import random
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
import pytest

from policykit.automata import parse_regex
from policykit.compile import lower
from policykit.constraint import PolicyMachine, Vocabulary
from policykit.diagnostics import Place
from policykit.ir.document import (
    Block,
    Join,
    Mode,
    OnMatch,
    Phrase,
    Phrases,
    Reading,
    Regexes,
    RegexSource,
    Within,
)
from policykit.ir.plan import Level, ResolvedRule
from tests.length import at_length

PLACE = Place("test")
ERASED = {"\u200b", "\u00ad", "\u2060"}
SEPARATORS = set(" -_*~`\t\n\u00a0\u2014")
Forbidden: TypeAlias = tuple[str, str, str]
"""A phrase, its view, and how it is read: `exact`, with `separators`, or with its letters apart: `squeeze`."""
PLAIN = ("exact", "separators", "separators")
PROBES = ("", "Ж", "☃", "Ж☃", "☃Ж")


def rule(name: str, matcher: Phrases | Regexes) -> ResolvedRule:
    block = Block(None, None, OnMatch.AVOID)
    return ResolvedRule(name, name, "doc", "high", 1.0, Mode.ENFORCE, Level.DECODE, matcher, block, PLACE)


def phrases(texts: list[str], view: str, exact: bool, squeezed: bool = False) -> Phrases:
    reading = Reading((view,), Within.TEXT, Join.NONE)
    return Phrases(tuple(Phrase(t, PLACE) for t in texts), exact, None, None, reading, PLACE, squeezed)


# ---- the oracle


def on_view(text: str, view: str) -> str:
    if view == "raw":
        return text
    alone = " " if view == "compat" else ""
    kept = "".join(alone if is_accent(c) else c for c in text if c not in ERASED)
    seen = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", kept).casefold())
    return seen if view == "compat" else "".join(c for c in seen if not unicodedata.combining(c))


@cache
def is_accent(char: str) -> bool:
    """An accent that stands alone, which is a compatibility form of a space with marks; or a Hangul filler."""
    return char in "\u3164\uffa0" or (len(parts := unicodedata.normalize("NFKD", char)) > 1 and parts[0] == " ")


UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO", "YI ", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts that set no space between words, by the names of their characters, as far as the speller meets them."""


def is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"


def is_word(char: str) -> bool:
    """Letters of the scripts here that set spaces between words."""
    return is_letter(char) and not unicodedata.name(char, "").startswith(UNSPACED)


def has_phrase(text: str, phrase: str, exact: bool) -> bool:
    """Plain search at every start, words and separator runs by hand."""
    words = [phrase] if exact else phrase.split(" ")
    for start in range(len(text) + 1):
        if start and is_word(words[0][0]) and is_word(text[start - 1]):
            continue
        ends = {start}
        for i, word in enumerate(words):
            if i:
                ends = {e for at in ends for e in separator_ends(text, at)}
            ends = {at + len(word) for at in ends if text.startswith(word, at)}
        if any(not is_word(words[-1][-1]) or e == len(text) or not is_word(text[e]) for e in ends):
            return True
    return False


def separator_ends(text: str, at: int) -> set[int]:
    found: set[int] = set()
    while at < len(text) and text[at] in SEPARATORS:
        at += 1
        found.add(at)
    return found


def has_set_apart(text: str, phrase: str) -> bool:
    """The phrase with its letters set apart, at every start, gap by gap."""
    letters = phrase.replace(" ", "")
    word_ends = set(accumulate(map(len, phrase.split(" "))))
    for start in range(len(text)):
        if start and is_word(text[start - 1]):
            continue
        # Where the next letter stands; and the spelling: all letters apart, or strict gaps between words only.
        ways = {(start, True), (start, False)}
        for i, letter in enumerate(letters):
            found = {(at + 1, apart) for at, apart in ways if text.startswith(letter, at)}
            if any(end == len(text) or not is_word(text[end]) for end, _ in found) and i == len(letters) - 1:
                return True
            ways = set()
            for at, apart in found:
                end = at
                while end <= len(text):
                    gap = text[at:end]
                    if gap if apart else i + 1 not in word_ends or is_gap(gap):
                        ways.add((end, apart))
                    if end < len(text) and is_letter(text[end]):
                        break
                    end += 1
    return False


def is_gap(gap: str) -> bool:
    """Separators, or dots and separators without white space."""
    return all(c in SEPARATORS | ERASED for c in gap) or all(
        c in (SEPARATORS | ERASED) - set(" \t\n\u00a0") or c == "." for c in gap
    )


def is_clean(text: str, forbidden: list[Forbidden]) -> bool:
    return not any(
        has_set_apart(on_view(text, view), on_view(p, view))
        if kind == "squeeze"
        else has_phrase(on_view(text, view), on_view(p, view), kind == "exact")
        for p, view, kind in forbidden
    )


def admits(data: bytes, forbidden: list[Forbidden], completions: list[str]) -> bool:
    """Whether some ending makes the bytes a clean text."""
    for cut in range(min(4, len(data) + 1)):
        head, tail = data[: len(data) - cut], data[len(data) - cut :]
        try:
            text = head.decode("utf-8")
        except UnicodeDecodeError:
            continue
        endings = [c for c in completions if c.encode().startswith(tail) and len(c.encode()) > cut] if tail else [""]
        return any(is_clean(text + c + probe, forbidden) for c in endings for probe in PROBES)
    return False


LETTERS = ["a", "b", "A", "é", "ａ", "ß", "ﬁ"]
OTHERS = [" ", "-", ".", "\u200b", "\u00a0", "☃", "\u00b4", "\u02db", "\uffa0"]


def random_case(rng: random.Random, kinds: Sequence[str]) -> tuple[list[bytes], list[Forbidden]]:
    alphabet = rng.sample(LETTERS, 3) + rng.sample(OTHERS, 2)
    pieces: set[bytes] = {c.encode() for c in alphabet}
    for _ in range(3):
        data = "".join(rng.choices(alphabet, k=rng.randint(2, 3))).encode()
        a = rng.randint(0, len(data) - 1)
        pieces.add(data[a : rng.randint(a + 1, len(data))])
    wide = rng.choice([c.encode() for c in alphabet if len(c.encode()) > 1] or [b"x"])
    pieces |= {wide[:1], wide[1:] or b"y"}
    letters = [c for c in alphabet if c in LETTERS]
    forbidden: list[Forbidden] = []
    for _ in range(rng.randint(1, 3)):
        words = ["".join(rng.choices(letters, k=rng.randint(1, 2))) for _ in range(rng.randint(1, 2))]
        forbidden.append((" ".join(words), rng.choice(["raw", "compat", "unmarked"]), rng.choice(kinds)))
    return sorted(pieces), forbidden


def completions_of(alphabet: list[bytes]) -> list[str]:
    """Characters that can complete a piece: everything that shares a first byte with an alphabet character."""
    leads = {p[0] for p in alphabet if p[0] >= 0xC0}
    points = [*range(0x80, 0x800), *range(0x2000, 0x3000), *range(0xF000, 0x10000)]
    return [chr(c) for c in points if chr(c).encode()[0] in leads]


def check_case(rng: random.Random, depth: int, max_texts: int, kinds: Sequence[str] = PLAIN) -> tuple[int, int]:
    tokens, forbidden = random_case(rng, kinds)
    vocabulary = Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)
    rules = [rule(f"r{i}", phrases([p], v, k == "exact", k == "squeeze")) for i, (p, v, k) in enumerate(forbidden)]
    machine = PolicyMachine(lower(rules), vocabulary)
    completions = completions_of(tokens)
    todo = [(machine.start(), b"")]
    seen = 0
    decisions = 0
    known: dict[bytes, bool] = {}
    while todo and seen < max_texts:
        joint, data = todo.pop(rng.randrange(len(todo)))
        seen += 1
        row = np.unpackbits(machine.mask(joint).view(np.uint8), bitorder="little")
        whole = is_text(data) and is_clean(data.decode(), forbidden)
        assert bool(row[len(tokens)]) == whole, (data, forbidden)
        assert machine.may_end(joint) == whole
        for i, token in enumerate(tokens):
            after = data + token
            if after not in known:
                known[after] = admits(after, forbidden, completions)
            expected = known[after]
            decisions += 1
            assert bool(row[i]) == expected, (data, token, forbidden)
            following = machine.advance(joint, i)
            assert (following is not None) == expected, (data, token, forbidden)
            if following is not None and len(after) <= depth:
                todo.append((following, after))
    return seen, decisions


def is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


N_CASES = at_length(25, 6)


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_is_what_the_oracle_admits(seed: int) -> None:
    rng = random.Random(seed)
    decisions = sum(check_case(rng, depth=12, max_texts=40)[1] for _ in range(N_CASES))
    assert decisions > 200 * N_CASES


@pytest.mark.parametrize("seed", range(2))
def test_letters_set_apart_are_closed_as_the_oracle_says(seed: int) -> None:
    rng = random.Random(100 + seed)
    kinds = ("squeeze", "squeeze", "separators")
    decisions = sum(check_case(rng, depth=12, max_texts=40, kinds=kinds)[1] for _ in range(N_CASES))
    assert decisions > 200 * N_CASES


def test_a_regex_in_the_mask_agrees_with_search() -> None:
    """Expressions over the same speller, judged by google-re2 on whole texts."""
    import re2

    rng = random.Random(3)
    sources = [r"ab+a", r"\ba{2}\b", r"a\sb", r"(?:a|b)c{2,3}", r"b$", r"^aa", r"a.c", r"[^a]bb", r"\Bc", r"c\W"]
    tokens = [t.encode() for t in ["a", "b", "c", " ", "ab", "ca", "bc ", " a", "cc"]]
    vocabulary = Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)
    for _ in range(30):
        chosen = rng.sample(sources, 2)
        matcher = Regexes(
            tuple(RegexSource(s, parse_regex(s, PLACE), PLACE) for s in chosen),
            None, None, Reading(("raw",), Within.TEXT, Join.NONE), PLACE,
        )  # fmt: skip
        machine = PolicyMachine(lower([rule("r", matcher)]), vocabulary)
        compiled = [re2.compile(s) for s in chosen]

        def clean(text: str, compiled: list[object] = compiled) -> bool:
            return not any(c.search(text) for c in compiled)  # type: ignore[attr-defined]

        todo = [(machine.start(), "")]
        for _ in range(150):
            if not todo:
                break
            joint, text = todo.pop(rng.randrange(len(todo)))
            row = np.unpackbits(machine.mask(joint).view(np.uint8), bitorder="little")
            assert bool(row[len(tokens)]) == clean(text)
            for i, token in enumerate(tokens):
                after = text + token.decode()
                # One more character of any kind, or none: a match that is open at a boundary may still be avoided.
                expected = any(clean(after + probe) for probe in ("", "Z", "☃", "a", "b", "c", " ", "Z☃", "☃Z"))
                assert bool(row[i]) == expected, (chosen, after)
                following = machine.advance(joint, i)
                if following is not None and len(after) < 9:
                    todo.append((following, after))


def test_matches_do_not_hide_between_pieces() -> None:
    """Every way to cut a forbidden phrase into tokens is closed at its last piece."""
    phrase = "ab ba"
    pieces = sorted({phrase[a:b].encode() for a in range(5) for b in range(a + 1, 6)})
    vocabulary = Vocabulary.from_tokens([*pieces, b".", b""], [len(pieces) + 1], allow_incomplete=True)
    machine = PolicyMachine(lower([rule("r", phrases([phrase], "raw", exact=True))]), vocabulary)
    dot = len(pieces)
    cuts = 0
    for bits in range(16):
        at = [0, *(i + 1 for i in range(4) if bits >> i & 1), 5]
        joint = machine.start()
        for a, b in pairwise(at):
            following = machine.advance(joint, pieces.index(phrase[a:b].encode()))
            assert following is not None  # a letter could still follow
            joint = following
        assert not machine.may_end(joint)
        assert machine.advance(joint, dot) is None
        cuts += 1
    assert cuts == 16
