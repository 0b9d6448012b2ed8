"""Installed predicates, each in a process of its own that can be ended: also one that hangs in a regular expression,
which holds the interpreter lock, and one that crashes the interpreter."""

import atexit
import os
import subprocess
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, TypeAlias

from policykit.predicates import child
from policykit.predicates.contract import PredicateError, Spans, checked
from policykit.predicates.worker import read_message, write_message
from policykit.predicates.workers import TookTooLong, Workers

START_S = 20.0
"""For the process to start and to import the predicate; once, and after each time that it had to be ended."""
MAX_ANSWER = 1 << 24
_Message: TypeAlias = dict[str, Any]


class PredicateProcess:
    """One process for one predicate, started with the first question; threads take turns."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._turn = Lock()
        self._workers = Workers()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()
        self._finds_spans = False
        atexit.register(self.end)

    def find(self, text: str, args: Mapping[str, Any], context: Mapping[str, str], deadline_s: float) -> bool | Spans:
        """What the predicate finds. Raises PredicateError."""
        give_up = time.monotonic() + deadline_s
        if not self._turn.acquire(timeout=deadline_s):
            raise PredicateError(f"no answer within {deadline_s:g} s: other texts come first")
        try:
            process = self._started()
            left_s = max(give_up - time.monotonic(), deadline_s / 2)  # starting is not the predicate's time
            answer = self._exchange(process, {"text": text, "args": args, "context": context}, left_s)
        finally:
            self._turn.release()
        if "error" in answer:
            raise PredicateError(str(answer["error"]))
        return checked(answer.get("found"), len(text), self._finds_spans)

    @property
    def finds_spans(self) -> bool:
        """Whether it answers with spans. Raises PredicateError where the predicate cannot be loaded."""
        with self._turn:
            self._started()
            return self._finds_spans

    def end(self) -> None:
        """End the process; the next question starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            child.end(process)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._pid != os.getpid():  # forked: the process is the parent's
            self._process, self._pid = None, os.getpid()
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        self._process = process = child.start("policykit.predicates.worker", self._target)
        hello = self._exchange(process, None, START_S)
        if "error" in hello:
            self.end()
            raise PredicateError(str(hello["error"]))
        self._finds_spans = hello["finds_spans"] is True
        return process

    def _exchange(
        self, process: subprocess.Popen[bytes], message: dict[str, Any] | None, limit_s: float
    ) -> dict[str, Any]:
        """The process's next answer. A process that is late or broken is ended."""

        def talk() -> _Message | None:
            assert process.stdin is not None, "a pipe was asked for"
            assert process.stdout is not None, "a pipe was asked for"
            if message is not None:
                write_message(process.stdin, message)
            return read_message(process.stdout, MAX_ANSWER)

        try:
            answer = self._workers.run(talk, limit_s)
        except TookTooLong as error:
            self.end()
            raise PredicateError(str(error)) from None
        except (OSError, ValueError, PredicateError) as error:
            self.end()
            raise PredicateError(f"its process is broken: {error}") from None
        if answer is None:
            self.end()
            raise PredicateError("its process ended")
        return answer
