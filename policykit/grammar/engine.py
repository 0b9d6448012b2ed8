"""The masking engine (llguidance) behind four functions: programs, limits, refusals, and vocabularies.

Only this module and the matcher import llguidance. Departures that matter here:

- A vocabulary made from Python is taken to be canonical, and the engine then *forces* text: where one continuation
  is possible it offers a single tokenisation of it. A policy may forbid that one. Programs in Lark switch forcing off
  (``no_forcing``). Those of a JSON Schema cannot, unless they are wrapped in Lark, whose lexer alone takes longer to
  set up than most schemas to compile: there the other tokenisations are added (:func:`forces`).
- ``multipleOf`` fixes how many decimals are written (a multiple of 0.25 is written 1.50, not 1.5): every value can be
  written, not every spelling of it.
- ``x-guidance`` inside a schema overrides the engine's options (``lenient`` drops keywords silently): it is replaced.
"""

import json
import re
import weakref
from collections import OrderedDict
from functools import cache
from threading import Lock
from typing import Final
from urllib.parse import unquote

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper, regex_to_lark

from policykit.diagnostics import InternalError
from policykit.grammar.values import Json

LIMITS = LLParserLimits(
    initial_lexer_fuel=200_000_000,  # about four seconds; the default refuses everyday enums
    step_lexer_fuel=50_000_000,
    max_lexer_states=1_000_000,
    max_grammar_size=10_000_000,
    step_max_items=1_000_000,
    max_items_in_row=50_000,
    verbose_errors=False,
)
NO_FORCING = '%llguidance {"no_forcing": true}'
PLAIN_ESCAPES = 'nrbtf\\"'
CONTROL_ESCAPES = PLAIN_ESCAPES + "u"


def lark_program(source: str) -> str:
    """What the engine compiles for a grammar in its Lark dialect. The option comes last, so that lines stay put."""
    return LLMatcher.grammar_from_lark(f"{source}\n{NO_FORCING}\n")


def regex_program(source: str) -> str:
    """What the engine compiles for a whole-text regular expression."""
    return lark_program(f"start: /{regex_to_lark(source, '')}/")


def json_program(schema: dict[str, Json], control_characters: bool) -> str:
    """What the engine compiles for a JSON Schema: compact JSON, canonical escapes, properties in definition order.

    ``control_characters`` lets strings hold escaped control characters. The engine then also spells any character
    of an additional property's name as ``\\u00xx``, so it is switched on only where the schema needs it.
    """
    options: dict[str, Json] = {
        "whitespace_flexible": False,
        "json_allowed_escapes": CONTROL_ESCAPES if control_characters else PLAIN_ESCAPES,
        "item_separator": ",",
        "key_separator": ":",
        "coerce_one_of": False,
        "lenient": False,
    }
    return f"{_JSON_OPENS}{_ENCODER.encode({**schema, 'x-guidance': options})}{_JSON_CLOSES}"


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
_JSON_OPENS: Final = '{"grammars": [{"json_schema": '
_JSON_CLOSES: Final = "}]}"


def json_rule(program: str) -> str:
    """What a program of :func:`json_program` says a JSON value is, to stand in a rule of another program."""
    return "%json " + program.removeprefix(_JSON_OPENS).removesuffix(_JSON_CLOSES)


def forces(program: str) -> bool:
    """Whether the engine forces text under a program: where `compute_ff_bytes` returns some, its mask may hold one
    tokenisation of them only."""
    return program.startswith(_JSON_OPENS)


class _Tokens:
    """The shape that the engine's tokenizer wrapper asks for.

    Calling it encodes byte by byte, or greedily where some byte has no token, and never raises. What the engine asks
    for is the encoding of forced text, of which only the length counts here (see :class:`GrammarState`).
    """

    def __init__(self, tokens: tuple[bytes, ...], special_ids: frozenset[int], eos_id: int) -> None:
        self.tokens = list(tokens)
        self.special_token_ids = sorted(special_ids)
        self.eos_token_id = eos_id
        self.bos_token_id = None
        self._ids = {token: i for i, token in enumerate(tokens) if token and i not in special_ids}
        self._longest = max(map(len, self._ids), default=1)
        bytewise = [self._ids.get(bytes([i]), -1) for i in range(256)]
        self._bytewise = bytewise if min(bytewise) >= 0 else None

    def __call__(self, text: bytes | str) -> list[int]:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        if self._bytewise is not None:
            return [self._bytewise[byte] for byte in data]
        ids: list[int] = []
        at = 0
        while at < len(data):
            length = next((n for n in range(self._longest, 0, -1) if data[at : at + n] in self._ids), 0)
            if length:
                ids.append(self._ids[data[at : at + length]])
            at += max(length, 1)
        return ids


def vocabulary(tokens: tuple[bytes, ...], special_ids: frozenset[int], eos_ids: tuple[int, ...]) -> LLTokenizer:
    """The engine's view of a vocabulary. Special tokens match only where a grammar names them."""
    return LLTokenizer(TokenizerWrapper(_Tokens(tokens, special_ids, eos_ids[0])), eos_token=list(eos_ids))


BYTE_EOS = 256


@cache
def byte_vocabulary() -> LLTokenizer:
    """One token for each byte, and an end of text (256)."""
    tokens = (*(bytes([i]) for i in range(256)), b"<end>")
    return vocabulary(tokens, frozenset({BYTE_EOS}), (BYTE_EOS,))


