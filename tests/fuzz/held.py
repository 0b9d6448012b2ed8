"""What is held against a grammar that has compiled: texts walked from its mask, texts and values made beside it, the
verifier, and judges that share nothing with either."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from policykit.diagnostics import InternalError
from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable, matches
from policykit.grammar.strict_json import JsonFault, parse
from policykit.ir.grammar import GrammarSpec
from tests.fuzz import made_schemas
from tests.fuzz.made_grammars import Language
from tests.fuzz.orders import in_every_order

PAIRS = (
    "ab",
    "a,",
    '"a',
    '":',
    "é",
    "中",
    " = ",
    "10",
    "((",
    "))",
    "]}",
    "a b",
    "\\\\",
    "xx",
    "😀",
    '"}',
    "},",
    "[[",
    "aaa",
)
VOCABULARY = TokenTable(
    (*(bytes([i]) for i in range(256)), *(p.encode() for p in PAIRS), b"\xc3", b"<end>"),
    frozenset({257 + len(PAIRS)}),
    (257 + len(PAIRS),),
)
END = 257 + len(PAIRS)
CLOSERS = [ord(c) for c in '"}])0;>/']
Fault = str | None
"""What is wrong, or nothing."""


def walked(compiled: CompiledGrammar, rng: random.Random, steps: int = 48) -> str | None:
    """What the masks let be written, ended where they let it; None where it does not end in time.

    Raises:
        InternalError: a dead end, or the engine failed.
    """
    state, row, written = compiled.start(), np.zeros(VOCABULARY.row_words, dtype=np.int32), b""
    for step in range(steps):
        state.fill(row)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: END + 1]
        allowed = np.flatnonzero(bits).tolist()
        is_late = step > steps // 2
        if bits[END] and (is_late or rng.random() < 0.3):
            return written.decode("utf-8")
        plain = [i for i in allowed if 32 <= i < 127 or 256 <= i < END - 1]
        closing = [i for i in CLOSERS if bits[i]] if is_late else []
        token = (
            closing[0]
            if closing and rng.random() < 0.8
            else rng.choice(rng.choice((allowed, plain or allowed, plain or allowed)))
        )
        if token == END:
            return written.decode("utf-8")
        assert state.accept(token), "the mask offers a token that is not taken"
        written += VOCABULARY.tokens[token]
    return None


def by_tokens(compiled: CompiledGrammar, text: str, rng: random.Random) -> bool:
    """Whether a random tokenisation of the text is in the masks, up to the end."""
    state, row, data = compiled.start(), np.zeros(VOCABULARY.row_words, dtype=np.int32), text.encode()
    while data:
        token = rng.choice([i for i, token in enumerate(VOCABULARY.tokens[:END]) if data.startswith(token)])
        state.fill(row)
        if not int(row.view(np.uint32)[token // 32]) >> (token % 32) & 1:
            return False
        assert state.accept(token), "the mask offers a token that is not taken"
        data = data[len(VOCABULARY.tokens[token]) :]
    return state.accepting


def spoilt(text: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text))
    piece = rng.choice(("", "a", "b", "c", "0", text[at : at + 2], "é"))
    return text[:at] + piece + text[at + rng.choice((0, 1, 1, 2)) :]


def language_fault(spec: GrammarSpec, language: Language | None, rng: random.Random) -> Fault:
    """A grammar of text: what is walked, derived and spoilt, judged by everybody."""
    validator, compiled = GrammarValidator(spec), CompiledGrammar(spec, VOCABULARY)
    is_named = bool(spec.residue) or any(row.name.endswith("I-JSON") for row in spec.enforcements)  # of a tag's values
    texts: list[tuple[str, bool]] = []
    for _ in range(3):
        try:
            text = walked(compiled, rng)
        except InternalError as error:
            return f"walk: {str(error)[:120]}"
        if text is None:
            continue
        if (found := validator.check(text)) and not is_named:
            return f"the verifier refuses what the mask lets be written: {text!r}: {found[0].message}"
        if not found:
            texts.append((text, True))
    if language is None:
        return None
    for _ in range(3):
        if (text := language.derive(rng)) is not None:
            texts.append((text, True))
            texts += [(spoiled, False) for spoiled in (spoilt(text, rng), spoilt(text, rng))]
    for text, is_inside in texts[:9]:
        if len(text) > 60:
            continue
        try:
            expected = language.accepts(text)
        except RecursionError:
            continue
        if is_inside and not expected:
            return f"the mask lets be written what is not in the language: {text!r}"
        if bool(validator.check(text)) == expected:
            return f"the verifier says {not expected} of {text!r}"
        if by_tokens(compiled, text, rng) != expected:
            return f"the mask says {not expected} of {text!r}"
    return None


def schema_fault(spec: GrammarSpec, root: dict[str, Any] | None, rng: random.Random) -> Fault:
    """A schema: what is walked is valid, or breaks what is named as residue; what is valid can be written."""
    validator, compiled = GrammarValidator(spec), CompiledGrammar(spec, VOCABULARY)
    judge = Judge(root)
    for _ in range(3):
        try:
            text = walked(compiled, rng)
        except InternalError as error:
            return f"walk: {str(error)[:120]}"
        if text is not None and (fault := _walked_fault(spec, validator, judge, text)):
            return fault
    if root is None:
        return None
    for value in made_schemas.candidates(root, rng, 6):
        valid = judge.valid(value)
        if valid is None:
            return None
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        refused = [v.keyword for v in validator.check(text)]
        if bool(refused) == valid and not judge.has_format:
            return f"the verifier says {not valid} of {text}: {refused}"
        is_spelled = not (judge.has_decimals and has_numbers(value))
        if not refused and is_spelled and not any(matches(spec, one) for one in in_every_order(value)):
            return f"the mask refuses the valid {text}"
    return None


def has_numbers(value: Any) -> bool:
    """Whether a number stands in it."""
    match value:
        case bool() | None | str():
            return False
        case list():
            return any(map(has_numbers, value))
        case dict():
            return any(map(has_numbers, value.values()))
        case _:
            return True


class Judge:
    """`jsonschema`, where it can judge: not patterns that mean something else to it, nor references without an end."""

    def __init__(self, root: dict[str, Any] | None) -> None:
        self.has_format = root is not None and made_schemas.says(root, "format")
        self.has_decimals = root is not None and made_schemas.says(root, "multipleOf")
        is_judged = root is not None and not made_schemas.turns_in_place(root)
        self._validator = made_schemas.oracle(root) if root is not None and is_judged else None

    def valid(self, value: Any) -> bool | None:
        if self._validator is None:
            return None
        try:
            return self._validator.is_valid(value)
        except RecursionError:
            return None

    def keywords(self, value: Any) -> set[str]:
        """Keywords, names and places that the errors go through."""
        found: set[str] = set()
        pending = list(self._validator.iter_errors(value)) if self._validator else []
        while pending:
            error = pending.pop()
            found |= {str(step) for step in error.absolute_schema_path} | {str(error.validator)}
            pending += error.context or ()
        return found


def _walked_fault(spec: GrammarSpec, validator: GrammarValidator, judge: Judge, text: str) -> Fault:
    found = validator.check(text)
    value = parse(text)
    if isinstance(value, JsonFault):
        is_named = any(row.name == "I-JSON" for row in spec.enforcements)
        return None if is_named and found else f"the mask lets be written what is no JSON: {text!r}: {value.message}"
    valid = judge.valid(value)
    if valid is not None and bool(found) == valid and not judge.has_format:
        return f"the verifier says {not found} of {text}: {[v.message for v in found]}"
    if not found:
        return None
    residue = {one.keyword for one in spec.residue}
    if not residue:
        return f"the verifier refuses what the mask lets be written, and nothing is named: {text}: {found[0].message}"
    if valid is False and not judge.has_format and not residue & judge.keywords(value):
        return f"what the mask lets through is not what is named ({sorted(residue)}): {text}: {found[0].message}"
    return None


def unsatisfied(root: dict[str, Any], rng: random.Random) -> Fault:
    """A value that satisfies a schema of which it is said that none does."""
    judge = Judge(root)
    for value in made_schemas.candidates(root, rng, 12):
        if judge.valid(value) and not judge.has_format:
            return f"called unsatisfiable, and satisfied by {json.dumps(value, ensure_ascii=False)}"
    return None


Check = Callable[[GrammarSpec, random.Random], Fault]
