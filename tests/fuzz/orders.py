"""The compact texts of a JSON value, its members in all orders."""

import json
from collections.abc import Iterator
from itertools import permutations
from math import factorial, prod
from typing import Any

MOST = 48


def in_every_order(value: Any) -> Iterator[str] | None:
    """The compact texts of a value, its members in all orders; None where these are more than MOST."""
    return _orders(value) if _count(value) <= MOST else None


def _count(value: Any) -> int:
    match value:
        case dict():
            return factorial(len(value)) * prod(map(_count, value.values()))
        case list():
            return prod(map(_count, value))
        case _:
            return 1


def _orders(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for items in permutations(value.items()):
                for texts in _each([item for _, item in items]):
                    named = zip((json.dumps(name, ensure_ascii=False) for name, _ in items), texts, strict=True)
                    yield "{" + ",".join(f"{name}:{text}" for name, text in named) + "}"
        case list():
            for texts in _each(value):
                yield "[" + ",".join(texts) + "]"
        case _:
            yield json.dumps(value, ensure_ascii=False)


def _each(values: list[Any]) -> Iterator[list[str]]:
    if not values:
        yield []
        return
    for first in _orders(values[0]):
        for rest in _each(values[1:]):
            yield [first, *rest]
