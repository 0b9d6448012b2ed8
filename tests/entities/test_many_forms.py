"""What is said of many numbers of any type is what its validator says of each: drawn ones, and what is nearly valid."""

import random
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from policykit.entities import ENTITY_TYPES, EntityType, context, entity_type
from policykit.entities.compact import Compact, compact
from policykit.entities.context import Words
from policykit.entities.entity import ASK, NO, YES
from policykit.entities.forms import Form
from policykit.entities.valid_forms import FORMS
from policykit.ir.document import Entity
from policykit.text import view
from policykit.text.joined import join
from tests.entities.find import PLACE, texts
from tests.entities.sampled import sampled
from tests.entities.samples import SAMPLES

ONE_BY_ONE = {"vat"}
"""Types whose numbers are asked about one by one: those of 28 countries."""
CHECKED = [kind for kind in ENTITY_TYPES if kind.check and kind.name not in ONE_BY_ONE]
SELDOM = {"passport": ("CFGHJKLMN",), "in_pan": ("ACUPA0000R",), "fr_siret": ("35600000000048", "35600000012345")}
BASES = 60


def _nearly(rng: random.Random, kind: EntityType) -> list[str]:
    """Words of the body, each with all last digits, and the samples with each character in turn another."""
    source = re.sub(r"\\x\{([0-9A-F]+)\}", lambda found: rf"\u{int(found[1], 16):04x}", kind.body)
    form = re.compile(source, re.IGNORECASE)
    drawn = [sampled(rng, source) for _ in range(BASES)]
    ends = "0123456789" + ("ABCDEFGHJKLMNPQRSTUVWXYZ" if kind.body.endswith("]") and "z" in kind.body[-6:] else "")
    made = [one[:-1] + end for one in drawn for end in ends]
    for sample in (sample for sample in SAMPLES if sample.type == kind.name and sample.region is None):
        for one in (*sample.valid, *sample.invalid):
            made += [
                one[:i] + other + one[i + 1 :] for i in range(len(one)) for other in ("0", "1", "7", "9", "A", "B")
            ]
            made += [one[:i] + one[i + 1 : i + 2] + one[i] + one[i + 2 :] for i in range(len(one))]
            made.append(one)
    made += SELDOM.get(kind.name, ())
    return [one for one in dict.fromkeys(made) if form.fullmatch(one)]


@pytest.mark.parametrize("kind", CHECKED, ids=lambda kind: kind.name)
def test_many_are_what_each_is(kind: EntityType) -> None:
    check = kind.check
    assert check is not None
    assert check.decide is not None
    made = _nearly(random.Random(kind.name), kind)
    text = "\n".join(made)
    ends = np.cumsum([len(one) + 1 for one in made], dtype=np.int64) - 1
    starts = ends - np.array([len(one) for one in made])
    decided = check.decide(Compact(join([text])), starts, ends).tolist()
    entity = Entity(kind.name, PLACE)
    expected = [YES if check.run(one if kind.as_seen else compact(one), entity) else NO for one in made]
    assert [(o, d, e) for o, d, e in zip(made, decided, expected, strict=True) if d != e] == []
    assert {YES, NO} == set(expected)


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False))
def test_a_form_says_what_the_package_says(path: str, rng: random.Random) -> None:
    form = FORMS[path]
    shape = rng.choice([shape for shape in (*form.shapes, form.drawn) if shape])
    numbers = [sampled(rng, shape) for _ in range(100)]
    text = "\n".join(numbers)
    ends = np.arange(1, len(numbers) + 1) * (len(numbers[0]) + 1) - 1
    decided = form.decide(Compact(join([text])), ends - len(numbers[0]), ends).tolist()
    is_valid = pytest.importorskip(f"stdnum.{path}").is_valid
    wrong = [(one, said) for one, said in zip(numbers, decided, strict=True) if said != (YES if is_valid(one) else NO)]
    assert wrong == []


def test_a_package_that_says_otherwise_is_asked() -> None:
    form = FORMS["fr.siren"]

    def always(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return form.holds(codes) | (codes[0] == ord("0"))

    text, starts, ends = Compact(join(["552008443"])), np.array([0]), np.array([9])
    assert Form(form.shapes, always, form.path).decide(text, starts, ends).tolist() == [ASK]
    assert Form(form.shapes, form.holds, form.path).decide(text, starts, ends).tolist() == [YES]
    never = partial(np.zeros_like, dtype=np.bool_)
    assert Form(form.shapes, lambda codes: never(codes[0]), form.path).decide(text, starts, ends).tolist() == [ASK]


def test_what_has_another_form_is_asked_about() -> None:
    numbers = ["ABC-00123", "552008443", "55200844"]
    text = "\n".join(numbers)
    ends = np.cumsum([len(one) + 1 for one in numbers]) - 1
    starts = ends - np.array([len(one) for one in numbers])
    assert FORMS["fr.siren"].decide(Compact(join([text])), starts, ends).tolist() == [ASK, YES, ASK]


@pytest.mark.parametrize("seen", ["552 008 443", "552 008 444"])
def test_a_text_full_of_numbers_is_searched_as_one_number_is(seen: str) -> None:
    found = texts(f"{seen}, " * 600, "fr_siren")
    assert found == (["552 008 443"] * 600 if seen.endswith("3") else [])


WORDY = [Words(kind, view("raw")) for kind in ENTITY_TYPES if kind.words]
BETWEEN = [
    "1",
    " ",
    "-",
    "  ",
    "x",
    "\u00e9",
    "\u017f",
    "\u212a",
    "\u0130",
    "\n",
    ".",
    ":",
    " " * 20,
    "1" * 23,
    "S",
    "K",
]


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(WORDY), st.lists(st.integers(0, 99), max_size=9), st.randoms(use_true_random=False))
def test_words_that_are_read_together_are_those_that_are_read_each(
    words: Words, chosen: list[int], rng: random.Random
) -> None:
    spelled = words._seen  # pyright: ignore[reportPrivateUsage]
    pieces = [spelled[i % len(spelled)].replace(" ", rng.choice([" ", "-", "", "  "])) for i in chosen]
    pieces = [rng.choice([piece, piece.upper(), piece[:-1]]) for piece in pieces] + rng.choices(BETWEEN, k=5)
    rng.shuffle(pieces)
    text = "".join(piece + rng.choice(["", " ", " of "]) for piece in pieces)
    pairs = [(i, min(i + 11, len(text))) for i in range(len(text))]
    starts, ends = np.array(pairs).T
    some, context.MANY = context.MANY, 0
    try:
        found = words.near_many(text, join([text]), starts, ends).tolist()
    finally:
        context.MANY = some
    assert words._spelling is not None  # pyright: ignore[reportPrivateUsage]
    for (start, end), said in zip(pairs, found, strict=True):
        assert said in (ASK, YES if words.near(text, start, end, "", True) else NO), (text, start, end)


def test_stretches_near_words_that_overlap_are_not_asked_about() -> None:
    words = Words(entity_type("date_of_birth"), view("raw"))
    text = "date of birth 01/02/1980, birth date of birth 01/02/1980; " * 3
    starts = np.array([found.start() for found in re.finditer("01", text)])
    assert words.near_many(text, join([text]), starts, starts + 10).tolist() == [YES] * 6
