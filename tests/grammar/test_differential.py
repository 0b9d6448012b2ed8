"""Grammars of each notation, judged equally by the mask, by the verifier and by somebody who shares nothing with them.

That is Earley's recogniser over a reader of our own (GBNF, EBNF) or lark (Lark). Texts are written by hand, derived by
the recogniser, walked from the mask, and spoilt. `POLICYKIT_TESTS=full pytest -m slow` judges more of them.
"""

import random
from collections.abc import Callable, Iterator
from functools import cache

import lark
import numpy as np
import pytest

from policykit import grammar
from policykit.diagnostics import Place
from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable
from policykit.grammar.bnf import render
from policykit.grammar.ebnf import parse as parse_ebnf
from policykit.grammar.gbnf import parse as parse_gbnf
from policykit.grammar.lexing import reaching
from policykit.grammar.plain_lark import read, scannerless
from policykit.grammar.rules import to_lark
from policykit.ir.grammar import GrammarSpec
from tests.grammar.languages import bnf, lark_files
from tests.grammar.languages.bnf_oracle import Oracle
from tests.length import at_length

PLACE = Place("case")
Judge = Callable[[str], bool]
PAIRS = ("ab", "a,", '"a', '":', "é", "—中", " = ", "\n\n", "10", "((", "))", " a", "a b", "e4 ", "\\\\", "xx", "😀")
SINGLE = tuple(bytes([i]) for i in range(256))
VOCABULARY = TokenTable((*SINGLE, *(p.encode() for p in PAIRS), b"\xc3", b"<end>"), frozenset({274}), (274,))
END = 274

BNF = {
    **{f"gbnf: {name}": case for name, case in {**bnf.COMMON, **bnf.GBNF_ONLY}.items()},
    **{f"ebnf: {name}": case for name, case in {**bnf.COMMON, **bnf.EBNF_ONLY}.items()},
}
LARK = {
    **{f"dialect: {name}": case for name, case in lark_files.COMMON.items()},
    **{f"plain: {name}": case for name, case in {**lark_files.COMMON, **lark_files.PLAIN_ONLY}.items()},
}
NAMES = [*BNF, *LARK, *(f"dialect only: {name}" for name in lark_files.DIALECT_ONLY)]


@cache
def by_lark(source: str) -> Judge:
    parser = lark.Lark(source, parser="earley", lexer="dynamic_complete")

    def judge(text: str) -> bool:
        try:
            parser.parse(text)
        except lark.exceptions.LarkError:
            return False
        return True

    return judge


@cache
def case(name: str) -> tuple[GrammarSpec, list[str], Judge, Callable[[random.Random], str] | None]:
    """The grammar, texts in it, its judge, and what derives texts."""
    notation, _, short = name.partition(": ")
    match notation:
        case "gbnf" | "ebnf":
            source, inside = BNF[name]
            oracle = Oracle(source, longest_hex=notation == "ebnf")
            make = grammar.gbnf if notation == "gbnf" else grammar.ebnf
            return make(source, PLACE), inside, oracle.accepts, oracle.derive
        case "dialect only":
            source, inside, judge = lark_files.DIALECT_ONLY[short]
            return grammar.lark(source, PLACE), inside, judge, None
        case _:
            source, inside = LARK[name]
            make = grammar.lark if notation == "dialect" else grammar.plain_lark
            return make(source, PLACE), inside, by_lark(source), None


