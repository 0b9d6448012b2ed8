"""Near misses: what the author probably meant."""

from collections.abc import Iterable

MAX_DISTANCE = 2


def _distance(a: str, b: str) -> int:
    """Damerau–Levenshtein distance with adjacent transpositions (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        two_before, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, two_before[j - 2] + 1)
            row.append(cost)
    return row[-1]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """``did you mean `x`?`` for the nearest known word within edit distance 2, else None.

    A suggestion must keep at least half of the word: `on` is not a near miss of `id`. No distance is worked out where
    the lengths say that it is larger: a word may be as long as whoever sends it likes.
    """
    lengths = range(len(word) - MAX_DISTANCE, len(word) + MAX_DISTANCE + 1)
    near = (k for k in known if len(k) in lengths)
    best = min(((_distance(word.lower(), k.lower()), k) for k in near), default=None)
    if best is None or best[0] > MAX_DISTANCE or 2 * best[0] >= max(len(word), len(best[1])):
        return None
    return f"did you mean `{best[1]}`?"
