"""Transforms as edits of the original text: merged once, applied once.

The order is fixed, whatever the order of the rules: JSON fields are redacted; what matchers found is replaced, where
it is not gone with a field; the result is cut to its length; texts are appended and prepended. A transform that has
nothing left to change is satisfied: its rule does not fire, so that judging the result changes nothing more.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import assert_never

from policykit.automata.columns import inside
from policykit.compile.resolve import leaves
from policykit.diagnostics import PolicyError
from policykit.entities import labels_of
from policykit.ir.document import (
    Action,
    Append,
    Entities,
    Hash,
    Mask,
    Mode,
    Prepend,
    Redact,
    Replace,
    SpanTransform,
    Truncate,
    WholeTransform,
)
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import TransformApplied
from policykit.text.json_prefix import begins_like_json
from policykit.verify.around import around, cut, gap, is_too_long
from policykit.verify.findings import Finding, Findings
from policykit.verify.hashes import hash_marks, hashed
from policykit.verify.json_fields import redactions
from policykit.verify.matching import Outcome
from policykit.verify.resources import NONE, Resources
from policykit.verify.subject import BROKEN_JSON, Ambiguous
from policykit.verify.units import Readings, Span, parses_as_json

SEVERITIES = ("low", "medium", "high", "critical")
_PLACEHOLDER = re.compile(r"\{type\}|\{n\}")


class TransformFailed(Exception):
    """A rule's transform could not be carried out. Nothing may be released then."""

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stretch of the original that a rule wants replaced.

    A match through several array strings wants its replacement in the first and nothing in the others (``erases``),
    so that the array keeps its length. A JSON number becomes a string. ``label`` is what `{type}` says.
    """

    span: Span
    rule: ResolvedRule
    action: SpanTransform
    name: str
    order: int
    content: str
    in_json: bool
    erases: bool
    is_number: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class WantedWhole:
    """A change of the output as a whole that a rule wants."""

    rule: ResolvedRule
    action: WholeTransform
    name: str
    order: int


def wanted_by(
    rule: ResolvedRule, action: SpanTransform, name: str, order: int, findings: Iterable[Finding]
) -> list[Wanted]:
    """One entry per piece of every finding."""
    return [
        Wanted(
            span,
            rule,
            action,
            name,
            order,
            finding.content,
            finding.in_json,
            i > 0,
            finding.is_number,
            _label(action, finding),
        )
        for finding in findings
        for i, span in enumerate(finding.pieces)
    ]


def _hashes(rule: ResolvedRule) -> Iterator[Hash]:
    """A rule's hash, once per label that it can write."""
    if isinstance(rule.action, Hash):
        yield rule.action
        own = rule.action.own_label
        for leaf in () if own else leaves(rule.matcher):
            for label in labels_of(leaf) if isinstance(leaf, Entities) else ():
                yield replace(rule.action, label=label)


def _precedence(want: Wanted) -> tuple[int, int, bool, int, int]:
    start, end = want.span
    return -SEVERITIES.index(want.rule.severity), start, want.erases, want.order, start - end


def _label(action: SpanTransform, finding: Finding) -> str:
    """What a mask calls a finding: an entity by its own name, unless the author says otherwise."""
    if isinstance(action, Replace):
        return ""
    return action.label if action.own_label or finding.label is None else finding.label


def apply_edits(text: str, edits: Sequence[TransformApplied]) -> str:
    """The text with every edit made."""
    out: list[str] = []
    at = 0
    for edit in edits:
        out += [text[at : edit.start], edit.replacement]
        at = edit.end
    return "".join([*out, text[at:]])


