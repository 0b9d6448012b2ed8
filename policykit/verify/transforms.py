"""Transforms as edits of the original text: merged once, applied once."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from policykit.ir.document import Block, Mask, Replace
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import TransformApplied
from policykit.verify.matching import Finding
from policykit.verify.units import Span

SEVERITIES = ("low", "medium", "high", "critical")
_PLACEHOLDER = re.compile(r"\{type\}|\{n\}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stretch of the original that a rule wants replaced.

    A match through several array strings wants its replacement in the first and nothing in the others (``erases``),
    so that the array keeps its length.
    """

    span: Span
    rule: ResolvedRule
    name: str
    order: int
    content: str
    in_json: bool
    erases: bool


def wanted_by(rule: ResolvedRule, name: str, order: int, findings: Iterable[Finding]) -> list[Wanted]:
    """One entry per piece of every finding."""
    return [
        Wanted(span, rule, name, order, finding.content, finding.in_json, erases=i > 0)
        for finding in findings
        for i, span in enumerate(finding.pieces)
    ]


def plan_edits(text: str, wanted: Iterable[Wanted]) -> tuple[TransformApplied, ...]:
    """Disjoint edits in order. Overlapping spans become their union; its replacement is that of the rule with the
    highest severity, then the earliest start, then the rule that comes first in the plan."""
    edits: list[TransformApplied] = []
    numbers: dict[str, dict[str, int]] = {}
    for span, group in _unions(wanted):
        winner = min(group, key=lambda w: (-SEVERITIES.index(w.rule.severity), w.span[0], w.erases, w.order))
        content = winner.content if winner.erases or _is_whole(winner, span) else text[slice(*span)]
        replacement = "" if winner.erases else _replacement(winner, content, numbers)
        if winner.in_json:
            replacement = json.dumps(replacement, ensure_ascii=False)[1:-1]
        edits.append(TransformApplied(winner.name, *span, replacement))
    return tuple(edits)


def apply_edits(text: str, edits: Sequence[TransformApplied]) -> str:
    """The text with every edit made, from right to left."""
    for edit in reversed(edits):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


def _unions(wanted: Iterable[Wanted]) -> list[tuple[Span, list[Wanted]]]:
    unions: list[tuple[Span, list[Wanted]]] = []
    for want in sorted(wanted, key=lambda w: w.span):
        start, end = want.span
        if unions and (start < unions[-1][0][1] or want.span == unions[-1][0]):
            (first, last), group = unions[-1]
            unions[-1] = ((first, max(last, end)), [*group, want])
        else:
            unions.append((want.span, [want]))
    return unions


def _is_whole(want: Wanted, span: Span) -> bool:
    """Whether the union is no more than the match's own first piece."""
    return want.span == span


def _replacement(want: Wanted, content: str, numbers: dict[str, dict[str, int]]) -> str:
    match want.rule.action:
        case Mask(template, label):
            seen = numbers.setdefault(label, {})
            values = {"{type}": label, "{n}": str(seen.setdefault(content, len(seen) + 1))}
            return _PLACEHOLDER.sub(lambda found: values[found[0]], template)
        case Replace(replacement):
            return replacement
        case Block():
            raise ValueError(f"`{want.rule.name}` blocks and does not transform")
        case _:
            assert_never(want.rule.action)
