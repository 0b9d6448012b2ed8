"""The ids that citations may have: a fact of the request, which is there and a list of ids, or an error."""

from collections.abc import Mapping, Sequence
from typing import cast


class UnknownSources(Exception):
    """The request does not say what may be cited."""


def listed(facts: Mapping[str, object], name: str) -> frozenset[str]:
    """The ids in the fact that ``name`` (names joined by dots) leads to: texts, or the text `id` of each document.

    Raises UnknownSources.
    """
    at: object = facts
    names = name.split(".")
    for n, part in enumerate(names, 1):
        known = _members(at)
        if part not in known:
            raise UnknownSources(f"the fact `{'.'.join(names[:n])}` is not known")
        at = known[part]
    if isinstance(at, str) or not isinstance(at, Sequence):
        raise UnknownSources(f"the fact `{name}` is no list")
    ids = cast(Sequence[object], at)
    texts = [one if isinstance(one, str) else _members(one).get("id") for one in ids]
    if not all(isinstance(text, str) for text in texts):
        raise UnknownSources(f"the fact `{name}` lists what is no text and has no text `id`")
    return frozenset(text for text in texts if isinstance(text, str))


def _members(fact: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], fact) if isinstance(fact, Mapping) else {}
