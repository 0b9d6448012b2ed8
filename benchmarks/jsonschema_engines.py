"""Engines that mask JSON Schemas, each behind the same two steps: a schema is compiled, and a text is walked.

Every engine is set to write compact JSON, so that all are asked about the same texts.
"""

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from policykit.plan import WarmSets


class Refused(Exception):
    """The engine does not compile the schema, and says so."""


class Unsatisfiable(Refused):
    """The engine says that no value satisfies the schema."""


class Walk(Protocol):
    """One text under the mask."""

    def fill(self) -> NDArray[np.int32]:
        """The mask of the next token, ``int32 [ceil(V/32)]``, bit 1 = allowed."""
        ...

    def accept(self, token_id: int) -> bool: ...


@dataclass(frozen=True)
class Compiled:
    """A schema that was taken. ``judge`` is the engine's whole-text check with the keywords that a text breaks, where
    it has one; ``residue`` names what its mask does not carry, by JSON pointer, once it is asked; ``liveness`` how it
    says that it keeps from dead ends."""

    walk: Callable[[], Walk]
    judge: Callable[[str], Sequence[str] | None] | None = None
    residue: Callable[[], tuple[str, ...]] = tuple
    liveness: str = ""


class Engine(Protocol):
    def compile(self, schema: Any) -> Compiled:
        """Raises Refused, or Unsatisfiable."""
        ...


