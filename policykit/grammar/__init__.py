"""Grammars: JSON Schema, Lark, GBNF, expressions, choices and structural tags, compiled for masks and judged whole."""

from policykit.grammar.arriving import Unambiguous
from policykit.grammar.json_schema import json_schema
from policykit.grammar.load import load_grammar
from policykit.grammar.matcher import Beginning, CompiledGrammar, GrammarState, TokenTable, matches
from policykit.grammar.prune import EmptyGrammar, without_fixed
from policykit.grammar.structural_tags import structural_tag
from policykit.grammar.text_grammars import choices, gbnf, lark, regex
from policykit.grammar.validator import GrammarValidator, GrammarViolation

__all__ = [
    "Beginning",
    "CompiledGrammar",
    "EmptyGrammar",
    "GrammarState",
    "GrammarValidator",
    "GrammarViolation",
    "TokenTable",
    "Unambiguous",
    "choices",
    "gbnf",
    "json_schema",
    "lark",
    "load_grammar",
    "matches",
    "regex",
    "structural_tag",
    "without_fixed",
]
