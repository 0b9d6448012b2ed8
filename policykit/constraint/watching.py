"""Long loops that can be ended from outside."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
STEPS = 256


def every(items: Iterable[T], check: Callable[[], None], steps: int = STEPS) -> Iterator[T]:
    """The items; ``check`` is called before the first of each so many, and ends the loop by what it raises.

    >>> list(every("abc", lambda: print("going on"), 2))
    going on
    going on
    ['a', 'b', 'c']
    """
    for n, item in enumerate(items):
        if n % steps == 0:
            check()
        yield item
