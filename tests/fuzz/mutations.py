"""Texts that are nearly right: cut, doubled, spliced and spoiled versions of seeds. A number names one for ever."""

import random
from collections.abc import Sequence

TOKENS = (
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "- ",
        "\n",
        "\n  ",
        "'",
        '"',
        "|",
        ">-",
        "#",
        "&a",
        "*a",
        "!!str",
        "---",
        "\t",
        "? ",
    ),
    *("null", "true", "NO", "1.10", "-1", "1e999", "99999999999999999999", "0x1f", ".inf", "2026-02-30", "15m"),
    *("match", "phrases", "regex", "any", "all", "not", "when", "except", "require", "views", "within", "before"),
    *("transform", "mask", "with", "{n}", "{type}", "block", "escalate", "allow", "default: block", "target", "tool"),
    *(
        "(?:",
        "(?i)",
        "{900}",
        "{0,1000}",
        "[^",
        "\\p{L}",
        "\\b",
        "\\x{1F600}",
        "a*",
        "(a|",
        "\\",
        "$",
        "^",
        "[a-",
        "??",
    ),
    *("&&", "||", "!", "==", " in ", "user.role", ".all(x, x > 0)", "size(", "? 1 : 2", "args.amount", "'''", "1 / 0"),
    *("\u200b", "\u202e", "\ufeff", "\ud800", "\u0301", "\u0000", "\u2028", "ﬁ", "ß", "Ａ", "中", "😀", "\U0010ffff"),
    *('"\\u', "\\ud800", "\\u0000", '{"a":', "&#103;", "&amp", "%67", "%ff", "\x1b[31m"),
)


def mutated(rng: random.Random, seeds: Sequence[str], most: int = 4) -> str:
    """One of the seeds after a few changes."""
    text = rng.choice(seeds)
    for _ in range(rng.randint(1, most)):
        text = _changed(rng, text, seeds)
    return text


def _changed(rng: random.Random, text: str, seeds: Sequence[str]) -> str:
    a, b = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    b = min(b, a + rng.choice([1, 2, 5, 20, 100]))
    match rng.randrange(7):
        case 0:
            return text[:a] + text[b:]
        case 1:
            return text[:b] + text[a:b] * rng.choice([1, 1, 2, 30]) + text[b:]
        case 2:
            other = rng.choice(seeds)
            c = rng.randint(0, len(other))
            return text[:a] + other[c : c + rng.choice([3, 15, 80])] + text[b:]
        case 3 | 4:
            return text[:a] + rng.choice(TOKENS) + text[a:]
        case 5:
            return text[:a] + rng.choice(TOKENS) + text[b:]
        case _:
            return (
                text[:a]
                + chr(rng.choice([rng.randrange(128), rng.randrange(0x300), rng.randrange(0x110000)]))
                + text[b:]
            )
