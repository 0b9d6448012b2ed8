"""The threads in which an engine makes masks: whose mask is made at once does not wait for those whose is not."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

N_QUICK = 2
N_SLOW = 32
"""Most of what is slow waits for another process, which compiles."""


class Threads:
    """Stands for vLLM's executor of grammars, which has half as many threads as there are processors: one grammar would
    keep all other requests waiting. ``is_quick`` says of a request whether its mask is made at once."""

    def __init__(self, is_quick: Callable[[Any], bool]) -> None:
        self._is_quick = is_quick
        self._quick = ThreadPoolExecutor(N_QUICK, thread_name_prefix="policykit-mask")
        self._slow = ThreadPoolExecutor(N_SLOW, thread_name_prefix="policykit-grammar")

    def submit(self, create: Callable[[Any], Any], request: Any) -> Future[Any]:
        try:
            is_quick = self._is_quick(request)
        except Exception:  # making the mask fails, too, and that is told
            is_quick = False
        return (self._quick if is_quick else self._slow).submit(create, request)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for threads in (self._quick, self._slow):
            threads.shutdown(wait, cancel_futures=cancel_futures)
