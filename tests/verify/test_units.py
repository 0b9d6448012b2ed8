"""Where the parts of a match in joined strings stand."""

from collections.abc import Iterator

from hypothesis import given, strategies as st

from policykit.verify.units import Unit


class Unscanned(tuple[int, ...]):
    """Seams that count how often one is looked at and are never read from end to end."""

    looks = 0

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("all seams were read")

    def __getitem__(self, key: object) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        Unscanned.looks += isinstance(key, int)
        return super().__getitem__(key)  # pyright: ignore[reportArgumentType,reportCallIssue,reportUnknownVariableType]


@given(st.sets(st.integers(0, 30)), st.integers(0, 31), st.integers(0, 31))
def test_pieces_are_the_runs_between_seams(seams: set[int], i: int, j: int) -> None:
    i, j = sorted((i, j))
    runs: list[list[int]] = [[]]
    for at in range(i, j):
        runs = [*runs, []] if at in seams else [*runs[:-1], [*runs[-1], at]]
    expected = [(run[0], run[-1] + 1) for run in runs if run] or [(i, i)]
    assert list(Unit("x" * 31, seams=tuple(sorted(seams))).pieces(i, j)) == expected


def test_a_match_does_not_look_at_every_seam() -> None:
    seams = Unscanned(range(1, 200_000, 2))
    unit = Unit("x " * 100_000, seams=seams)
    assert unit.pieces(100_000, 100_003) == ((100_000, 100_001), (100_002, 100_003))
    assert Unscanned.looks <= 2 * 18
