"""Values that are made when they are first asked for: what a mask does not need waits until somebody reads it."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Later(Generic[T_co]):
    """What a function returns, called once, when the value is asked for. Compared, hashed and pickled as the value.

    The function depends on nothing that changes, and what can be wrong was found before: it raises nothing. Threads
    that ask at the same time may each call it, and get equal values.

    >>> told = Later(lambda: "made")
    >>> told(), told == Later.of("made")
    ('made', True)
    """

    __slots__ = ("_make", "_value")

    def __init__(self, make: Callable[[], T_co]) -> None:
        self._make: Callable[[], T_co] | None = make
        self._value: T_co | None = None

    @staticmethod
    def of(value: T) -> "Later[T]":
        """A value that is there already."""
        found = Later(lambda: value)
        found()
        return found

    def __call__(self) -> T_co:
        make = self._make
        if make is not None:
            self._value = make()
            self._make = None  # what the value was made from is let go
        return cast(T_co, self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Later) and self() == cast("Later[object]", other)()

    def __hash__(self) -> int:
        return hash(self())

    def __reduce__(self) -> tuple[Any, ...]:
        return Later.of, (self(),)

    def __repr__(self) -> str:
        return f"Later.of({self()!r})"
