"""Ways around a forbidden phrase that do not work: other tokens, other spellings, escapes, seams and ends."""

import json
import os
import random
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from tests.laws.languages import phrases, rule
from tests.laws.worlds import NAMES, allowed, bytewise, policies, tokenised

PHRASE = "guaranteed returns"
BANNED = [phrases(PHRASE)]
EOS = b"<end>"
WORDS = ("the", "rate", "is", "fine", "returns", "guarantee", "no", "risk", "paid", "monthly", "sure")


def cased(rng: random.Random, text: str) -> str:
    return "".join(rng.choice([c.lower(), c.upper()]) for c in text)


@cache
def big_vocabulary() -> pk.Vocabulary:
    """About 20,000 tokens: all bytes, every piece of hundreds of casings of the phrase, pieces cut inside characters,
    random words with and without a space."""
    rng = random.Random(20_000)
    found: dict[bytes, None] = dict.fromkeys(bytes([i]) for i in range(256))
    spellings = [PHRASE, PHRASE.title(), PHRASE.upper(), *(cased(rng, PHRASE) for _ in range(60)), *wide_spellings()]
    for spelling in spellings:
        data = f" {spelling} ".encode()
        for a in range(len(data)):
            for b in range(a + 2, min(len(data), a + 18) + 1):
                found[data[a:b]] = None
    while len(found) < 20_000:
        word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyzéß", k=rng.randint(2, 8)))
        found[rng.choice(["", " "]).encode() + word.encode()] = None
    tokens = [*found, *NAMES, EOS]
    n = len(tokens)
    return pk.Vocabulary.from_tokens(tokens, [n - 1], [n - 2, n - 3])


def wide_spellings() -> list[str]:
    wide = "".join(chr(ord(c) + 0xFEE0) if c != " " else " " for c in PHRASE)
    bold = "".join(chr(0x1D41A + ord(c) - ord("a")) if c != " " else " " for c in PHRASE)
    return [wide, bold]


SEPARATORS = (
    "  ",
    "\n",
    "\t",
    "-",
    "_",
    "*",
    " ** ",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\u2014",
    "~",
    "`",
    "\r\n",
    "\u00ad ",
    "\u00b4",
    "\u02db\u00a8",
    "\u3164",
    "\uffa0\u1160",
    "\u2800",
)
IGNORED = ("\u200b", "\u200d", "\u00ad", "\u2060", "\ufeff", "\u034f")


def respelled(rng: random.Random) -> str:
    """The phrase in another case, with other separators, other widths and invisible characters."""
    text = rng.choice([PHRASE, *wide_spellings()])
    text = cased(rng, text) if rng.random() < 0.7 else text
    text = text.replace(" ", rng.choice([" ", *SEPARATORS]))
    if rng.random() < 0.5:
        at = rng.randint(1, len(text) - 1)
        text = text[:at] + rng.choice(IGNORED) + text[at:]
    return text


def gets_out(constraint: pk.Constraint, ids: list[int], ending: str) -> bool:
    """Whether all tokens and the ending are taken and the text may end there."""
    state = constraint.start()
    return all(map(state.accept, [*ids, *bytewise(constraint.vocabulary, ending.encode())])) and state.accepting


def tries_that_get_out(vocabulary: pk.Vocabulary, n: int) -> list[bytes]:
    constraint = pk.compile(policies(BANNED)).constraint(vocabulary)
    rng = random.Random(n)
    out: list[bytes] = []
    for _ in range(n):
        before = "".join(f"{w} " for w in rng.choices(WORDS, k=rng.randint(0, 2)))
        data = (before + respelled(rng)).encode()
        ids = cut(rng, vocabulary, data)
        if gets_out(constraint, ids, rng.choice(["", ".", " now", '"', "\n"])):
            out.append(data)
    return out


