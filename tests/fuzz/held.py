"""What is held against a grammar that has compiled: texts walked from its mask, texts and values made beside it, the
verifier, and judges that share nothing with either."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import numpy as np

import policykit as pk
from policykit.diagnostics import InternalError
from policykit.grammar import CompiledGrammar, GrammarValidator, matches
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
TOKENS = (*(bytes([i]) for i in range(256)), *(p.encode() for p in PAIRS), b"\xc3", b"<tool>", b"<end>")
TOOL, END = len(TOKENS) - 2, len(TOKENS) - 1
VOCABULARY = pk.Vocabulary.from_tokens(TOKENS, (END,), (TOOL,))
ROW_WORDS = -(-len(TOKENS) // 32)
CLOSERS = [ord(c) for c in '"}])0;>/']
Fault = str | None
"""What is wrong, or nothing."""


class OutOfTime(Exception):
    """So much has been judged as there was time for."""


@dataclass(slots=True)
class Watch:
    """For how long of this thread's processor time is judged, or three times as long beside other work; and how long
    the slowest token took."""

    budget_s: float = float("inf")
    begun_s: float = field(default_factory=time.thread_time)
    _since_s: float = field(default_factory=time.monotonic)
    slowest_s: float = 0.0
    _last_s: float = field(default_factory=time.thread_time)

    def look(self) -> None:
        """Raises OutOfTime when the time is over."""
        self._last_s = time.thread_time()
        if self._last_s - self.begun_s > self.budget_s or time.monotonic() - self._since_s > 3 * self.budget_s:
            raise OutOfTime

    def token(self) -> None:
        """A mask was filled, and a token taken, since somebody looked."""
        self.slowest_s = max(self.slowest_s, time.thread_time() - self._last_s)
        self.look()


Masks = pk.Constraint | CompiledGrammar
"""The masks of a plan, or those of its grammar alone, which may begin characters that no text has."""


class _Text:
    """A text that is written under a mask, with the watch beside it."""

    def __init__(self, constraint: Masks, watch: Watch) -> None:
        self.state, self._watch, self.written = constraint.start(), watch, b""
        self._row = np.zeros(ROW_WORDS, dtype=np.int32)
        watch.look()

    def allowed(self) -> list[int]:
        """Raises InternalError at a dead end, and where the mask holds what is no part of any text."""
        if self.state.fill(self._row) is False:
            raise InternalError("a dead end")
        found = np.flatnonzero(np.unpackbits(self._row.view(np.uint8), bitorder="little")).tolist()
        if TOOL in found:
            raise InternalError("the mask offers a special token that nothing names")
        if (END in found) != self.state.accepting:
            raise InternalError("the mask and the state do not agree on whether the text may end")
        return found

    def take(self, token: int) -> None:
        if not self.state.accept(token):
            raise InternalError("the mask offers a token that is not taken")
        self.written += b"" if token == END else TOKENS[token]
        self._watch.token()


def walked(constraint: Masks, rng: random.Random, watch: Watch, steps: int = 48) -> str | None:
    """What the masks let be written, ended where they let it; None where it does not end in time.

    Raises:
        InternalError: a dead end, a mask that is not kept to, or the engine failed.
        OutOfTime: the time is over.
    """
    text = _Text(constraint, watch)
    for step in range(steps):
        allowed = text.allowed()
        is_late, may_end = step > steps // 2, END in allowed
        plain = [i for i in allowed if 32 <= i < 127 or 256 <= i < END - 2]
        closing = [i for i in CLOSERS if i in allowed] if is_late else []
        if may_end and (is_late or rng.random() < 0.3):
            token = END
        elif closing and rng.random() < 0.8:
            token = closing[0]
        else:
            token = rng.choice(rng.choice((allowed, plain or allowed, plain or allowed)))
        text.take(token)
        if token == END:
            return _decoded(text.written, isinstance(constraint, pk.Constraint))
    return None


def _decoded(written: bytes, is_strict: bool) -> str | None:
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError:
        if is_strict:
            raise
        return None


def by_tokens(constraint: Masks, written: str, rng: random.Random, watch: Watch) -> bool:
    """Whether a random tokenisation of a text is in the masks, up to the end. Raises as :func:`walked`."""
    text, data = _Text(constraint, watch), written.encode()
    while data:
        token = rng.choice([i for i, token in enumerate(TOKENS[:TOOL]) if data.startswith(token)])
        if token not in text.allowed():
            return False
        text.take(token)
        data = data[len(TOKENS[token]) :]
    return text.state.accepting


def spoilt(text: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text))
    piece = rng.choice(("", "a", "b", "c", "0", text[at : at + 2], "é"))
    return text[:at] + piece + text[at + rng.choice((0, 1, 1, 2)) :]


def language_fault(
    spec: GrammarSpec, language: Language | None, rng: random.Random, watch: Watch | None = None
) -> Fault:
    """A grammar of text: what is walked, derived and spoilt, judged by everybody. Raises as :func:`walked`.

    A quarter of the grammars is walked with the masks of a plan, which try how each character can be completed and take
    longest; the others with those of the grammar.
    """
    watch = watch or Watch()
    validator = GrammarValidator(spec)
    is_whole = rng.random() < 0.25
    constraint = pk.compile(None, spec).constraint(VOCABULARY) if is_whole else CompiledGrammar(spec, VOCABULARY.table)
    is_named = bool(spec.residue) or any(row.name.endswith("I-JSON") for row in spec.enforcements)  # of a tag's values
    texts: list[tuple[str, bool]] = []
    for _ in range(3):
        text = walked(constraint, rng, watch)
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
        watch.look()
        try:
            expected = language.accepts(text)
        except RecursionError:
            continue
        if is_inside and not expected:
            return f"the mask lets be written what is not in the language: {text!r}"
        if bool(validator.check(text)) == expected:
            return f"the verifier says {not expected} of {text!r}"
        if by_tokens(constraint, text, rng, watch) != expected:
            return f"the mask says {not expected} of {text!r}"
    return None


def schema_fault(
    spec: GrammarSpec, root: dict[str, Any] | None, rng: random.Random, watch: Watch | None = None
) -> Fault:
    """A schema: what is walked is valid, or breaks what is named as residue; what is valid can be written. Raises as
    :func:`walked`."""
    watch = watch or Watch()
    validator, constraint = GrammarValidator(spec), pk.compile(None, spec).constraint(VOCABULARY)
    judge = Judge(root)
    for _ in range(3):
        text = walked(constraint, rng, watch)
        if text is not None and (fault := _walked_fault(spec, validator, judge, text)):
            return fault
    if root is None:
        return None
    for value in made_schemas.candidates(root, rng, 6):
        watch.look()
        valid = judge.valid(value)
        if valid is None:
            return None
        value = shortest(value)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        refused = [v.keyword for v in validator.check(text)]
        if bool(refused) == valid and not judge.has_format:
            return f"the verifier says {not valid} of {text}: {refused}"
        is_spelled = not (judge.has_decimals and has_numbers(value))
        orders = in_every_order(value) if not refused and is_spelled else None
        if orders is not None and not any(matches(spec, one) for one in orders):
            return f"the mask refuses the valid {text}"
    return None


def shortest(value: Any) -> Any:
    """The same value, whole numbers without a fraction: as masks write them."""
    match value:
        case float() if value.is_integer() and abs(value) <= 2**53:
            return int(value)
        case Decimal() if value == value.to_integral_value():
            return int(value)
        case list():
            return list(map(shortest, cast("list[Any]", value)))
        case dict():
            return {name: shortest(item) for name, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def in_floats(value: Any) -> Any:
    """The same value with its fractions as floats, which `jsonschema` divides. Raises OverflowError where that is
    another value."""
    match value:
        case Decimal():
            if Decimal(float(value)) != value:
                raise OverflowError
            return float(value)
        case list():
            return list(map(in_floats, cast("list[Any]", value)))
        case dict():
            return {name: in_floats(item) for name, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def has_numbers(value: Any) -> bool:
    """Whether a number stands in it."""
    match value:
        case bool() | None | str():
            return False
        case list():
            return any(map(has_numbers, cast("list[Any]", value)))
        case dict():
            return any(map(has_numbers, cast("dict[str, Any]", value).values()))
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
            return self._validator.is_valid(self._read(value))
        except (RecursionError, OverflowError):
            return None

    def _read(self, value: Any) -> Any:
        """The value as `jsonschema` reads it, to which a decimal is no integer."""
        return in_floats(value) if self.has_decimals else shortest(value)

    def keywords(self, value: Any) -> set[str]:
        """Keywords, names and places that the errors go through. Their paths leave out a reference: they lead
        elsewhere then."""
        found: set[str] = set()
        if self._validator is None:
            return found
        pending = list(self._validator.iter_errors(self._read(value)))
        while pending:
            error = pending.pop()
            path = list(error.absolute_schema_path)
            found |= {str(step) for step in path} | {str(error.validator)}
            if path[-1:] == [error.validator] and not _stands(error.schema, path[:-1], self._validator.schema):
                found.add("$ref")
            pending += error.context or ()
        return found


def _stands(schema: Any, path: Sequence[Any], root: Any) -> bool:
    """Whether a schema is what a path leads to."""
    try:
        for step in path:
            root = root[step]
    except (KeyError, IndexError, TypeError):
        return False
    return bool(root == schema)


READER = {
    "unique keys": ("repeated names", "escaped spellings"),
    "number": ("numbers beyond a double",),
    "depth": ("nesting beyond 256 levels",),
    "syntax": (),
    "unicode": (),
}
"""What the row says that names a fault of reading."""


def _walked_fault(spec: GrammarSpec, validator: GrammarValidator, judge: Judge, text: str) -> Fault:
    found = validator.check(text)
    value = parse(text)
    if isinstance(value, JsonFault):
        named = " ".join(row.why for row in spec.enforcements if row.name == "I-JSON")
        is_named = any(words in named for words in READER[value.keyword])
        return None if is_named and found else f"the mask lets be written what is no JSON: {text!r}: {value.message}"
    valid = judge.valid(value)
    if valid is not None and bool(found) == valid and not judge.has_format:
        return f"the verifier says {not found} of {text}: {[v.message for v in found]}"
    if not found:
        return None
    residue = {one.keyword for one in spec.residue}
    if r"\u" in text and any("escaped spellings" in row.why for row in spec.enforcements if row.name == "I-JSON"):
        return None  # the name that is spelled so may have been taken for another one
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


def underivable(language: Language, rng: random.Random) -> Fault:
    """A text of a language of which it is said that it has none."""
    for _ in range(6):
        text = language.derive(rng)
        if text is not None:
            return f"called unsatisfiable, and {text!r} is derived"
    return None
