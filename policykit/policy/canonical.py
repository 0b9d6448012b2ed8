"""A document's content as canonical JSON, which is also YAML and loads to the same document.

Keys are sorted, there is no space, numbers that are fractions by their field are written as such, and nothing is
filled in. Characters that YAML would refuse or fold inside quotes are escaped.
"""

import json
import re
from datetime import date
from typing import assert_never

from policykit.policy.checked import Checked, DataLeaf, Entries, Items, Json, Leaf, RegexLeaf

# C1 and DEL, next line and no-break space, line and paragraph separator, byte order mark, noncharacters of the BMP.
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


def content(checked: Checked) -> Json:
    """The value as JSON values; dates as text."""
    match checked:
        case Leaf(value, _):
            return value.isoformat() if isinstance(value, date) else value
        case DataLeaf(value, _):
            return value
        case RegexLeaf(source, _, _):
            return source
        case Items(items, _):
            return [content(item) for item in items]
        case Entries(_, fields, _, _):
            return {name: content(value) for name, value in fields.items()}
        case _:
            assert_never(checked)


def canonical(checked: Checked) -> str:
    """Canonical JSON: equal for documents that differ in comments, order of keys and formatting only."""
    return canonical_json(content(checked))


def canonical_json(value: Json) -> str:
    """JSON text with sorted keys and no space."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
