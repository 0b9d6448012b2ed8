"""Formats as languages, for the analysis of strings: those that the engine writes, which is asked and not believed."""

import random
from functools import cache
from typing import Final

import numpy as np
from llguidance import LLMatcher

from policykit.automata import Pattern, parse_regex
from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.grammar import engine
from policykit.ir.regex import Regex
from policykit.text import view

_DAYS: Final = "0[1-9]|[12][0-9]"
_DATE: Final = f"[0-9]{{4}}-(?:(?:0[13578]|1[02])-(?:{_DAYS}|3[01])|(?:0[469]|11)-(?:{_DAYS}|30)|02-(?:{_DAYS}))"
"""29 February is one in every year."""
_CLOCK: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME: Final = rf"{_CLOCK}:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[zZ]|[+-]{_CLOCK})"
_BYTE: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_SOURCES: Final = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}[tT]{_TIME}",
    "uuid": "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "ipv4": rf"{_BYTE}(?:\.{_BYTE}){{3}}",
}
"""In ASCII, without what JSON writes with an escape."""
N_TEXTS, LONGEST = 100, 48
_QUOTE: Final = ord('"')


@cache
def language_of(name: str) -> Regex | None:
    """The texts that the engine writes for a format; None where they are not known."""
    if name not in _SOURCES:
        return None
    regex = parse_regex(_SOURCES[name], Place("formats"))
    return regex if is_written(name, regex) else None


def is_written(name: str, regex: Regex) -> bool:
    """Whether these are the engine's texts of a format: after every transition of the expression's automaton, and all
    along some random texts (the engine may remember more), it lets the same bytes follow. For a language without
    assertions, in ASCII."""
    automaton = AnchoredAutomaton(build(view("raw"), Pattern(regex)))
    symbols = {byte: automaton.alphabet.of(chr(byte)) for byte in range(0x20, 0x7F)}
    origin = engine.byte_compiler().matcher(engine.json_program({"type": "string", "format": name}, False))

    @cache
    def said(state: int) -> tuple[dict[int, int], set[int]]:
        """Where each byte leads, and the bytes that may follow."""
        ahead = {byte: to for byte, symbol in symbols.items() if (to := automaton.step(state, symbol))}
        return ahead, {*ahead} | ({_QUOTE} if automaton.accepts(state) else set())

    seen: set[tuple[int, int]] = set()
    todo = [(automaton.start, b'"')]
    for state, text in todo:  # grows while it is read
        ahead, bytes_said = said(state)
        if _next(_behind(origin, text)) != bytes_said:
            return False
        for byte, to in ahead.items():
            if (state, symbols[byte]) not in seen:
                seen.add((state, symbols[byte]))
                todo.append((to, text + bytes([byte])))
    choose = random.Random(0)
    for _ in range(N_TEXTS):
        state, probe = automaton.start, _behind(origin, b'"')
        for _ in range(LONGEST):
            ahead, bytes_said = said(state)
            if _next(probe) != bytes_said:
                return False
            if not ahead:
                break
            byte = choose.choice(list(ahead))
            state = ahead[byte]
            probe.consume_token(byte)
    return True


def _behind(origin: LLMatcher, text: bytes) -> LLMatcher:
    """The engine behind a text that it lets begin."""
    probe = origin.deep_copy()
    probe.consume_tokens(list(text))
    engine.check(probe)
    return probe


def _next(probe: LLMatcher) -> set[int]:
    """The bytes that the engine lets follow."""
    row = np.zeros(9, np.int32)
    probe.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
    engine.check(probe)
    return set(np.unpackbits(row.view(np.uint8), bitorder="little").nonzero()[0].tolist())
