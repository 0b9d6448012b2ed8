"""What a sampling leaves for training: preference pairs and accepted texts, as lines of JSON.

Every line carries the digests of the plan and of its bundle: a trainer refuses rows of another.
"""

import json
from collections.abc import Iterator

from policykit.decoding.result import Attempt, Sampled

Row = dict[str, object]
REPLACED = "\ufffd"
"""What stands for bytes that are no text."""


def preference_pairs(sampled: Sampled) -> Iterator[Row]:
    """One row per distinct failure: what was refused, and an answer to the same prompt.

    A refused text ends where it was refused. Attempts that a check or the budget broke off prove nothing, and are left
    out, as are empty texts, which no training takes, and those whose bytes are no text: what would be learned from is
    not what was written. The chosen answer is the one with the longest beginning in common,
    the first of these.
    """
    seen: set[str] = set()
    answers = [answer for answer in sampled.answers if answer.raw]
    for attempt in sampled.attempts:
        if not answers or attempt.is_accepted or attempt.is_errored or attempt.finish == "cut":
            continue
        if not attempt.text or REPLACED in attempt.text or attempt.text in seen:
            continue
        seen.add(attempt.text)
        chosen = max(answers, key=lambda answer: _n_shared(answer.raw, attempt))
        yield {
            "prompt": sampled.prompt,
            "chosen": chosen.raw,
            "rejected": attempt.text,
            "rejected_rules": list(attempt.reasons),
            "rejected_finish": attempt.finish.value,
            "strategy": sampled.strategy,
            "plan_digest": sampled.digest,
            "bundle_digest": sampled.bundle_digest,
        }


def tuning_rows(sampled: Sampled) -> Iterator[Row]:
    """One row per distinct answer that is not empty, for rejection tuning; `log_weight` is null where the strategy has
    no weights."""
    seen: set[str] = set()
    for answer in sampled.answers:
        if answer.raw and answer.raw not in seen:
            seen.add(answer.raw)
            yield {
                "prompt": sampled.prompt,
                "completion": answer.raw,
                "log_weight": answer.log_weight,
                "logp": answer.logp,
                "strategy": sampled.strategy,
                "plan_digest": sampled.digest,
                "bundle_digest": sampled.bundle_digest,
            }


def to_line(row: Row) -> str:
    """One line of JSON Lines, its end included."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n"


def _n_shared(text: str, attempt: Attempt) -> int:
    pairs = zip(text, attempt.text, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(text), len(attempt.text)))
