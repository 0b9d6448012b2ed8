"""Judging whole texts: what a plan's rules find in them, and what may be released."""

from policykit.verify.finders import CompiledSearches, LeafSearch, Search, Searches
from policykit.verify.judgement import CheckGrammar
from policykit.verify.matching import compile_check
from policykit.verify.opened import Opened, check_opened
from policykit.verify.resources import NONE, PREVIEW, Resources, Tokeniser, check_resources
from policykit.verify.subject import Subject, tool_call
from policykit.verify.verifier import MAX_BYTES, Verifier

__all__ = [
    "MAX_BYTES",
    "NONE",
    "PREVIEW",
    "CheckGrammar",
    "CompiledSearches",
    "LeafSearch",
    "Opened",
    "Resources",
    "Search",
    "Searches",
    "Subject",
    "Tokeniser",
    "Verifier",
    "check_opened",
    "check_resources",
    "compile_check",
    "tool_call",
]
