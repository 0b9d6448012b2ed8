"""Judging whole texts: what a plan's rules find in them, and what may be released."""

from policykit.verify.finders import CompiledSearches, LeafSearch, Search, Searches
from policykit.verify.matching import compile_check
from policykit.verify.verifier import MAX_BYTES, Verifier

__all__ = [
    "MAX_BYTES",
    "CompiledSearches",
    "LeafSearch",
    "Search",
    "Searches",
    "Verifier",
    "compile_check",
]
