"""Threads for what takes long, or waits: for a process that compiles or judges what a request brings, for draws of a
strategy. They are never those of everybody's judgements, which would wait, too."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

from policykit.serving.limits import Turns

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
N_THREADS = 32
"""Requests whose grammars are waited for at once, in a thread each."""
N_OF_A_KEY = 2
"""How many of them may be of one key: what one key sends does not fill the queue of all."""


class Apart(Protocol):
    """Calls a function in a thread."""

    async def __call__(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T: ...


async def beside_others(function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
    """In the threads that everybody's texts are judged in."""
    return await asyncio.to_thread(function, *arguments)


async def alone(function: Callable[[], T]) -> T:
    """In a thread of its own: for what waits, in its turn, for what the others do. Many such calls would have taken all
    the threads that they wait for."""
    threads = ThreadPoolExecutor(1, "policykit-alone")
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, function)
    finally:
        threads.shutdown(wait=False)


@dataclass(frozen=True)
class Waiting:
    """The threads, and whose turn it is to have one. Not for threads: it belongs to the event loop."""

    turns: Turns = field(default_factory=lambda: Turns(N_OF_A_KEY))
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(N_THREADS, "policykit-compile"))

    def of(self, key: str) -> Apart:
        """What calls functions for a key. One that has begun is made to its end, whoever waits or not."""

        async def call(function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
            over = await self.turns.take(key)
            job = self.threads.submit(function, *arguments)
            made = asyncio.wrap_future(job)
            made.add_done_callback(lambda done: (over(), done.cancelled() or done.exception()))
            try:
                return await asyncio.shield(made)
            finally:
                job.cancel()  # where it has not begun

        return call

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)
