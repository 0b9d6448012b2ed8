"""Random grammars against random bans: what is claimed of them is checked over all short texts."""

import random
from collections import Counter

import pytest

from policykit.compile.product import Nothing, Safe, Trimmed, Undecided, analyse
from policykit.compile.survey import Survey

from .product_oracle import Ban, Engine, Tiny, passes, stuck

ALPHABETS = ("ab :", "aA -", "kg㎏ ", "ab\u00ad ")
N_BATCHES, PER_BATCH = 10, 320
LONGEST = 5
REACH = 20


def tiny(choose: random.Random, alphabet: str) -> Tiny:
    one, two = choose.sample(alphabet, 2)
    patterns = [
        *alphabet,
        f"[{one}{two}]",
        f"{one}{two}",
        f"{one}+",
        f"{one}{two}?",
        f"({one}{two})*",
        f"[{one}{two}]+",
    ]
    terminals = {name: choose.choice(patterns).replace("-", r"\x2d") for name in "TUVW"[: choose.randint(1, 4)]}
    heads = ["start", "x", "y"][: choose.randint(1, 3)]
    names = [*terminals, *terminals, *heads[1:], *choose.choice([[], heads])]
    rules = {
        head: tuple(
            tuple(choose.choices(names, k=choose.choice((0, 1, 1, 2, 2, 3)))) for _ in range(choose.randint(1, 3))
        )
        for head in heads
    }
    return Tiny(rules, terminals)


def ban(choose: random.Random, alphabet: str) -> Ban:
    letters = [c for c in alphabet if c.isascii() and c.islower()]
    word = "".join(choose.choices(letters, k=choose.randint(1, 2)))
    match choose.randint(0, 4):
        case 0 | 1:
            return Ban("phrase", word)
        case 2:
            return Ban("phrase", f"{word} {choose.choice(letters)}")
        case 3:
            return Ban("substring", word + choose.choice([*letters, " ", ""]))
        case _:
            return Ban("ending", choose.choice([*letters, " "]))


def check(grammar: Tiny, bans: list[Ban], alphabet: str) -> str:
    result = analyse(grammar.cfg, [b.automaton for b in bans])
    if isinstance(result, Undecided):
        return "undecided"
    texts = grammar.language(alphabet, LONGEST)
    assert Engine(grammar.lark).texts(alphabet, LONGEST) == texts, "the lexer reads another language"
    good = {text for text in texts if passes(text, bans)}
    match result:
        case Nothing():
            assert not good
        case Safe():
            assert not stuck([grammar.lark], bans, alphabet, 3, REACH)
        case Trimmed(lark):
            assert Engine(lark).texts(alphabet, LONGEST) == good
            assert not stuck([grammar.lark, lark], bans, alphabet, 3, REACH)
    return type(result).__name__


@pytest.mark.parametrize("seed", range(N_BATCHES))
def test_claims_hold_over_all_short_texts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:  # every other batch has to do without the quick proof
        monkeypatch.setattr(Survey, "never_traps", lambda self: False)
    choose = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(PER_BATCH):
        alphabet = choose.choice(ALPHABETS)
        grammar, bans = tiny(choose, alphabet), [ban(choose, alphabet) for _ in range(choose.randint(1, 3))]
        outcomes[check(grammar, bans, alphabet)] += 1
    assert min(outcomes["Safe"], outcomes["Trimmed"], outcomes["Nothing"]) > PER_BATCH // 20, outcomes
