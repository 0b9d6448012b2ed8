"""Every text of a few characters on the views that see look-alikes, marks and invisible characters.

The alphabet holds confusables, marks, ignorables and full-width forms. The oracle maps each character by a table that
is written here by hand, and searches strings. What the mask admits to the end must be what is clean on the view; what
it closes must have no clean ending.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from policykit.compile import lower
from policykit.constraint import PolicyMachine, Vocabulary
from tests.constraint.test_speller import has_phrase, phrases, rule

PROBES = ("", "Ж", "☃", "Ж☃", "☃Ж")
COMPAT = {"A": "a", "ａ": "a", "B": "b", "ｍ": "m", "I": "i", "M": "m", "O": "o", "ﬁ": "fi", "\u200b": "", "\u00ad": ""}
COMPAT |= dict.fromkeys("´˛\u3164\uffa0", " ")
UNMARKED = {**COMPAT, **dict.fromkeys("´˛\u3164\uffa0", ""), "\u0301": "", "\u20dd": "", "á": "a", "ḿ": "m"}
SKELETON = {
    **UNMARKED,
    **dict.fromkeys("аɑΑᴀ", "a"),
    **dict.fromkeys("іIi1|Ӏ", "l"),
    **dict.fromkeys("mMｍḿм", "rn"),
    **dict.fromkeys("0Оοø", "o"),
    **dict(zip("ЬЗﬁ", ("b", "3", "fl"), strict=True)),
    "\u0338": "",
}
LEET = {**SKELETON, "3": "e", "З": "e", "4": "a", "5": "s", "$": "s", "@": "a"}
TABLES = {"raw": {}, "compat": COMPAT, "unmarked": UNMARKED, "skeleton": SKELETON, "leet": LEET}


def on_view(text: str, view: str) -> str:
    if view in ("raw", "compat"):
        text = text.replace("á", "a\u0301").replace("ḿ", "m\u0301") if view == "compat" else text
    return "".join(TABLES[view].get(char, char) for char in text)


@dataclass(frozen=True)
class World:
    """A phrase on a view, and the characters of the texts that are tried."""

    view: str
    phrase: str
    characters: str
    exact: bool = False

    def is_clean(self, text: str) -> bool:
        return not has_phrase(on_view(text, self.view), on_view(self.phrase, self.view), self.exact)

    def has_an_ending(self, text: str) -> bool:
        return any(self.is_clean(text + probe) for probe in PROBES)


WORLDS = [
    World("skeleton", "a a", "aаａ \u0301\u200b"),
    World("skeleton", "rn o", "mrnοO "),
    World("skeleton", "m o", "rnм0ø "),
    World("skeleton", "li |", "1Iі| \u0338"),
    World("skeleton", "a b", "ᴀΑЬB—☃"),
    World("skeleton", "ab", "ɑAb\u00ad\u20ddЬ"),
    World("skeleton", "fi a", "ﬁfӀа 1", exact=True),
    World("skeleton", "м", "rnḿｍM."),
    World("leet", "as e", "4@5sЗ "),
    World("leet", "sa s", "$а0ｍ @"),
    World("leet", "m3", "rn3eм\u0301"),
    World("unmarked", "a m", "áaḿ\u0301 ｍ"),
    World("compat", "a m", "ａa\u200bmM "),
    World("compat", "a m", "a´m˛1 "),
    World("compat", "am", "am´1\u200b"),
    World("unmarked", "a m", "a´m1 á"),
    World("compat", "a m", "a\u3164m\uffa01\u200b"),
    World("unmarked", "a m", "a\u3164m\uffa01 "),
    World("skeleton", "a m", "а˛rn1 "),
]
LENGTH = 5


def vocabulary(world: World) -> Vocabulary:
    pairs = ["".join(two) for two in itertools.product(world.characters[:3], repeat=2)]
    pieces = [bytes([b]) for b in range(256)] + [text.encode() for text in (*world.characters, *PROBES[1:], *pairs)]
    tokens = list(dict.fromkeys(pieces))
    return Vocabulary.from_tokens([*tokens, b""], [len(tokens)])


def judge(world: World, view: str, length: int) -> tuple[int, int]:
    """Number of clean and of forbidden texts among all up to a length, by a mask on the view."""
    words = vocabulary(world)
    machine = PolicyMachine(lower([rule("r", phrases([world.phrase], view, world.exact))]), words)
    ids = {token: i for i, token in enumerate(words.tokens)}
    rng = random.Random(world.phrase)

    def bytewise(text: str) -> bool:
        joint = machine.start()
        for byte in text.encode():
            after = machine.advance(joint, ids[bytes([byte])])
            if after is None:
                return False
            joint = after
        return machine.may_end(joint)

    counted = [0, 0]
    todo = [(machine.start(), "")]
    while todo:
        joint, text = todo.pop()
        clean = world.is_clean(text)
        assert machine.may_end(joint) == clean, (world, text)
        if rng.random() < 0.1:
            assert bytewise(text) == clean, (world, text)
        counted[not clean] += 1
        for char in world.characters if len(text) < length else "":
            after = machine.advance(joint, ids[char.encode()])
            if after is not None:
                assert world.has_an_ending(text + char), (world, text + char)
                todo.append((after, text + char))
                continue
            assert not world.has_an_ending(text + char), (world, text + char)
            counted[1] += number_of(world.characters, length - len(text) - 1)
    return counted[0], counted[1]


def number_of(characters: Sequence[str], length: int) -> int:
    """How many texts there are up to a length: those that begin with a closed one are closed too."""
    return sum(len(characters) ** n for n in range(length + 1))


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: f"{w.view}-{w.phrase}")
def test_what_the_mask_admits_is_what_is_clean_on_the_view(world: World) -> None:
    clean, forbidden = judge(world, world.view, LENGTH)
    assert clean + forbidden == number_of(world.characters, LENGTH)
    assert clean >= 1_000
    assert forbidden >= 8


def test_the_speller_can_fail() -> None:
    """A planted violation: a mask that does not see the look-alikes which the oracle sees."""
    world = World("skeleton", "a a", "aаΑ ")
    judge(world, "skeleton", 3)
    with pytest.raises(AssertionError):
        judge(world, "unmarked", 3)
