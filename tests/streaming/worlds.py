"""Small worlds in which matches, near misses and overlaps are frequent."""

from itertools import pairwise
from random import Random

from policykit.ir.document import AllOf, AnyOf, Context, Matcher, Mode, Phrases, Regexes
from policykit.ir.plan import ResolvedRule
from tests.verify.build import block, context, mask, phrases, reading, regexes, replacement, rule

ALPHABET = [*"abAB\uff41\uff22", "\u200b", "\u00ad", *" -_.ß1é\nfi", "ﬁ"]
EXPRESSIONS = ["a+b", r"\bab\b", "[^a]b", "(?:ab|ba){2}", r"\d", "a.{0,2}b", "^b", "A$", "ß", "é", r"a\w*b", "fi?a"]


def text_of(random: Random, n: int = 24) -> str:
    return "".join(random.choice(ALPHABET) for _ in range(random.randint(0, n)))


def pieces_of(random: Random, data: bytes) -> list[bytes]:
    places = [0, *sorted(random.choices(range(len(data) + 1), k=random.randint(0, 6))), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


def _context(random: Random) -> Context | None:
    return context(random.choice(["a", "b", "1", "ab"]), random.choice([0, 1, 3])) if random.random() < 0.2 else None


def _phrases(random: Random, before: Context | None = None, after: Context | None = None) -> Phrases:
    views = tuple(random.sample(["raw", "compat", "unmarked"], random.choice([1, 1, 2])))
    words = lambda: "".join(random.choice("abß1") for _ in range(random.randint(1, 3)))  # noqa: E731
    texts = dict.fromkeys(" ".join(words() for _ in range(random.randint(1, 3))) for _ in range(random.randint(1, 3)))
    return phrases(*texts, read=reading(views), before=before, after=after)


def _leaf(random: Random) -> Phrases | Regexes:
    before, after = _context(random), _context(random)
    if random.random() < 0.5:
        return _phrases(random, before, after)
    views = tuple(random.sample(["raw", "compat", "unmarked"], random.choice([1, 1, 2])))
    sources = random.sample(EXPRESSIONS, random.randint(1, 2))
    return regexes(*sources, read=reading(views), before=before, after=after)


def rule_of(random: Random, i: int) -> ResolvedRule:
    mode = random.choice([Mode.ENFORCE] * 4 + [Mode.SHADOW])
    if random.random() < 0.5:
        matcher: Matcher = random.choice([_leaf(random), AnyOf((_leaf(random), _leaf(random)))])
        if random.random() < 0.25:
            matcher = AllOf((_leaf(random), _leaf(random)))
        return rule(f"r{i}", matcher, block(f"no{i}"), mode=mode)
    action = random.choice([mask("[{type}_{n}]", "I"), mask("x", "J"), mask("ab"), replacement("*"), replacement("")])
    severity = random.choice(["low", "high", "critical"])
    matcher = random.choice([_phrases(random), AnyOf((_phrases(random), _phrases(random)))])
    return rule(f"r{i}", matcher, action, mode=mode, severity=severity)
