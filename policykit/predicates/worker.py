"""The process that an installed predicate runs in: `python -m policykit.predicates.worker module:object`.

Messages are JSON, each after its length as four bytes, big-endian. What the predicate prints goes to standard error,
so that it cannot be taken for an answer.
"""

import json
import os
import struct
import sys
from importlib.metadata import EntryPoint
from typing import IO, Any

from policykit.predicates.contract import PredicateError, TextPredicate, checked

HEADER = struct.Struct(">I")


def read_message(stream: IO[bytes], max_bytes: int) -> dict[str, Any] | None:
    """The next message; None at the end. Raises PredicateError for one that is too long or cut off."""
    head = stream.read(HEADER.size)
    if not head:
        return None
    (size,) = HEADER.unpack(head)
    if size > max_bytes:
        raise PredicateError(f"it answered {size} bytes, more than the {max_bytes} that are read")
    body = stream.read(size)
    if len(body) < size:
        raise PredicateError("its process ended in the middle of an answer")
    return json.loads(body)


def write_message(stream: IO[bytes], message: dict[str, Any]) -> None:
    body = json.dumps(message).encode()
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def _answer(predicate: TextPredicate, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        text = asked["text"]
        return {
            "found": checked(predicate.find(text, asked["args"], asked["context"]), len(text), predicate.finds_spans)
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main(target: str) -> None:
    """Answer until standard input ends. The first message says whether the predicate finds spans, or why it cannot be
    used."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        predicate: object = EntryPoint("", target, "").load()
    except Exception as error:
        write_message(answers, {"error": f"it cannot be loaded: {type(error).__name__}: {error}"})
        return
    if not isinstance(predicate, TextPredicate):
        write_message(answers, {"error": f"`{target}` is no `policykit.predicates.TextPredicate`"})
        return
    write_message(answers, {"finds_spans": predicate.finds_spans})
    while (asked := read_message(sys.stdin.buffer, sys.maxsize)) is not None:
        write_message(answers, _answer(predicate, asked))


if __name__ == "__main__":
    main(sys.argv[1])