class Transforms:
    """The transforms of one plan. ``resources`` has the keys and vaults that they name."""

    def __init__(self, rules: Sequence[ResolvedRule], resources: Resources = NONE) -> None:
        enforced = [rule.action for rule in rules if rule.mode is Mode.ENFORCE]
        self._resources = resources
        self._around = around(
            [action.text for action in enforced if isinstance(action, Prepend)],
            [action.text for action in enforced if isinstance(action, Append)],
        )
        self._hashes = dict.fromkeys(hash for rule in rules if rule.mode is Mode.ENFORCE for hash in _hashes(rule))
        self._vaults = dict.fromkeys(a.vault for a in enforced if isinstance(a, Mask) and a.vault)

    def unmet(self, action: Action, outcome: Outcome, readings: Readings) -> Outcome:
        """What is left of a rule's outcome: a match inside a mark that this plan has made is no match, and a rule on
        the whole output does not fire where the output is as the rule wants it.

        Raises ValueError where the transform fires on a text that it cannot change, Ambiguous where that text may
        be JSON with the fields that it redacts, and PolicyError where a vault cannot be asked.
        """
        if not outcome.fired:
            return outcome
        match action:
            case Mask() | Replace() | Hash():
                return self._unmarked(outcome, readings.text)
            case Redact():
                if not _is_json(readings.text):
                    if begins_like_json(readings.text):
                        raise Ambiguous(BROKEN_JSON)
                    return Outcome(None, why="redacts JSON fields, and the text is not JSON")
                return outcome if redactions(readings.text, [action]) else Outcome(False)
            case Append() | Prepend() | Truncate():
                if not self._would_change(action, readings.text):
                    return Outcome(False)
                if _is_json(readings.text):
                    raise ValueError("text around JSON, or JSON that is cut, would be JSON no more")
                return outcome
            case _:
                return outcome

    def plan(
        self, text: str, wanted: Iterable[Wanted], whole: Iterable[WantedWhole] = ()
    ) -> tuple[TransformApplied, ...]:
        """Disjoint edits in order. Raises TransformFailed."""
        ordered = sorted(whole, key=lambda w: (-SEVERITIES.index(w.rule.severity), w.order))
        fields = _redacted(text, ordered)
        replaced = self._replaced(text, _outside(wanted, fields, text))
        left = [edit for edit in fields if not any(_overlapping(replaced, edit.start, edit.end))]
        edits = sorted([*left, *replaced], key=lambda edit: (edit.start, edit.end))
        in_order = sorted(ordered, key=lambda w: w.order)
        for want in in_order:
            if isinstance(want.action, Truncate):
                edits = self._truncated(text, edits, want.name, want.action)
        edits = self._put_around(text, edits, in_order)
        if edits and _is_json(text) and not _is_json(apply_edits(text, edits)):
            raise TransformFailed(edits[0].rule, "the transformed text is JSON no more")
        return tuple(edits)

    # -- what is satisfied already -------------------------------------------------------------------------------

    def _unmarked(self, outcome: Outcome, text: str) -> Outcome:
        if not outcome.findings or not (self._hashes or self._vaults):
            return outcome
        marks = list(self._marks(text))
        left = Findings(part.only(~inside(marks, part.starts, part.ends)) for part in outcome.findings.parts)
        return replace(outcome, fired=bool(left), findings=left)

    def _marks(self, text: str) -> Iterator[Span]:
        """The stretches that hashes and vaults of this plan have made; what is not configured has made none."""
        for action in self._hashes:
            if self._resources.preview or action.key in self._resources.keys:
                yield from hash_marks(action, self._resources.key(action.key), text)
        for name in self._vaults:
            if name in self._resources.vaults and self._resources.tenant:
                vault, tenant = self._resources.vault(name)
                yield from vault.marks(text, tenant)

    def _would_change(self, action: Append | Prepend | Truncate, text: str) -> bool:
        match action:
            case Append(part):
                return not self._around.ends_with(text, part)
            case Prepend(part):
                return not self._around.starts_with(text, part)
            case Truncate():
                return is_too_long(text[slice(*self._around.body(text))], action)
            case _:
                assert_never(action)

    # -- replacing -----------------------------------------------------------------------------------------------

    def _replaced(self, text: str, wanted: Iterable[Wanted]) -> list[TransformApplied]:
        return self.replaced(text, 0, wanted, {})

    def replaced(
        self, text: str, at: int, wanted: Iterable[Wanted], numbers: dict[str, dict[str, int]]
    ) -> list[TransformApplied]:
        """Overlapping spans become their union; its replacement is that of the rule with the highest severity, then
        the earliest start, then the rule that comes first in the plan, then of its longest find.

        ``text`` stands at ``at`` of the original; ``numbers`` of values by label grow. Raises TransformFailed.
        """
        edits: list[TransformApplied] = []
        for span, group in _unions(wanted):
            winner = min(group, key=_precedence)
            whole = winner.erases or winner.span == span
            content = winner.content if whole else _content(text[span[0] - at : span[1] - at], winner.in_json)
            new = "" if winner.erases else self._replacement(winner, content, text, numbers)
            if winner.in_json:
                new = json.dumps(new, ensure_ascii=False)
                new = new if winner.is_number else new[1:-1]
            edits.append(TransformApplied(winner.name, *span, new))
        return edits

    def _replacement(self, want: Wanted, content: str, text: str, numbers: dict[str, dict[str, int]]) -> str:
        try:
            match want.action:
                case Mask(template, _, vault_name) if vault_name and not self._resources.preview:
                    vault, tenant = self._resources.vault(vault_name)
                    return vault.tokenise(tenant, want.label, content, template=template, avoid=text)
                case Mask(template):
                    seen = numbers.setdefault(want.label, {})
                    values = {"{type}": want.label, "{n}": str(seen.setdefault(content, len(seen) + 1))}
                    return _PLACEHOLDER.sub(lambda found: values[found[0]], template)
                case Replace(replacement):
                    return replacement
                case Hash(key):
                    return hashed(replace(want.action, label=want.label), self._resources.key(key), content)
                case _:
                    assert_never(want.action)
        except PolicyError as error:
            raise TransformFailed(want.name, "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics)) from error

    # -- the output as a whole -----------------------------------------------------------------------------------

    def _truncated(
        self, text: str, edits: list[TransformApplied], name: str, action: Truncate
    ) -> list[TransformApplied]:
        start, end = self._around.body(text)
        if any(edit.start < start or edit.end > end for edit in edits):
            start, end = 0, len(text)  # what was put around it is about to change, and is text like any other
        body = _Edited.of(text, start, end, edits)
        if not is_too_long(body.text, action):
            return edits
        at = cut(body.text, action, body.fixed)
        kept = edits[: sum(stop <= at for _, stop in body.fixed)]
        return [*kept, TransformApplied(name, body.original(at), end, action.mark)]

    def _put_around(
        self, text: str, edits: list[TransformApplied], whole: Sequence[WantedWhole]
    ) -> list[TransformApplied]:
        out, now = list(edits), apply_edits(text, edits)
        for want in whole:
            if isinstance(want.action, Append) and not self._around.ends_with(now, want.action.text):
                new = gap(now, want.action.text) + want.action.text
                out.append(TransformApplied(want.name, len(text), len(text), new))
                now += new
        for want in reversed(whole):
            if isinstance(want.action, Prepend) and not self._around.starts_with(now, want.action.text):
                new = want.action.text + gap(want.action.text, now)
                out.insert(0, TransformApplied(want.name, 0, 0, new))
                now = new + now
        return out


@dataclass(frozen=True, slots=True)
class _Edited:
    """A part of the original with its edits made, and the way back. ``fixed`` are the replaced stretches of ``text``;
    ``pieces`` are (start in ``text``, start in the original) of what was kept."""

    text: str
    fixed: tuple[Span, ...]
    pieces: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str, start: int, end: int, edits: Iterable[TransformApplied]) -> "_Edited":
        out: list[str] = []
        at, length = start, 0
        fixed: list[Span] = []
        pieces: list[tuple[int, int]] = []
        for edit in edits:
            pieces.append((length, at))
            out += [text[at : edit.start], edit.replacement]
            length += edit.start - at
            fixed.append((length, length + len(edit.replacement)))
            length += len(edit.replacement)
            at = edit.end
        return cls("".join([*out, text[at:end]]), tuple(fixed), (*pieces, (length, at)))

    def original(self, at: int) -> int:
        """Where in the original ``at`` is, which is not inside a replaced stretch."""
        here, there = max((piece for piece in self.pieces if piece[0] <= at), default=self.pieces[0])
        return there + at - here