class Compiler:
    """Programs compiled for one vocabulary. The last few are kept: a schema is asked about before it is used, and a
    request often brings the schema of the one before it."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self._tokenizer = tokenizer
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = Lock()

    def matcher(self, program: str) -> LLMatcher:
        """A matcher at the start of the text. Shared: take a deep copy.

        Raises:
            InternalError: the program does not compile for this vocabulary.
        """
        made = self._compiled(program)
        check(made)
        return made

    def refusal(self, program: str) -> str | None:
        """Why the engine refuses a program, or None if it compiles."""
        made = self._compiled(program)
        return made.get_error().strip() if made.is_error() else None

    def _compiled(self, program: str) -> LLMatcher:
        with self._lock:
            known = self._kept.get(program)
            if known is not None:
                self._kept.move_to_end(program)
                return known
        made = LLMatcher(self._tokenizer, program, log_level=0, limits=LIMITS)
        if not made.is_error():
            with self._lock:
                self._kept[program] = made
                while len(self._kept) > 1 and self._is_full():
                    self._kept.popitem(last=False)
        return made

    def _is_full(self) -> bool:
        return len(self._kept) > MAX_KEPT or sum(map(len, self._kept)) > MAX_KEPT_CHARACTERS


MAX_KEPT: Final = 32
MAX_KEPT_CHARACTERS: Final = 500_000
"""Programs, and their characters, that one vocabulary keeps compiled: a short program may be a large automaton."""


@cache
def byte_compiler() -> Compiler:
    """Programs over single bytes."""
    return Compiler(byte_vocabulary())


def check(engine: LLMatcher) -> None:
    """Raises InternalError if the engine is in its error state, which it never leaves."""
    if engine.is_error():
        raise InternalError(f"the grammar engine failed: {engine.get_error().strip().splitlines()[0]}")


def refusal(program: str) -> str | None:
    """Why the engine refuses a program, or None if it compiles (over single bytes)."""
    return byte_compiler().refusal(program)


def has_no_text(program: str) -> bool:
    """Whether a program that compiles lets nothing be written and may not end either, as far as it names no special
    token."""
    if refusal(program) is not None:
        return False
    probe = byte_compiler().matcher(program).deep_copy()
    if probe.is_accepting():
        return False
    probe.compute_bitmask()
    return probe.is_error() and "NoExtensionBias" in probe.get_error()


_in_use: "weakref.ref[Compiler] | None" = None


def use(compiler: Compiler) -> None:
    """Note the vocabulary that masks are made for, so that what is asked about next is compiled for it at once."""
    global _in_use
    _in_use = weakref.ref(compiler)


def json_refusal(program: str) -> str | None:
    """:func:`refusal` of a program of :func:`json_program`, which names no special token: any vocabulary gives the same
    answer, and the one in use keeps the program compiled."""
    compiler = _in_use() if _in_use is not None else None
    return (compiler or byte_compiler()).refusal(program)


@cache
def spells_names_freely() -> bool:
    """Whether the engine lets additional properties' names be written with escapes although none are asked for.

    llguidance 1.7 does, so that a defined name can pass as an additional one there.
    """
    schema: dict[str, Json] = {"type": "object", "properties": {"a": {"const": 1}}}
    probe = byte_compiler().matcher(json_program(schema, False))
    text = b'{"\\u0061":2}'
    return probe.validate_tokens(list(text)) == len(text)


def syntax_refusal(program: str) -> str | None:
    """Why the engine refuses a program before it has seen a vocabulary (so special tokens may have any name)."""
    failed, messages = LLMatcher.validate_grammar_with_warnings(program, None, limits=LIMITS)
    return messages[0].strip() if failed else None


def is_unsatisfiable(refused: str) -> bool:
    """Whether a refusal says that no text belongs to the grammar."""
    return "Unsatisfiable schema" in refused or "is unsatisfiable" in refused


def unsatisfiable_definition(refused: str) -> str:
    """The pointer of the definition of which a refusal says that no text belongs to it, or nothing."""
    found = re.search(r"while processing \S*?#(/\S*)", refused)
    return unquote(found[1]) if found else ""


@cache
def masks_format(name: str) -> bool:
    """Whether the engine restricts strings of this format. Asked, not listed: a table would go stale."""
    program = json_program({"type": "string", "format": name}, False)
    if refusal(program) is not None:
        return False
    probe = byte_compiler().matcher(program)  # every format excludes this text; an ignored one admits it
    text = b'" \\t\xc2\xa0"'
    return probe.validate_tokens(list(text)) < len(text)


@cache
def leaks_excluded_bounds() -> bool:
    """Whether the engine lets an excluded whole number through where the other bound is less than 1 away.

    llguidance 1.7 does: `{"exclusiveMinimum": 0, "maximum": 0.5}` admits 0.
    """
    schema: dict[str, Json] = {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}
    return byte_compiler().matcher(json_program(schema, False)).validate_tokens([ord("0")]) == 1


@cache
def masks_keyword(keyword: str) -> bool:
    """Whether the engine knows a keyword at all (with a harmless value)."""
    value = PROBES.get(keyword, True)
    schema: dict[str, Json] = {"type": ["string", "object", "array"], keyword: value}
    refused = refusal(json_program(schema, False))
    return refused is None or "Unimplemented keys" not in refused


PROBES: dict[str, Json] = {
    "not": {"type": "null"},
    "if": {"type": "null"},
    "then": {"type": "string"},
    "else": {"type": "string"},
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": True},
    "dependencies": {"a": ["b"]},
    "uniqueItems": True,
    "contains": True,
    "minContains": 1,
    "maxContains": 1,
    "propertyNames": {"type": "string"},
    "unevaluatedProperties": False,
    "unevaluatedItems": False,
    "$dynamicRef": "#x",
    "$recursiveRef": "#",
    "$dynamicAnchor": "x",
    "$recursiveAnchor": True,
    "contentSchema": True,
}
"""Keywords that bear on validity and that the engine may not know, each with a value to ask it with."""
