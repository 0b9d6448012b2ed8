"""Schemas and grammars, each made again from its kind and number: right by construction, nearly right, and hostile."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import policykit as pk
from policykit.diagnostics import InternalError, Place
from policykit.ir.grammar import GrammarSpec
from policykit.plan.compiling import Unread, compiles
from tests.fuzz import held, hostile, made_grammars, made_schemas, made_tags
from tests.fuzz.made_grammars import Language
from tests.fuzz.spoilt import BNF, DIALECT, LARK, REGEX, TAGS, nearly, nearly_a_schema

SLOW_TOKEN_S = 1.0
"""What a mask and the token after it may take, of processor time, over a vocabulary of a few hundred tokens."""


@dataclass(frozen=True, slots=True)
class Case:
    """A source, with what is known of it beside: its language, or that it is a schema that `jsonschema` can judge."""

    source: str
    language: Language | None = None
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """``share`` is how many of a hundred inputs are of this kind."""

    read: Callable[[str], GrammarSpec]
    make: Callable[[random.Random], Case]
    share: int


def _schema(rng: random.Random) -> Case:
    found = made_schemas.schema(rng)
    return Case(json.dumps(found, ensure_ascii=rng.random() < 0.5), schema=found)


def _bnf(is_ebnf: bool) -> Callable[[random.Random], Case]:
    def make(rng: random.Random) -> Case:
        found = made_grammars.language(rng)
        return Case(made_grammars.bnf(found, rng, is_ebnf=is_ebnf), found)

    return make


def _lark(rng: random.Random) -> Case:
    """By characters, so that it says what its rules derive; with lexemes it says something else, and has no judge."""
    found, terminals = made_grammars.language(rng), rng.random() < 0.4
    return Case(made_grammars.lark(found, rng, terminals=terminals), None if terminals else found)


def _plain_lark(rng: random.Random) -> Case:
    found = made_grammars.language(rng)
    return Case(made_grammars.lark(found, rng, terminals=rng.random() < 0.7), found)


def _regex(rng: random.Random) -> Case:
    found = made_grammars.language(rng, recursive=False)
    return Case(made_grammars.regex(found.rules["root"], rng), found)


def _text(make: Callable[[random.Random], str]) -> Callable[[random.Random], Case]:
    return lambda rng: Case(make(rng))


KINDS: Mapping[str, Kind] = {
    "json_schema made": Kind(pk.Grammar.from_json_schema, _schema, 24),
    "json_schema spoilt": Kind(pk.Grammar.from_json_schema, _text(nearly_a_schema), 12),
    "json_schema hostile": Kind(pk.Grammar.from_json_schema, _text(hostile.schema_text), 3),
    "gbnf made": Kind(pk.Grammar.from_gbnf, _bnf(False), 8),
    "gbnf spoilt": Kind(pk.Grammar.from_gbnf, _text(nearly(BNF)), 5),
    "gbnf hostile": Kind(pk.Grammar.from_gbnf, _text(lambda rng: hostile.bnf(rng, False)), 1),
    "ebnf made": Kind(pk.Grammar.from_ebnf, _bnf(True), 6),
    "ebnf spoilt": Kind(pk.Grammar.from_ebnf, _text(nearly(BNF)), 5),
    "ebnf hostile": Kind(pk.Grammar.from_ebnf, _text(lambda rng: hostile.bnf(rng, True)), 1),
    "lark made": Kind(pk.Grammar.from_lark, _lark, 8),
    "lark spoilt": Kind(pk.Grammar.from_lark, _text(nearly((*LARK, *DIALECT))), 5),
    "lark hostile": Kind(pk.Grammar.from_lark, _text(lambda rng: hostile.lark(rng, False)), 1),
    "plain_lark made": Kind(pk.Grammar.from_plain_lark, _plain_lark, 6),
    "plain_lark spoilt": Kind(pk.Grammar.from_plain_lark, _text(nearly(LARK)), 3),
    "plain_lark hostile": Kind(pk.Grammar.from_plain_lark, _text(lambda rng: hostile.lark(rng, True)), 1),
    "regex made": Kind(pk.Grammar.from_regex, _regex, 4),
    "regex spoilt": Kind(pk.Grammar.from_regex, _text(nearly(REGEX)), 2),
    "regex hostile": Kind(pk.Grammar.from_regex, _text(hostile.regex), 1),
    "structural_tag made": Kind(pk.Grammar.from_structural_tag, _text(made_tags.tag_text), 2),
    "structural_tag spoilt": Kind(pk.Grammar.from_structural_tag, _text(nearly(TAGS)), 1),
    "structural_tag hostile": Kind(pk.Grammar.from_structural_tag, _text(hostile.tag), 1),
}


def case(kind: str, number: int) -> Case:
    """The input of a kind with a number, always the same one."""
    return KINDS[kind].make(random.Random(f"{kind} {number}"))


def compiled(kind: str, number: int, judge_s: float = float("inf"), come_to: str | None = None) -> str:
    """What became of an input that a plan is made of, as :class:`policykit.Compilers` makes it. Raises what that does.

    `held`: all who judge agree; `partly`: they did for ``judge_s`` of processor time, and would have gone on; `slow
    mask`: they agree, and some token took longer than :data:`SLOW_TOKEN_S`; `limit`: a text came to a limit of the
    masking engine; `disagree`, and in what. Once it is compiled, so much is written to the file ``come_to``.
    """
    found, rng = case(kind, number), random.Random(f"held {kind} {number}")
    try:
        spec = compiles(None, Unread(KINDS[kind].read, (found.source,), Place("input")), {}).grammar
    except pk.PolicyError as error:
        fault = _wrongly_unsatisfiable(found, rng) if error.diagnostics[0].code == "PK208" else None
        if fault is None:
            raise
        return f"disagree: {fault}"
    assert spec is not None, "it was made of a grammar"
    if come_to is not None:
        Path(come_to).write_text(f"{kind} {number}", "utf-8")
    watch, name, fault = held.Watch(judge_s), "held", None
    try:
        if spec.is_json:
            fault = held.schema_fault(spec, found.schema, rng, watch)
        else:
            fault = held.language_fault(spec, found.language, rng, watch)
    except held.OutOfTime:
        name = "partly"
    except InternalError as error:
        fault = str(error)
        if any(word in fault for word in LIMITS):
            return f"limit: {fault}"
    if fault is not None:
        return f"disagree: {fault}"
    return name if watch.slowest_s < SLOW_TOKEN_S else f"slow mask: {watch.slowest_s:.1f} s for one token"


LIMITS = ("max is", "limit", "fuel", "too many", "too large")
"""Words of the masking engine's errors that speak of its limits, which it has so that no text takes for ever."""


def _wrongly_unsatisfiable(found: Case, rng: random.Random) -> str | None:
    if found.schema is not None:
        return held.unsatisfied(found.schema, rng)
    return held.underivable(found.language, rng) if found.language is not None else None
