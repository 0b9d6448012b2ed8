"""Schemas and grammars, each made again from its kind and number: right by construction, nearly right, and hostile."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import policykit as pk
from policykit.ir.grammar import GrammarSpec
from tests.fuzz import held, hostile, made_grammars, made_schemas, made_tags
from tests.fuzz.made_grammars import Language
from tests.fuzz.spoilt import BNF, DIALECT, LARK, REGEX, TAGS, nearly, nearly_a_schema


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
    "json_schema spoilt": Kind(pk.Grammar.from_json_schema, _text(nearly_a_schema), 6),
    "json_schema hostile": Kind(pk.Grammar.from_json_schema, _text(hostile.schema_text), 7),
    "gbnf made": Kind(pk.Grammar.from_gbnf, _bnf(False), 8),
    "gbnf spoilt": Kind(pk.Grammar.from_gbnf, _text(nearly(BNF)), 4),
    "gbnf hostile": Kind(pk.Grammar.from_gbnf, _text(lambda rng: hostile.bnf(rng, False)), 2),
    "ebnf made": Kind(pk.Grammar.from_ebnf, _bnf(True), 6),
    "ebnf spoilt": Kind(pk.Grammar.from_ebnf, _text(nearly(BNF)), 4),
    "ebnf hostile": Kind(pk.Grammar.from_ebnf, _text(lambda rng: hostile.bnf(rng, True)), 1),
    "lark made": Kind(pk.Grammar.from_lark, _lark, 8),
    "lark spoilt": Kind(pk.Grammar.from_lark, _text(nearly((*LARK, *DIALECT))), 4),
    "lark hostile": Kind(pk.Grammar.from_lark, _text(lambda rng: hostile.lark(rng, False)), 2),
    "plain_lark made": Kind(pk.Grammar.from_plain_lark, _plain_lark, 6),
    "plain_lark spoilt": Kind(pk.Grammar.from_plain_lark, _text(nearly(LARK)), 2),
    "plain_lark hostile": Kind(pk.Grammar.from_plain_lark, _text(lambda rng: hostile.lark(rng, True)), 1),
    "regex made": Kind(pk.Grammar.from_regex, _regex, 6),
    "regex spoilt": Kind(pk.Grammar.from_regex, _text(nearly(REGEX)), 2),
    "regex hostile": Kind(pk.Grammar.from_regex, _text(hostile.regex), 2),
    "structural_tag made": Kind(pk.Grammar.from_structural_tag, _text(made_tags.tag_text), 3),
    "structural_tag spoilt": Kind(pk.Grammar.from_structural_tag, _text(nearly(TAGS)), 1),
    "structural_tag hostile": Kind(pk.Grammar.from_structural_tag, _text(hostile.tag), 1),
}


def case(kind: str, number: int) -> Case:
    """The input of a kind with a number, always the same one."""
    return KINDS[kind].make(random.Random(f"{kind} {number}"))


def compiled(kind: str, number: int) -> str:
    """`held`, where the grammar compiles and all who judge agree, or what they do not agree on. Each tenth is also made
    a plan. Raises what compiling raises."""
    found, rng = case(kind, number), random.Random(f"held {kind} {number}")
    try:
        spec = KINDS[kind].read(found.source)
    except pk.PolicyError as error:
        if found.schema is not None and error.diagnostics[0].code == "PK208":
            fault = held.unsatisfied(found.schema, rng)
            if fault is not None:
                return f"disagree: {fault}"
        raise
    if number % 10 == 0:
        pk.compile(None, spec)
    if spec.is_json:
        fault = held.schema_fault(spec, found.schema, rng)
    else:
        fault = held.language_fault(spec, found.language, rng)
    return "held" if fault is None else f"disagree: {fault}"


def only_compiled(kind: str, number: int) -> str:
    """`compiled`: the same without what is held against it."""
    KINDS[kind].read(case(kind, number).source)
    return "compiled"
