"""Text as matchers see it: views, character properties, strict UTF-8 and the JSON string lexer.

Properties are read from the shipped tables on import (a few milliseconds), each view on its first use.
"""

from policykit.text.build_tables import FILLERS
from policykit.text.escapes import ESCAPE_NAMES, escapes_digest
from policykit.text.properties import (
    UNICODE_VERSION,
    category_ranges,
    is_dot,
    is_letter,
    is_mark,
    is_regex_word,
    is_separator,
    is_tight,
    is_word,
    ranges_from_mask,
    script_names,
    simple_folding,
    tables_digest,
    white_space_ranges,
)
from policykit.text.views import LOOK_ALIKE_VIEWS, VIEW_NAMES, Origins, View, view

__all__ = [
    "ESCAPE_NAMES",
    "FILLERS",
    "LOOK_ALIKE_VIEWS",
    "UNICODE_VERSION",
    "VIEW_NAMES",
    "Origins",
    "View",
    "category_ranges",
    "escapes_digest",
    "is_dot",
    "is_letter",
    "is_mark",
    "is_regex_word",
    "is_separator",
    "is_tight",
    "is_word",
    "ranges_from_mask",
    "script_names",
    "simple_folding",
    "tables_digest",
    "view",
    "white_space_ranges",
]
