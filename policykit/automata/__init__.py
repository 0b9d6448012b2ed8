"""Search automata over symbol classes: what a matcher's leaf finds, decided one character class at a time."""

from policykit.automata.alphabet import Alphabet, class_strings, common
from policykit.automata.columns import NO_MATCHES, Matches, Places, Stretches
from policykit.automata.finder import (
    Finder,
    Found,
    compile_automata,
    compile_finder,
    leftmost_longest,
    patterns_of,
    trie_of,
)
from policykit.automata.frames import alike, completing, is_anchored_at_start
from policykit.automata.lazy import FOUND, Automaton, RegexAutomaton, run
from policykit.automata.nfa import Pattern, Separated, Squeezed
from policykit.automata.phrases import PhraseAutomaton, build_trie, separate
from policykit.automata.regex_syntax import parse_regex, unparse
from policykit.automata.squeezed import n_letters, squeeze
from policykit.automata.unescaped import Unescaped
from policykit.automata.whole import Dfa, NothingLeft, TooLarge, admitting

__all__ = [
    "FOUND",
    "NO_MATCHES",
    "Alphabet",
    "Automaton",
    "Dfa",
    "Finder",
    "Found",
    "Matches",
    "NothingLeft",
    "Pattern",
    "PhraseAutomaton",
    "Places",
    "RegexAutomaton",
    "Separated",
    "Squeezed",
    "Stretches",
    "TooLarge",
    "Unescaped",
    "admitting",
    "alike",
    "build_trie",
    "class_strings",
    "common",
    "compile_automata",
    "compile_finder",
    "completing",
    "is_anchored_at_start",
    "leftmost_longest",
    "n_letters",
    "parse_regex",
    "patterns_of",
    "run",
    "separate",
    "squeeze",
    "trie_of",
    "unparse",
]
