"""The ids that citations may have: a fact of the request, which is there and a list of texts, or an error."""

from collections.abc import Mapping, Sequence
from typing import cast


class UnknownSources(Exception):
    """The request does not say what may be cited."""


def listed(facts: Mapping[str, object], name: str) -> frozenset[str]:
    """The texts of the fact that ``name`` (names joined by dots) leads to. Raises UnknownSources."""
    at: object = facts
    read: list[str] = []
    for part in name.split("."):
        read.append(part)
        if not isinstance(at, Mapping) or part not in at:
            raise UnknownSources(f"the fact `{'.'.join(read)}` is not known")
        at = at[part]
    if isinstance(at, str) or not isinstance(at, Sequence):
        raise UnknownSources(f"the fact `{name}` is no list")
    ids = cast(Sequence[object], at)
    texts = frozenset(one for one in ids if isinstance(one, str))
    if not all(isinstance(one, str) for one in ids):
        raise UnknownSources(f"the fact `{name}` lists what is no text")
    return texts
