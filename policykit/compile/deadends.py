"""Whether every text that grammar and policies both let begin can also be finished: a sufficient condition.

What the engine is doing is a stack of items with a place inside a terminal on top. A result of a call is *robust* if
every item that waits for it can go on to a robust result of its own call, and the start's if the text may end there.
If each reachable place behind a character of a terminal leads to a state in which the item around it can go on to a
robust result, then by induction on the stack every configuration can be finished.
"""

from collections.abc import Callable

from policykit.compile.chart import Call, Chart, Item
from policykit.compile.words import Word


def accepted(chart: Chart, may_end: Callable[[int], bool]) -> list[int]:
    """The results of the start with which no policy finds anything in the whole text."""
    return [state for state in chart.start.finished if may_end(state)]


def never_traps(chart: Chart, may_end: Callable[[int], bool]) -> bool:
    """Whether the condition holds. Linear in the chart, but for terminals with several sets of good exits."""
    robust = _robust_items(chart, may_end)
    if not any(item.dot == 0 and item in robust for item in chart.start.items):
        return False
    wanted: dict[tuple[Word, frozenset[int]], None] = {}
    for item in chart.items:
        if isinstance(item.callee, Word):
            good = frozenset(result for result, to in item.onward.items() if to in robust)
            wanted[item.callee, good] = None
    return all(word.always_leaves(good) for word, good in wanted)


def _robust_items(chart: Chart, may_end: Callable[[int], bool]) -> set[Item]:
    """The greatest set of items that can each go on to a robust result."""
    robust = set(chart.items)
    choices = {item: len(item.onward) for item in chart.items}
    todo = [item for item in chart.items if item.callee is not None and not item.onward]
    for state, items in chart.start.finished.items():
        if not may_end(state):
            todo += items
    while todo:
        item = todo.pop()
        if item not in robust:
            continue
        robust.discard(item)
        for source, result in item.sources:
            choices[source] -= 1
            if not choices[source]:
                todo.append(source)
            if isinstance(source.callee, Call):
                todo += source.callee.finished[result]  # one that receives it cannot go on: it is not robust
    return robust