def bit(row: np.ndarray, token: int) -> bool:
    return bool(int(row.view(np.uint32)[token // 32]) >> (token % 32) & 1)


def by_mask(compiled: CompiledGrammar, text: str, rng: random.Random) -> bool:
    """Whether a random tokenisation of the text is in the masks, up to the end of text."""
    state, row = compiled.start(), np.zeros(VOCABULARY.row_words, dtype=np.int32)
    data = text.encode()
    while data:
        fitting = [i for i, token in enumerate(VOCABULARY.tokens[:END]) if data.startswith(token)]
        token = rng.choice(fitting)
        state.fill(row)
        assert state.accept(token) == bit(row, token)
        if not bit(row, token):
            return False
        data = data[len(VOCABULARY.tokens[token]) :]
    state.fill(row)
    return bit(row, END)


def walked(compiled: CompiledGrammar, rng: random.Random) -> str:
    """What the masks let be written, ended where they let it."""
    state, row, written = compiled.start(), np.zeros(VOCABULARY.row_words, dtype=np.int32), b""
    for _ in range(40):
        state.fill(row)
        allowed = [i for i in range(END + 1) if bit(row, i)]
        assert allowed, "a dead end"
        plain = [i for i in allowed if 32 <= i < 127]
        token = END if END in allowed and rng.random() < 0.3 else rng.choice(rng.choice((allowed, plain or allowed)))
        if token == END:
            break
        assert state.accept(token)
        written += VOCABULARY.tokens[token]
    return written.decode("utf-8", "ignore")


def spoilt(text: str, rng: random.Random, alphabet: str) -> str:
    for _ in range(rng.choice((1, 1, 2))):
        a, b = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        match rng.randrange(5):
            case 0:
                text = text[:a] + text[a + 1 :]
            case 1:
                text = text[:a] + rng.choice(alphabet) + text[a:]
            case 2:
                text = text[:a] + rng.choice(alphabet) + text[a + 1 :]
            case 3:
                text = text[:b] + text[a : min(b, a + 5)] + text[b:]
            case _:
                text = text[:a] + text[a + 1 : a + 2] + text[a : a + 1] + text[a + 2 :]
    return text


def texts_of(name: str, n: int) -> Iterator[tuple[str, tuple[bool, bool, bool]]]:
    """Texts, and what mask, verifier and judge say."""
    spec, inside, judge, derive = case(name)
    compiled, validator, rng = CompiledGrammar(spec, VOCABULARY), GrammarValidator(spec), random.Random(name)
    texts = dict.fromkeys(inside)
    texts |= dict.fromkeys(walked(compiled, rng) for _ in range(n // 4))
    if derive is not None:
        texts |= dict.fromkeys(derive(rng) for _ in range(n // 4))
    seeds, alphabet = list(texts), "".join(sorted(set("".join(inside)) | set("aB0 é!\n")))
    while len(texts) < n:
        texts[spoilt(rng.choice(seeds), rng, alphabet)] = None
        n -= 1 if rng.random() < 0.02 else 0  # small languages have few texts
    for text in texts:
        if len(text) < 120:
            yield text, (by_mask(compiled, text, rng), not validator.check(text), judge(text))


def agree(name: str, n: int) -> tuple[int, int]:
    """How many texts were admitted, and how many were not."""
    _, inside, *_ = case(name)
    found = list(texts_of(name, n))
    for text, said in found:
        assert len(set(said)) == 1, f"{text!r}: mask, verifier, judge say {said}"
        assert text not in inside or said == (True, True, True), f"{text!r} is not in {name}"
    return sum(said[0] for _, said in found), sum(not said[0] for _, said in found)


@pytest.mark.parametrize("name", NAMES)
def test_three_judges_agree(name: str) -> None:
    admitted, _ = agree(name, 16)
    assert admitted >= 1


def test_many_texts_are_rejected() -> None:
    found = [agree(name, 16) for name in NAMES[::8]]
    assert sum(rejected for _, rejected in found) > sum(admitted for admitted, _ in found) / 4


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(NAMES), 16))
def test_three_judges_agree_on_many_texts(start: int) -> None:
    for name in NAMES[start : start + 16]:
        agree(name, at_length(400, 80))


@pytest.mark.parametrize("notation", ["gbnf", "ebnf"])
def test_what_is_written_is_read_back(notation: str) -> None:
    parse = parse_gbnf if notation == "gbnf" else parse_ebnf
    for name, (source, _) in BNF.items():
        if name.startswith(notation):
            rules = parse(source, PLACE)
            assert render(parse(render(rules), PLACE)) == render(rules)


def again_as_lark(source: str) -> str:
    cfg, _ = read(source, PLACE)
    return to_lark(scannerless(cfg), cfg.start)


READABLE = [*BNF, *(name for name in LARK if name.startswith("plain"))]


@pytest.mark.parametrize("name", READABLE[::6])
def test_every_notation_is_written_as_lark_that_lark_reads(name: str) -> None:
    check_written(name)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, len(READABLE), 20))
def test_all_of_them_are_written_as_lark_that_lark_reads(start: int) -> None:
    for name in READABLE[start : start + 20]:
        check_written(name)


def check_written(name: str) -> None:
    """The way through plain Lark and back gives the same language, and the second time the same text.

    Where ignored text ends only where it can go on no longer, rules over characters are another language: there lark
    judges what is written.
    """
    notation, _, _ = name.partition(": ")
    spec, inside, judge, _ = case(name)
    match notation:
        case "gbnf":
            written = to_lark(parse_gbnf(spec.source, PLACE), "root")
        case "ebnf":
            written = to_lark(parse_ebnf(spec.source, PLACE), "root")
        case _:
            cfg, ignored = read(spec.source, PLACE)
            written = to_lark(scannerless(cfg), cfg.start)
            judge = judge if reaching(cfg, ignored) is None else by_lark(written)
    first = again_as_lark(written)
    assert again_as_lark(first) == first
    back = grammar.plain_lark(written, PLACE)  # by characters, so nothing that is ignored reaches too far
    rng = random.Random(name)
    for text in (*inside, *(spoilt(text, rng, "aB0 é!\n") for text in inside * 3)):
        assert grammar.matches(back, text) == judge(text), text
