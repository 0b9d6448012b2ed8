"""Grammars in all their notations, compiled for masks and judged whole."""

from policykit.grammar.arriving import Unambiguous
from policykit.grammar.closed_values import ClosedValues, ClosingRules, EarlyFault
from policykit.grammar.documents import NO_DOCUMENTS, Documents, folder_documents
from policykit.grammar.json_schema import json_schema
from policykit.grammar.load import load_grammar, read_grammar
from policykit.grammar.matcher import Beginning, CompiledGrammar, GrammarState, matches, try_first_mask
from policykit.grammar.prune import EmptyGrammar, without_fixed
from policykit.grammar.structural_tags import marked_program, marks_in, structural_tag
from policykit.grammar.text_grammars import choices, ebnf, gbnf, lark, plain_lark, regex
from policykit.grammar.token_table import TokenTable
from policykit.grammar.validator import GrammarValidator, GrammarViolation
from policykit.grammar.visits import most_visits

__all__ = [
    "NO_DOCUMENTS",
    "Beginning",
    "ClosedValues",
    "ClosingRules",
    "CompiledGrammar",
    "Documents",
    "EarlyFault",
    "EmptyGrammar",
    "GrammarState",
    "GrammarValidator",
    "GrammarViolation",
    "TokenTable",
    "Unambiguous",
    "choices",
    "ebnf",
    "folder_documents",
    "gbnf",
    "json_schema",
    "lark",
    "load_grammar",
    "marked_program",
    "marks_in",
    "matches",
    "most_visits",
    "plain_lark",
    "read_grammar",
    "regex",
    "structural_tag",
    "try_first_mask",
    "without_fixed",
]
