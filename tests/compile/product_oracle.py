"""Brute force for the product of grammar and policies: derivations, `str.find`, and the engine walked over all texts.

Nothing here knows of automata, charts or joint symbols.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from policykit.automata import Automaton, Pattern, PhraseAutomaton, RegexAutomaton, build_trie, parse_regex, separate
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.ir.grammar import Cfg, Production, Symbol, Terminal
from policykit.text import view

PLACE = Place("grammar")
LIMITS = LLParserLimits(step_max_items=1_000_000, max_items_in_row=50_000, verbose_errors=False)
TOKENIZER = LLTokenizer("byte")
SEPARATORS = " -"
FULL_WIDTH = {chr(0xFF21 + i): chr(ord("a") + i) for i in range(26)}
IMAGES = {"A": "a", "\u00ad": "", "㎏": "kg"} | FULL_WIDTH
"""What `compat` does to the letters that are used here, from the Unicode data files."""


@dataclass(frozen=True)
class Tiny:
    """A grammar as text: rules `head -> bodies`, each body a tuple of names; upper case names are terminals."""

    rules: dict[str, tuple[tuple[str, ...], ...]]
    terminals: dict[str, str]

    @property
    def cfg(self) -> Cfg:
        productions = tuple(
            Production(head, tuple(Symbol(name, name.isupper()) for name in body), PLACE)
            for head, bodies in self.rules.items()
            for body in bodies
        )
        terminals = tuple(Terminal(n, parse_regex(source, PLACE), PLACE) for n, source in self.terminals.items())
        return Cfg("start", productions, terminals)

    @property
    def lark(self) -> str:
        written = {head: " | ".join(" ".join(body) or '""' for body in bodies) for head, bodies in self.rules.items()}
        written |= {name: f"/{source}/" for name, source in self.terminals.items()}
        return "\n".join(f"{name}: {body}" for name, body in written.items())

    def language(self, alphabet: str, longest: int) -> set[str]:
        """All texts of at most ``longest`` characters, by naive derivation."""
        found: dict[str, set[str]] = {name: words(s, alphabet, longest) for name, s in self.terminals.items()}
        found |= {head: set() for head in self.rules}
        grown = True
        while grown:
            grown = False
            for head, bodies in self.rules.items():
                for body in bodies:
                    texts = {""}
                    for name in body:
                        texts = {a + b for a in texts for b in found[name] if len(a) + len(b) <= longest}
                    grown |= not texts <= found[head]
                    found[head] |= texts
        return found["start"]


@cache
def all_texts(alphabet: str, longest: int) -> tuple[str, ...]:
    return tuple("".join(t) for n in range(longest + 1) for t in itertools.product(alphabet, repeat=n))


@cache
def words(source: str, alphabet: str, longest: int) -> set[str]:
    expression = re.compile(source)
    return {text for text in all_texts(alphabet, longest) if expression.fullmatch(text)}


@dataclass(frozen=True)
class Ban:
    """`phrase` (word-bounded, any run of separators for a space), `substring` or `ending`, on the compat view."""

    kind: str
    text: str

    @property
    def automaton(self) -> Automaton:
        if self.kind == "phrase":
            return PhraseAutomaton(build_trie(view("compat"), [separate(view("compat"), self.text, False)]))
        source = re.escape(self.text) + ("$" if self.kind == "ending" else "")
        return RegexAutomaton(build(view("compat"), Pattern(parse_regex(source, PLACE))))

    def finds(self, text: str, ended: bool) -> bool:
        """Whether it finds something in the text, which is whole (``ended``) or only begun."""
        seen = "".join(IMAGES.get(c, c) for c in text)
        match self.kind:
            case "substring":
                return self.text in seen
            case "ending":
                return ended and seen.endswith(self.text)
            case _:
                return self.text[0] in seen and any(self._phrase_at(seen, at, ended) for at in range(len(seen)))

    def _phrase_at(self, text: str, start: int, ended: bool) -> bool:
        if start and text[start - 1].isalnum():
            return False
        at = start
        for i, word in enumerate(self.text.split(" ")):
            if i:
                after = len(text) - len(text[at:].lstrip(SEPARATORS))
                if after == at:
                    return False
                at = after
            if text.find(word, at, at + len(word)) != at:
                return False
            at += len(word)
        return ended if at == len(text) else not text[at].isalnum()


def passes(text: str, bans: Sequence[Ban]) -> bool:
    return not any(ban.finds(text, True) for ban in bans)


def is_alive(text: str, bans: Sequence[Ban]) -> bool:
    return not any(ban.finds(text, False) for ban in bans)


class Engine:
    """The masking engine over bytes, stepped one character at a time."""

    def __init__(self, lark: str) -> None:
        grammar = LLMatcher.grammar_from_lark(lark)
        assert not LLMatcher.validate_grammar(grammar, TOKENIZER), lark
        self.matcher = LLMatcher(TOKENIZER, grammar, log_level=0, limits=LIMITS)
        assert not self.matcher.is_error(), self.matcher.get_error() + lark

    def push(self, character: str) -> bool:
        data = list(character.encode())
        if self.matcher.validate_tokens(data) != len(data):
            return False
        assert self.matcher.consume_tokens(data), self.matcher.get_error()
        return True

    def pop(self, character: str) -> None:
        assert self.matcher.rollback(len(character.encode()))

    def accepts(self) -> bool:
        assert not self.matcher.is_error(), self.matcher.get_error()
        return self.matcher.is_accepting()

    def texts(self, alphabet: str, longest: int) -> set[str]:
        """Every accepted text of at most ``longest`` characters."""
        return {text for text, accepted in walk([self], (), alphabet, longest) if accepted}


def walk(
    engines: Sequence[Engine], bans: Sequence[Ban], alphabet: str, longest: int, begin: str = ""
) -> Iterator[tuple[str, bool]]:
    """Every prefix from ``begin`` on that all engines and bans admit, with whether the text may end there."""

    def visit(text: str) -> Iterator[tuple[str, bool]]:
        yield text, all(engine.accepts() for engine in engines) and passes(text, bans)
        if len(text) == longest:
            return
        for character in alphabet:
            if not is_alive(text + character, bans):
                continue
            pushed = [engine for engine in engines if engine.push(character)]
            if len(pushed) == len(engines):
                yield from visit(text + character)
            for engine in pushed:
                engine.pop(character)

    for engine in engines:
        assert all(engine.push(character) for character in begin)
    yield from visit(begin)
    for engine in engines:
        for character in reversed(begin):
            engine.pop(character)


def stuck(lark: Sequence[str], bans: Sequence[Ban], alphabet: str, depth: int, reach: int) -> list[str]:
    """Prefixes of at most ``depth`` characters that all masks admit and that no ``reach`` further characters finish."""
    engines = [Engine(source) for source in lark]
    prefixes: set[str] = set()
    finished: set[str] = set()
    for text, accepted in walk(engines, bans, alphabet, depth + 2):
        if len(text) <= depth:
            prefixes.add(text)
        if accepted:
            finished.update(text[:n] for n in range(depth + 1))
    return [
        prefix
        for prefix in sorted(prefixes - finished)
        if not any(
            accepted
            for longest in range(depth + 3, len(prefix) + reach + 1)
            for _, accepted in walk([Engine(source) for source in lark], bans, alphabet, longest, prefix)
        )
    ]