def cut(rng: random.Random, vocabulary: pk.Vocabulary, data: bytes) -> list[int]:
    """A random tokenisation, from a dictionary of the vocabulary."""
    known = known_tokens(vocabulary)
    ids: list[int] = []
    at = 0
    while at < len(data):
        here = [known[data[at:b]] for b in range(at + 1, min(at + 24, len(data)) + 1) if data[at:b] in known]
        ids.append(rng.choice(here))
        at += len(vocabulary.tokens[ids[-1]])
    return ids


@cache
def known_tokens(vocabulary: pk.Vocabulary) -> dict[bytes, int]:
    return {t: i for i, t in enumerate(vocabulary.tokens) if t}


def test_no_tokenisation_and_no_casing_gets_out() -> None:
    assert tries_that_get_out(big_vocabulary(), 2_000) == []


@pytest.mark.slow
def test_ten_thousand_tries_get_nowhere() -> None:
    assert tries_that_get_out(big_vocabulary(), 10_000) == []


@pytest.mark.slow
@pytest.mark.skipif(
    "POLICYKIT_BIG_TOKENIZER" not in os.environ, reason="POLICYKIT_BIG_TOKENIZER names no tokenizer.json"
)
def test_a_real_vocabulary_lets_nothing_out() -> None:
    vocabulary = pk.Vocabulary.from_file(os.environ["POLICYKIT_BIG_TOKENIZER"], eos_token="<|endoftext|>")
    assert vocabulary.size > 100_000
    assert tries_that_get_out(vocabulary, 10_000) == []


def test_the_tries_can_succeed() -> None:
    """The planted violation: near misses get out, so that the tries above would be seen."""
    constraint = pk.compile(policies(BANNED)).constraint(big_vocabulary())
    for text in (
        "guaranteed  return",
        "guaranteedreturns",
        "unguaranteed returns",
        "guaranteed, returns",
        "guaranteed returnsx",
    ):
        assert gets_out(constraint, cut(random.Random(1), big_vocabulary(), text.encode()), "."), text


# ---- one way around at a time, over a small vocabulary


@cache
def small() -> pk.Vocabulary:
    texts = [PHRASE, " returns", "guaranteed", "Ret", "urns", '"', '{"', '":"', "café", "cafe\u0301", "\\u"]
    tokens = [*(bytes([i]) for i in range(256)), *(t.encode() for t in texts), b"\xc3", b"\xa9 ", *NAMES, EOS]
    n = len(tokens)
    return pk.Vocabulary.from_tokens(tokens, [n - 1], [n - 2, n - 3])


@cache
def bound(plan: pk.Plan, vocabulary: pk.Vocabulary) -> pk.Constraint:
    return plan.constraint(vocabulary)


def writes(plan: pk.Plan, text: str | bytes, vocabulary: pk.Vocabulary | None = None, prefix: bytes = b"") -> bool:
    """Whether the text can be written and ended, in bytes and in random tokens alike; the verifier must agree."""
    vocabulary = vocabulary or small()
    data = text.encode() if isinstance(text, str) else text
    rng = random.Random(len(data))
    answers: set[bool] = set()
    for ids in (bytewise(vocabulary, data), tokenised(rng, vocabulary, data), tokenised(rng, vocabulary, data)):
        state = bound(plan, vocabulary).start(prefix=prefix)
        answers.add(all(map(state.accept, ids)) and state.accepting)
    assert len(answers) == 1, ("it depends on the tokens", text)
    if isinstance(text, str) and not prefix:
        assert answers == {False} or plan.verify(text).decision == "allow", text
    return answers.pop()


@cache
def _compiled(match: str) -> pk.Plan:
    return pk.compile(policies([rule(json.loads(match))]))


def banning(*texts: str, **fields: Any) -> pk.Plan:
    return _compiled(json.dumps({"phrases": texts, **fields}))


@pytest.mark.parametrize("between", [*SEPARATORS, "\u200b \u200b", " \u00ad", "_*_"], ids=ascii)
def test_separators(between: str) -> None:
    plan = banning(PHRASE)
    text = PHRASE.replace(" ", between)
    assert plan.verify(text).decision == "block"
    assert not writes(plan, text)
    assert writes(banning(PHRASE, exact=True, views=["raw"]), text)


