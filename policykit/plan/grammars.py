"""Grammars as the facade offers them: one name, a constructor per notation."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from policykit.diagnostics import Place
from policykit.grammar import choices, ebnf, gbnf, json_schema, lark, plain_lark, regex, structural_tag
from policykit.ir.grammar import GrammarSpec

_SCHEMA, _REGEX, _LARK, _CHOICES = Place("<schema>"), Place("<regex>"), Place("<lark>"), Place("<choices>")
_TAG, _GBNF, _EBNF = Place("<structural tag>"), Place("<gbnf>"), Place("<ebnf>")
"""Where a grammar stands that was given without a place."""


def _text(schema: "dict[str, Any] | bool | str") -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


class Grammar:
    """Constructors of grammars. Each returns a GrammarSpec and raises PolicyError (PK2xx) with the place."""

    @staticmethod
    def from_json_schema(
        schema: "dict[str, Any] | bool | str",
        place: Place = _SCHEMA,
        *,
        documents: "Mapping[str, dict[str, Any] | bool | str] | None" = None,
    ) -> GrammarSpec:
        """A JSON Schema (draft-07 or 2020-12), as a value or as text.

        ``documents`` are the schemas that it may refer to, by the URI that references mean. Those that it does refer
        to become a part of the grammar. Meta-schemas are there anyway, and nothing is ever fetched.

        >>> money = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
        >>> order = {"type": "object", "properties": {"price": {"$ref": "money.json"}}}
        >>> Grammar.from_json_schema(order, documents={"money.json": money}).source[:69]
        '{"type":"object","properties":{"price":{"$ref":"#/$defs/money.json"}}'
        """
        given = {name: _text(document) for name, document in (documents or {}).items()}
        return json_schema(schema, place, given)

    @staticmethod
    def from_regex(pattern: str, place: Place = _REGEX) -> GrammarSpec:
        """A regular expression that the whole output matches."""
        return regex(pattern, place)

    @staticmethod
    def from_lark(source: str, place: Place = _LARK) -> GrammarSpec:
        """A context-free grammar in llguidance's Lark dialect."""
        return lark(source, place)

    @staticmethod
    def from_gbnf(source: str, place: Place = _GBNF) -> GrammarSpec:
        """A context-free grammar in GBNF, the notation of llama.cpp; its start is the rule `root`."""
        return gbnf(source, place)

    @staticmethod
    def from_ebnf(source: str, place: Place = _EBNF) -> GrammarSpec:
        """A context-free grammar in EBNF as XGrammar writes it; its start is the rule `root`."""
        return ebnf(source, place)

    @staticmethod
    def from_plain_lark(source: str, place: Place = _LARK) -> GrammarSpec:
        """A context-free grammar as the library `lark` reads it, with its templates, imports and ignored text."""
        return plain_lark(source, place)

    @staticmethod
    def from_structural_tag(document: "dict[str, Any] | str", place: Place = _TAG) -> GrammarSpec:
        """Text with tags whose contents have grammars of their own, as vLLM takes it: as a value or as text."""
        return structural_tag(document if isinstance(document, str) else json.dumps(document), place)

    @staticmethod
    def from_choices(texts: Sequence[str], place: Place = _CHOICES) -> GrammarSpec:
        """Exactly one of the texts."""
        return choices(list(texts), place)