def _redacted(text: str, whole: Sequence[WantedWhole]) -> list[TransformApplied]:
    wants = [(want.name, want.action) for want in whole if isinstance(want.action, Redact)]
    if not wants or not _is_json(text):
        return []
    return [
        TransformApplied(wants[edit.owner][0], *edit.span, edit.replacement)
        for edit in redactions(text, [action for _, action in wants])
    ]


def _outside(wanted: Iterable[Wanted], fields: Sequence[TransformApplied], text: str) -> Iterator[Wanted]:
    """What is wanted outside redacted fields. A stretch that begins or ends in one is left with the rest of it."""
    for want in wanted:
        start, end = want.span
        for edit in _overlapping(fields, start, end):
            if (start, end) == (edit.start, edit.end) or not (start <= edit.start and edit.end <= end):
                start, end = (edit.end, end) if edit.start <= start else (start, edit.start)
        if (start, end) == want.span:
            yield want
        elif start < end:
            yield replace(want, span=(start, end), content=_content(text[start:end], want.in_json))


def _overlapping(edits: Sequence[TransformApplied], start: int, end: int) -> Iterator[TransformApplied]:
    """Those of some edits, disjoint and in order, that share characters with a stretch."""
    for edit in islice(edits, bisect_right(edits, start, key=lambda edit: edit.end), None):
        if edit.start >= end:
            return
        yield edit


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


def _content(written: str, in_json: bool) -> str:
    """What a stretch of the original says; inside a JSON string, with its escapes decoded as far as they are valid."""
    if in_json and "\\" in written:
        try:
            return str(json.loads(f'"{written}"', strict=False))
        except ValueError:
            return written
    return written


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or array. A lone number or word in quotes is taken for prose."""
    return text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") and parses_as_json(text)