@pytest.mark.parametrize("ignored", IGNORED, ids=ascii)
def test_invisible_characters(ignored: str) -> None:
    plan = banning(PHRASE)
    for text in (ignored.join(PHRASE), f"guaranteed {ignored}returns", f"{ignored}{PHRASE}{ignored}"):
        assert plan.verify(text).decision == "block"
        assert not writes(plan, text)
    assert writes(plan, f"guaranteed{ignored}returns"), "one word: nothing stands between"


@pytest.mark.parametrize("text", wide_spellings(), ids=ascii)
def test_other_widths(text: str) -> None:
    assert not writes(banning(PHRASE), text)
    assert not writes(banning(text), PHRASE)


@pytest.mark.parametrize("view", ["compat", "unmarked"])
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_composed_and_decomposed(view: str, form: str) -> None:
    written = unicodedata.normalize(form, "Crédit Sûr")
    for banned in ("crédit sûr", unicodedata.normalize("NFD", "crédit sûr")):
        plan = banning(banned, views=[view])
        assert not writes(plan, f"un {written}.")
        assert writes(plan, "credit sur.") == (view == "compat")


def test_added_accents() -> None:
    marked = "g\u0301uaran\u0308teed r\u0323eturns\u0301"
    assert not writes(banning(PHRASE, views=["unmarked"]), marked)
    assert writes(banning(PHRASE), marked), "marks stay on compat"


NOTE = {
    "type": "object",
    "properties": {"note": {"type": "string"}, "n": {"type": "boolean"}},
    "required": ["note"],
    "additionalProperties": False,
}
ESCAPED = ["guaranteed\\u0020returns", "\\u0067uaranteed returns", "guaranteed re\\u0074urns", "guaranteed\\nreturns"]


@pytest.mark.parametrize("content", ESCAPED)
def test_escapes_in_values(content: str) -> None:
    plan = pk.compile(policies(BANNED), pk.Grammar.from_json_schema(NOTE))
    text = f'{{"note":"{content}"}}'
    assert json.loads(text)["note"].split() == PHRASE.split()
    assert plan.verify(text).decision == "block"
    assert not writes(plan, text)


def test_escapes_that_are_not_canonical_are_not_written() -> None:
    plan = pk.compile(policies(BANNED), pk.Grammar.from_json_schema(NOTE))
    for harmless in ("\\u0067ood", "a\\/b", "\\u00e9"):
        text = f'{{"note":"{harmless}"}}'
        assert plan.verify(text).decision == "allow"
        assert not writes(plan, text)
    assert writes(plan, '{"note":"a\\n\\"b\\\\c"}')


def test_escapes_in_keys() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "boolean"}}
    plan = pk.compile(policies(BANNED), pk.Grammar.from_json_schema(schema))
    for key in (PHRASE, *ESCAPED):
        text = f'{{"{key}":true}}'
        assert plan.verify(text).decision == "block"
        assert not writes(plan, text)
    assert writes(plan, '{"guaranteed":true,"returns":false}')


@pytest.mark.parametrize("at", [1, 5, 10, 11, 15])
def test_special_tokens_inside_the_phrase(at: int) -> None:
    """They write nothing: where a grammar admits them, the phrase goes on behind them."""
    vocabulary = small()
    tool = vocabulary.size - 3
    machine = pk.compile(policies(BANNED)).constraint(vocabulary).machine
    joint = machine.start()
    for i in [*bytewise(vocabulary, PHRASE[:at].encode()), tool, *bytewise(vocabulary, PHRASE[at:].encode())]:
        following = machine.advance(joint, i)
        assert following is not None
        joint = following
    assert not machine.may_end(joint)
    assert machine.advance(joint, bytewise(vocabulary, b".")[0]) is None
    state = pk.compile(policies(BANNED)).constraint(vocabulary).start()
    assert not state.accept(tool), "without a grammar no special token has a place"


