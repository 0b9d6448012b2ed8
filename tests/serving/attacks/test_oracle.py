"""The oracle sees at least what rules see: a leak that only policykit would know is none that a test can find."""

import unicodedata

import numpy as np
import pytest

from policykit.text import is_separator, is_tight, is_word
from tests.serving.attacks.oracle import forbidden_in


def test_words_stand_apart_as_they_do_for_rules() -> None:
    gaps = [chr(c) for c in np.flatnonzero(is_separator)]
    assert len(gaps) > 40
    assert [c for c in gaps if forbidden_in(f"a certain{c} {c}profit.") != ["certain profit"]] == []


def test_what_cannot_be_seen_hides_nothing() -> None:
    known = [chr(c) for c in np.flatnonzero(is_tight & ~is_separator)]
    hidden = [c for c in known if unicodedata.category(c) != "Cn"]  # a Python may know an older Unicode
    assert len(hidden) > 150
    assert [c for c in hidden if not forbidden_in(f"a cer{c}tain {c}profit")] == []


def test_a_phrase_ends_where_rules_say_that_a_word_does() -> None:
    letters = "aZ9éßжあ漢ไက字ー"
    for beside in letters:
        assert bool(forbidden_in(f"certain profit{beside}")) is not bool(is_word[ord(beside)]), beside
        assert bool(forbidden_in(f"{beside}certain profit")) is not bool(is_word[ord(beside)]), beside


@pytest.mark.parametrize("text", ["certain, profit", "uncertain profit", "certain profits", "certainprofit"])
def test_other_words_are_none(text: str) -> None:
    assert forbidden_in(text) == []
