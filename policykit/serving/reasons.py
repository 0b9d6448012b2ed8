"""Why an upstream refused a request, as it says, for the deployment's log: without what it was sent.

An upstream may quote the request, or the key it came with, in any form. So a word of its message stands in the log only
if the request does not have it: neither whole, nor four characters of it in a row.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

MAX_REASON = 200
"""Characters of a message that are kept."""
MAX_COMPARED = 1 << 18
"""Characters of a request that a message is compared with; beside a longer one no message is kept."""
_RUN = 4
_OURS = frozenset({"arguments", "content", "function", "id", "name", "role", "text", "tool_calls", "type"})
"""Names inside a request's fields that are of the API, and not a client's."""
_WORD = re.compile(r"\w+|[^\w\x00-\x7f]+")
"""A word, or signs that are of no word and beyond ASCII, which may be a text all the same."""
_LIKE_A_KEY = re.compile(r"(?=[^\s\"'`,;:(){}\[\]<>=]*\d)[^\s\"'`,;:(){}\[\]<>=]{20,}")
_HIDDEN = re.compile(r"…(?:[^\w…]*…)+")


def reason_of(answer: bytes, body: Mapping[str, object], secrets: Iterable[str] = ()) -> str:
    """The message of an error in OpenAI's form, or whatever the ``answer`` is, in one printable line; each run of words
    that ``body`` or ``secrets`` have, or that is like a key, is `…`. The model's name is the deployment's, and stays.
    """
    given = [value for name, value in body.items() if name != "model"]
    sent = "\n".join([*_texts(given), *secrets]).casefold()
    if len(sent) > MAX_COMPARED:
        return "…"
    words = set(_WORD.findall(sent))

    def shown(found: re.Match[str]) -> str:
        word = found[0].casefold()
        runs = (word[at : at + _RUN] for at in range(len(word) - _RUN + 1))
        return "…" if word in words or any(run in sent for run in runs) else found[0]

    # one character may become several when its case is folded: a message is cut before, and printable before
    message = "".join(char if char.isprintable() else " " for char in _message(answer)[:MAX_REASON])
    return _HIDDEN.sub("…", _WORD.sub(shown, _LIKE_A_KEY.sub("…", message)))


def _message(answer: bytes) -> str:
    text = answer.decode("utf-8", "replace")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict):
        return text
    about = cast(dict[str, object], found)
    error = about.get("error")
    told = cast(dict[str, object], error).get("message") if isinstance(error, dict) else error
    said = told or about.get("message") or about.get("detail")
    return said if isinstance(said, str) else text


def _texts(value: object) -> Iterator[str]:
    """Every text of what fields hold, and every name that may be a client's own."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            about = cast(Mapping[str, object], one)
            waiting += [text for name, text in about.items() if name != "role"]
            yield from (name for name in about if name not in _OURS)
        elif isinstance(one, list):
            waiting += cast(list[object], one)
