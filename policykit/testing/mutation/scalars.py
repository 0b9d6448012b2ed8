"""Other values of a scalar: those that a test could tell from it."""

from collections.abc import Iterator
from datetime import date, timedelta

from policykit.policy.nodes import Scalar
from policykit.policy.shapes import Choice, Day, Flag, Integer, Number, Shape, Text, TextKind
from policykit.testing.mutation.conditions import changed_conditions
from policykit.testing.mutation.regexes import changed_regexes

_WORDS = frozenset({"mode", "encoding", "join", "distinctBy", "unit", "context", "per"})
_MARK = "~"


def other_scalars(node: Scalar, shape: Shape, name: str) -> Iterator[tuple[str, str, bool]]:
    """What was done, the other value, and whether it is written plain."""
    match shape:
        case Flag():
            other = "false" if node.text.lower() == "true" else "true"
            yield f"`{name}: {other}`", other, True
        case Integer() if node.text.isdigit():
            for number in (int(node.text) + 1, int(node.text) - 1):
                yield f"{number} in place of {node.text} for `{name}`", str(number), True
        case Number():
            for factor in (1.1, 0.9):
                number = f"{float(node.text) * factor:g}"
                yield f"{number} in place of {node.text} for `{name}`", number, True
        case Day():
            for days, what in ((1, "later"), (-1, "earlier")):
                day = _shifted(node.text, days)
                if day:
                    yield f"`{name}` one day {what}", day, True
        case Choice(values) if name in _WORDS:
            for value in values:
                if value != node.text:
                    yield f"`{value}` in place of `{node.text}` for `{name}`", value, True
        case Text(TextKind.REGEX):
            for what, text in changed_regexes(node.text):
                yield what, text, False
        case Text(TextKind.CONDITION):
            for what, text in changed_conditions(node.text):
                yield what, text, False
        case Text() if name in ("with", "append", "prepend"):
            yield f"another text for `{name}`", node.text + _MARK, False
        case _:
            pass


def _shifted(day: str, days: int) -> str | None:
    try:
        return str(date.fromisoformat(day) + timedelta(days=days))
    except (ValueError, OverflowError):
        return None