@pytest.mark.parametrize(
    "wrong", [b"\xc3", b"\x80", b"\xff", b"\xc0\xa0", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80"]
)
@pytest.mark.parametrize("at", [4, 10, 18])
def test_invalid_bytes_inside_the_phrase(wrong: bytes, at: int) -> None:
    data = PHRASE.encode()
    assert not writes(banning(PHRASE), data[:at] + wrong + data[at:])
    assert not writes(banning("xyz"), data[:at] + wrong + data[at:])


@pytest.mark.parametrize("at", range(1, 18))
def test_a_match_across_the_prefix(at: int) -> None:
    plan = banning(PHRASE)
    prefix, rest = f"It has {PHRASE[:at]}".encode(), PHRASE[at:]
    assert not writes(plan, rest, prefix=prefix)
    assert not writes(plan, rest + ".", prefix=prefix)
    assert writes(plan, rest, prefix=b"It has un" + prefix[7:]), "another word"


def test_a_prefix_that_ends_inside_a_character() -> None:
    plan = banning("é b")
    assert not writes(plan, b"\xa9 b", prefix=b"so \xc3")
    assert writes(plan, b"\xa8 b", prefix=b"so \xc3")


def test_what_the_prefix_says_alone_is_not_the_outputs_doing() -> None:
    plan = banning(PHRASE)
    assert writes(plan, " are what they say", prefix=f"{PHRASE},".encode())
    assert not writes(plan, f" {PHRASE}", prefix=f"{PHRASE},".encode())


def test_matches_that_need_the_end_of_text() -> None:
    plan = banning(PHRASE)
    assert not writes(plan, f"We offer {PHRASE}")
    assert writes(plan, f"We offer {PHRASE}x")
    ending = pk.compile(policies([rule({"regex": ["returns?$"]})]))
    for text, expected in (("returns", False), ("no return", False), ("returns.", True), ("returns ", True)):
        assert writes(ending, text) == expected, text


ARRAY = {"type": "array", "items": {"type": "string"}, "maxItems": 4}


@pytest.mark.parametrize(
    "text", ['["guaranteed","returns"]', '["no guaranteed","returns now"]', '["x","guaranteed","returns"]']
)
def test_elements_of_an_array(text: str) -> None:
    grammar = pk.Grammar.from_json_schema(ARRAY)
    assert writes(pk.compile(policies(BANNED), grammar), text)
    joined = pk.compile(policies([phrases(PHRASE, join="array")]), grammar)
    assert joined.verify(text).decision == "block"
    assert not writes(joined, text)
    assert writes(joined, '["guaranteed","no","returns"]')


def byte_fallback(path: Path) -> pk.Vocabulary:
    """A vocabulary in the notation of byte-fallback tokenizers."""
    pieces = ["▁guaranteed", "▁returns", "returns", "▁re", "turns", "guar", "anteed", "▁", "é", "ｒ"]
    words = ["<unk>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *pieces]
    steps = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    added = [{"id": i, "content": words[i], "special": True} for i in (0, 1)]
    model = {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": [], "byte_fallback": True}
    data = {"added_tokens": added, "model": model, "decoder": {"type": "Sequence", "decoders": steps}}
    path.write_text(json.dumps(data), "utf-8")
    return pk.Vocabulary.from_file(path, eos_token="</s>")


def test_a_byte_fallback_vocabulary(tmp_path: Path) -> None:
    vocabulary = byte_fallback(tmp_path / "tokenizer.json")
    plan = banning(PHRASE)
    assert tries_that_get_out(vocabulary, 300) == []
    for text in (PHRASE, " guaranteed returns.", "guaranteed ｒeturns"):
        assert not writes(plan, text, vocabulary)
    assert writes(plan, " guaranteed é returns", vocabulary)


def test_rows_agree_inside_the_phrase() -> None:
    """In every place of the phrase the row is what `accept` does, token by token."""
    vocabulary = small()
    constraint = banning(PHRASE).constraint(vocabulary)
    state = constraint.start()
    for byte in bytewise(vocabulary, PHRASE.encode()):
        row = set(allowed(state, vocabulary))
        assert row == {i for i in range(vocabulary.size) if state.copy().accept(i)}
        assert state.accept(byte)
