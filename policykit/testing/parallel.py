"""The same work in several processes: results in the order of the work, whatever finishes first."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_Work = TypeVar("_Work")
_Result = TypeVar("_Result")


def in_order(do: Callable[[_Work], _Result], work: Sequence[_Work], jobs: int) -> Iterator[_Result]:
    """``do`` of every piece of work, in order; with one job, or one piece, in this process.

    ``do`` is a function of a module, and work and results can be pickled. What it raises is raised here.
    """
    if jobs < 2 or len(work) < 2:
        yield from map(do, work)
        return
    # A fresh interpreter each: the libraries below have threads and locks, which a fork would copy as they are.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=context) as pool:
        yield from pool.map(do, work)
