"""What a stream watches for under given facts: which rules take part, by which patterns, and what each match does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from policykit.automata import PhraseAutomaton, RegexAutomaton, compile_automata
from policykit.compile.facts import checked, schema_of
from policykit.compile.resolve import combines, leaves
from policykit.compile.waits import is_plain, waits_for_json
from policykit.entities import labels_of
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Block,
    Entities,
    Expression,
    Join,
    Leaf,
    Mask,
    Matcher,
    Mode,
    Not,
    Rego,
    Replace,
    Searched,
    Within,
)
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import CheckError, ExceptionApplied, NotApplicable
from policykit.streaming.bunch import Part
from policykit.streaming.entities import Confirms, Piece, entity_pieces
from policykit.streaming.expressions import TaggedExpression
from policykit.streaming.joint import Joint
from policykit.streaming.phrases import TaggedPhrases
from policykit.text import View, view
from policykit.verify import Subject
from policykit.verify.decisions import Questions
from policykit.verify.gates import Excused, Fires, Rests, Undecided, applies, is_about
from policykit.verify.judgement import RuleCheck
from policykit.verify.matching import leaf_names

NOT_OBSERVED = "in shadow, and judged on whole texts only"


class Role(StrEnum):
    """What a match does."""

    BLOCK = "block"
    TRANSFORM = "transform"
    COMBINE = "combine"  # blocks together with other matches, and may be part of that until the end
    ERROR = "error"  # the rule's condition cannot be decided
    OBSERVE = "observe"  # is counted, and changes nothing


@dataclass(frozen=True, slots=True)
class Slot:
    """Whom the matches of a part belong to. ``names`` are its patterns as written; ``first`` is the number of the
    part's first pattern among them. Parts with one ``selection`` compete: their matches may not overlap, or where
    they are entities, not contain each other. ``confirms`` looks at what only may be a match."""

    check: RuleCheck
    leaf: int
    view: View
    names: tuple[str, ...]
    first: int
    in_json: bool
    role: Role
    selection: int
    label: str | None = None
    confirms: Confirms | None = None

    @property
    def is_entity(self) -> bool:
        return self.label is not None


@dataclass(frozen=True, slots=True)
class Watch:
    """The patterns of one reading of the text, in one automaton. ``looked_at`` are views on which the text around a
    match decides whether it is one."""

    within: Within
    join: Join
    joint: Joint
    slots: tuple[Slot, ...]

    @property
    def looked_at(self) -> tuple[View, ...]:
        return tuple({slot.view.name: slot.view for slot in self.slots if slot.confirms}.values())


@dataclass(slots=True)
class Program:
    """``watches`` decide what is released, ``observed`` do not. ``blocked`` are rules that fire whatever the text
    is. ``json_waits`` are rules that apply to JSON otherwise; ``undecided`` says why a condition has no answer."""

    watches: tuple[Watch, ...] = ()
    observed: tuple[Watch, ...] = ()
    blocked: list[RuleCheck] = field(default_factory=list[RuleCheck])
    errors: list[CheckError] = field(default_factory=list[CheckError])
    not_applicable: list[NotApplicable] = field(default_factory=list[NotApplicable])
    exceptions: dict[int, ExceptionApplied] = field(default_factory=dict[int, ExceptionApplied])
    undecided: dict[int, str] = field(default_factory=dict[int, str])
    taking_part: list[RuleCheck] = field(default_factory=list[RuleCheck])
    json_waits: list[RuleCheck] = field(default_factory=list[RuleCheck])
    transforms: bool = False


class Unsupported(Exception):
    """A matcher that is not found piece by piece."""


class Parts:
    """The patterns of leaves on views, compiled once for the rules of one plan."""

    def __init__(self) -> None:
        self._known: dict[tuple[Leaf, str], tuple[Piece, ...]] = {}
        self._joints: dict[tuple[tuple[int, ...], frozenset[int]], Joint] = {}
        self._watches: dict[tuple[tuple[int, Role], ...], tuple[Watch, ...]] = {}

    def of(self, leaf: Leaf, on: View) -> tuple[Piece, ...]:
        """The parts of a leaf on a view. Raises Unsupported."""
        found = self._known.get((leaf, on.name))
        if found is None:
            found = entity_pieces(leaf, on) if isinstance(leaf, Entities) else _pieces(leaf, on)
            self._known[leaf, on.name] = found
        return found

    def joint(self, parts: Sequence[Part], transforms: frozenset[int]) -> Joint:
        """The product of parts, the same object for the same parts."""
        key = (tuple(id(part) for part in parts), transforms)
        found = self._joints.get(key)
        if found is None:
            if len(self._joints) >= _MAX_JOINTS:
                self._joints.clear()
            found = self._joints[key] = Joint(parts, (frozenset(range(len(parts))), transforms))
        return found

    def watches(self, watching: Sequence[tuple[RuleCheck, Role]], is_json: bool) -> tuple[Watch, ...]:
        """What is watched for where these rules of one plan have these roles. Raises Unsupported."""
        key = tuple((check.order, role) for check, role in watching)
        found = self._watches.get(key)
        if found is None:
            if len(self._watches) >= _MAX_JOINTS:
                self._watches.clear()
            found = self._watches[key] = _watches(watching, self, is_json)
        return found


_MAX_JOINTS = 16


def _pieces(leaf: Searched, on: View) -> tuple[Piece, ...]:
    return tuple(Piece(_part(automaton), i) for i, automaton in enumerate(compile_automata(leaf, on)))


def _part(automaton: object) -> Part:
    if isinstance(automaton, PhraseAutomaton):
        return TaggedPhrases(automaton.trie)
    if isinstance(automaton, RegexAutomaton):
        return TaggedExpression(automaton.nfa)
    raise Unsupported


def program_of(checks: Sequence[RuleCheck], parts: Parts, subject: Subject, is_json: bool) -> Program:
    """What a stream of a subject watches for, where no rule waits for the end. Raises Unsupported."""
    program = Program()
    watching: list[tuple[RuleCheck, Role]] = []
    for check in checks:
        if not is_about(check.rule, subject.target):
            continue
        if waits_for_json(check.rule, is_json) or _reads_json(check.rule):
            program.json_waits.append(check)
        why_not = applies(check.rule, subject)
        if why_not:
            program.not_applicable.append(NotApplicable(check.name, why_not))
        elif role := _role(check, subject, program):
            watching.append((check, role))
            program.taking_part.append(check)
    program.transforms = any(role is Role.TRANSFORM for _, role in watching)
    program.watches = parts.watches([w for w in watching if w[1] is not Role.OBSERVE], is_json)
    program.observed = parts.watches([w for w in watching if w[1] is Role.OBSERVE], is_json)
    return program


def _reads_json(rule: ResolvedRule) -> bool:
    if rule.mode is not Mode.ENFORCE:
        return False
    schema = schema_of(rule.facts_schema, rule.document_place or rule.place)
    conditions = [when for when in (rule.when, *(e.when for e in rule.exceptions)) if isinstance(when, Expression)]
    return any("json" in checked(when, schema).reads for when in conditions)


def _role(check: RuleCheck, subject: Subject, program: Program) -> Role | None:
    """What the rule's matches do under the subject's facts; None where they are not looked for."""
    rule = check.rule
    is_shadow = rule.mode is Mode.SHADOW
    if is_shadow and not _is_observable(rule):
        program.not_applicable.append(NotApplicable(check.name, NOT_OBSERVED))
        return None
    passage = check.gate.passage(subject, 0, Questions(None, {}))
    match passage:
        case Rests():
            return None
        case Undecided(why):
            if rule.matcher is None:
                program.errors.append(CheckError(check.name, why))
                return None
            program.undecided[check.order] = why
            return Role.OBSERVE if is_shadow else Role.ERROR
        case Excused(exception):
            if is_shadow:
                return None
            if rule.matcher is not None and not is_plain(rule.matcher):
                raise Unsupported
            program.exceptions[check.order] = exception
            return Role.OBSERVE if rule.matcher is not None else None
        case Fires():
            pass
        case _:
            assert_never(passage)
    if is_shadow:
        return Role.OBSERVE
    if rule.matcher is None:
        program.blocked.append(check)
        return None
    if isinstance(rule.action, Mask | Replace):
        return Role.TRANSFORM
    return Role.COMBINE if combines(rule.matcher) else Role.BLOCK


def _is_observable(rule: ResolvedRule) -> bool:
    """Whether what the rule finds can be told while the text arrives. Its condition asks nobody."""
    asks = [when for when in (rule.when, *(e.when for e in rule.exceptions)) if isinstance(when, Rego)]
    alone = rule.matcher is not None and is_plain(rule.matcher) and not asks
    return alone and isinstance(rule.action, Block | Mask | Replace) and rule.approvals is None and rule.admits is None


def _watches(watching: Sequence[tuple[RuleCheck, Role]], parts: Parts, is_json: bool) -> tuple[Watch, ...]:
    made: dict[tuple[Within, Join], tuple[list[Part], list[Slot]]] = {}
    selection = 0
    for check, role in watching:
        for number, leaf in enumerate(leaves(check.rule.matcher)):
            within, join = leaf.reading.within, leaf.reading.join
            if within is Within.AUTO:
                within = Within.JSON_STRINGS if is_json else Within.TEXT
            in_json = within.is_json
            if leaf.reading.unescape or (isinstance(leaf, Entities) and in_json):
                raise Unsupported
            if in_json and not is_json:
                continue  # the text is no JSON, or the stream waits
            own_parts, slots = made.setdefault((within, join if in_json else Join.NONE), ([], []))
            for on in map(view, leaf.reading.views):
                selection += 1
                labels = labels_of(leaf) if isinstance(leaf, Entities) else None
                for piece in parts.of(leaf, on):
                    own_parts.append(piece.part)
                    slots.append(
                        Slot(
                            check,
                            number,
                            on,
                            leaf_names(leaf),
                            piece.first,
                            in_json,
                            role,
                            selection,
                            labels[piece.first] if labels else None,
                            piece.confirms,
                        )
                    )
    return tuple(
        Watch(
            within,
            join,
            parts.joint(own, frozenset(i for i, s in enumerate(slots) if s.role is Role.TRANSFORM)),
            tuple(slots),
        )
        for (within, join), (own, slots) in made.items()
    )


def holds(matcher: Matcher, found: Callable[[int], bool | None]) -> bool | None:
    """The matcher's truth from that of its leaves, in Kleene's strong logic; leaves are numbered in order."""
    counter = iter(range(len(leaves(matcher))))

    def value(node: Matcher) -> bool | None:
        match node:
            case AnyOf(items):
                values = [value(item) for item in items]
                return True if True in values else None if None in values else False
            case AllOf(items):
                values = [value(item) for item in items]
                return False if False in values else None if None in values else True
            case Not(item):
                inner = value(item)
                return None if inner is None else not inner
            case _:
                return found(next(counter))

    return value(matcher)


def without_text(subject: Subject) -> Subject:
    """The subject before its text arrives."""
    return replace(subject, text="")