@dataclass(frozen=True)
class Tokens:
    """What engines are made from: the tokenizer's file, its tokens as bytes, and the end of text."""

    path: Path
    tokens: tuple[bytes, ...]
    special: frozenset[int]
    eos: int

    @property
    def words(self) -> int:
        return -(-len(self.tokens) // 32)


class _Policykit:
    """``pk.compile`` of the schema alone; the judge is the plan's verifier. Where there is a folder of ``warm`` sets,
    masks begin with what is in it."""

    def __init__(self, tokens: Tokens, phrases: Sequence[str] = (), regexes: Sequence[str] = ()) -> None:
        import policykit as pk
        from policykit.ir.document import PolicySet

        self._vocabulary = pk.Vocabulary.from_tokens(tokens.tokens, special_ids=tokens.special, eos_ids=[tokens.eos])
        _ = self._vocabulary.table.compiler  # as the others make their tokenizers: once, and before there are schemas
        self._policies = None
        rules: list[dict[str, object]] = []
        if phrases:
            rules.append({"id": "phrases", "match": {"phrases": list(phrases)}, "action": {"block": {}}})
        if regexes:
            rules.append({"id": "regexes", "match": {"regex": list(regexes)}, "action": {"block": {}}})
        if rules:
            metadata = {"name": "bench", "version": "1.0.0", "owner": "o@example.org", "why": "a benchmark"}
            document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": rules}
            self._policies = PolicySet((pk.parse_document(json.dumps(document), "bench"),))
        self._words = tokens.words
        self.warm: WarmSets | None = None

    def compile(self, schema: Any) -> Compiled:
        import policykit as pk

        try:
            plan = pk.compile(self._policies, pk.Grammar.from_json_schema(schema))
            constraint = plan.constraint(self._vocabulary)
            if self.warm is not None:
                self.warm.meet(plan, constraint, 60)
        except pk.PolicyError as error:
            first = error.diagnostics[0]
            raise (Unsatisfiable if first.code == "PK208" else Refused)(f"{first.code}: {first.message}") from error

        def walk() -> Walk:
            return _Filled(constraint.start(), self._words)

        def judge(text: str) -> list[str]:
            verdict = plan.verify(text)
            if verdict.decision == "allow":
                return []
            return [v.rule for v in verdict.violations] or ["error"]

        def residue() -> tuple[str, ...]:
            return tuple(r.pointer for r in plan.residue)

        return Compiled(walk, judge, residue, plan.liveness.kind.value)


class _Filled:
    """A state that fills a row that it is given."""

    def __init__(self, state: Any, words: int) -> None:
        self._state, self._row = state, np.zeros(words, np.int32)

    def fill(self) -> NDArray[np.int32]:
        self._state.fill(self._row)
        return self._row

    def accept(self, token_id: int) -> bool:
        return self._state.accept(token_id)


class _Llguidance:
    def __init__(self, tokens: Tokens) -> None:
        from llguidance import LLMatcher, LLParserLimits, LLTokenizer

        self._made = LLMatcher
        self._tokenizer = LLTokenizer(tokens.path.read_text("utf-8"), eos_token=tokens.eos)
        self._limits = LLParserLimits(
            initial_lexer_fuel=2_000_000_000, step_lexer_fuel=200_000_000, max_lexer_states=5_000_000,
            max_grammar_size=50_000_000,
        )  # fmt: skip
        self._words = tokens.words

    def compile(self, schema: Any) -> Compiled:
        options = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
        try:
            grammar = self._made.grammar_from_json_schema(json.dumps(schema), overrides=options)
        except ValueError as error:
            raise Refused(str(error)) from error
        first = self._made(self._tokenizer, grammar, log_level=0, limits=self._limits)
        if first.is_error():
            said = first.get_error().strip()
            raise (Unsatisfiable if "nsatisfiable" in said else Refused)(said)
        return Compiled(lambda: _Matched(first.deep_copy(), self._words))


class _Matched:
    def __init__(self, matcher: Any, words: int) -> None:
        from llguidance.numpy import fill_next_token_bitmask

        self._matcher, self._row, self._write = matcher, np.zeros((1, words), np.int32), fill_next_token_bitmask

    def fill(self) -> NDArray[np.int32]:
        self._write(self._matcher, self._row, 0)
        if self._matcher.is_error():
            raise RuntimeError(self._matcher.get_error())
        return self._row[0]

    def accept(self, token_id: int) -> bool:
        return bool(self._matcher.consume_token(token_id))


class _Xgrammar:
    def __init__(self, tokens: Tokens) -> None:
        import xgrammar

        self._xgrammar = xgrammar
        info = xgrammar.TokenizerInfo(list(tokens.tokens), vocab_size=len(tokens.tokens), stop_token_ids=[tokens.eos])
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self._size = len(tokens.tokens)

    def compile(self, schema: Any) -> Compiled:
        try:
            compiled = self._compiler.compile_json_schema(
                json.dumps(schema), any_whitespace=False, separators=(",", ":"), strict_mode=False
            )
        except (RuntimeError, ValueError) as error:
            raise Refused(str(error)) from error
        return Compiled(lambda: _Terminated(self._xgrammar, compiled, self._size))


class _Terminated:
    def __init__(self, xgrammar: Any, compiled: Any, size: int) -> None:
        self._matcher = xgrammar.GrammarMatcher(compiled)
        self._row = xgrammar.allocate_token_bitmask(1, size)

    def fill(self) -> NDArray[np.int32]:
        if not self._matcher.fill_next_token_bitmask(self._row):
            self._row.fill_(-1)  # it says so where every token is allowed
        return self._row.numpy()[0]

    def accept(self, token_id: int) -> bool:
        return bool(self._matcher.accept_token(token_id))


class _OutlinesCore:
    def __init__(self, tokens: Tokens) -> None:
        import outlines_core

        self._core, self._words = outlines_core, tokens.words
        ids: dict[bytes | str, list[int]] = {}
        for i, token in enumerate(tokens.tokens):
            if token and i not in tokens.special:
                ids.setdefault(token, []).append(i)
        self._vocabulary = outlines_core.Vocabulary(tokens.eos, ids)

    def compile(self, schema: Any) -> Compiled:
        try:
            regex = self._core.json_schema.build_regex_from_schema(json.dumps(schema), whitespace_pattern="")
            index = self._core.Index(regex, self._vocabulary)
        except (ValueError, TypeError) as error:
            raise Refused(str(error)) from error
        return Compiled(lambda: _Guided(self._core.Guide(index), self._words))


class _Guided:
    def __init__(self, guide: Any, words: int) -> None:
        self._guide, self._row = guide, np.zeros(words, np.int32)

    def fill(self) -> NDArray[np.int32]:
        self._row[:] = 0
        address = self._row.ctypes.data_as(ctypes.c_void_p).value
        self._guide.write_mask_into(address, len(self._row), 4)
        return self._row

    def accept(self, token_id: int) -> bool:
        try:
            self._guide.advance(token_id, return_tokens=False)
        except (ValueError, IndexError):
            return False
        return True


class _Nothing:
    """Masks nothing: the floor that every other engine is measured from."""

    def __init__(self, tokens: Tokens) -> None:
        self._row = np.full(tokens.words, -1, np.int32)

    def compile(self, schema: Any) -> Compiled:
        return Compiled(lambda: _Open(self._row))


class _Open:
    def __init__(self, row: NDArray[np.int32]) -> None:
        self._row = row

    def fill(self) -> NDArray[np.int32]:
        return self._row

    def accept(self, token_id: int) -> bool:
        return True


def _under_policy(tokens: Tokens) -> Engine:
    from mask_overhead import REGEXES, corpus_texts, make_phrases

    return _Policykit(tokens, make_phrases(1_000, corpus_texts(400)), REGEXES)


ENGINES: Mapping[str, Callable[[Tokens], Engine]] = {
    "policykit": _Policykit,
    "policykit+policy": _under_policy,
    "llguidance": _Llguidance,
    "xgrammar": _Xgrammar,
    "outlines-core": _OutlinesCore,
    "nothing": _Nothing,
}


def engine_version(name: str) -> str:
    return "" if name == "nothing" else version(name.partition("+")[0])
