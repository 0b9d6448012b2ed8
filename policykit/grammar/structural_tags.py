"""The grammar of a structural tag: its mask as one Lark program, its texts read back by :mod:`tag_reading`.

Free text is a lexeme that ends where the first trigger, or the end of its tag, is complete; what follows a trigger is
one of its tags, whatever the model meant. Where a vocabulary holds a mark of the tag as one special token
(`<tool_call>`, say), the program for it has that token in the place of the text (:func:`marked_program`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from policykit.diagnostics import Place, PolicyError
from policykit.grammar.engine import json_rule, lark_program, refusal
from policykit.grammar.tag_format import tag_format
from policykit.grammar.tag_forms import (
    Const,
    Either,
    Expression,
    Format,
    Free,
    Repeated,
    Separated,
    Sequence,
    Tag,
    Triggered,
    Value,
)
from policykit.grammar.text_grammars import lark_pattern
from policykit.ir.grammar import Cfg, GrammarKind, GrammarSpec
from policykit.ir.lark import lark_string
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Level, Residue, Rows

MAX_CHARACTERS = 1_000_000


def structural_tag(source: str, place: Place) -> GrammarSpec:
    """The grammar of a structural tag, a JSON document.

    Raises:
        PolicyError: PK206, PK217 (with the path of what is not understood), and what schemas and expressions in it are
            refused for.
    """
    if len(source) > MAX_CHARACTERS:
        message = f"the grammar is {len(source):,} characters long, the limit is {MAX_CHARACTERS:,}"
        raise PolicyError.of("PK206", message, place)
    form = tag_format(source, place)
    text = _program(form, {})
    if (refused := refusal(text)) is not None:
        first = refused.strip().splitlines()[0][:200]
        raise PolicyError.of("PK206", f"the structural tag cannot be masked: {first}", place)
    rows = Later(lambda: _rows(form, place))
    return GrammarSpec(GrammarKind.STRUCTURAL_TAG, source, text, False, rows, Later.of(None), place)


def _rows(form: Format, place: Place) -> Rows:
    """Those of the values in it, each under the path that leads there."""
    rows = [Enforcement("grammar", "format", Level.DECODE, "masked", place)]
    residue: list[Residue] = []
    for value in values_of(form):
        rows += [replace(row, name=value.path + row.name) for row in value.spec.enforcements]
        residue += [replace(row, pointer=value.path + row.pointer) for row in value.spec.residue]
    return Rows(tuple(rows), tuple(residue))


def marks_in(spec: GrammarSpec, names: Iterable[str]) -> tuple[str, ...]:
    """Which of these names of special tokens stand in what a structural tag wants written: in beginnings, ends,
    triggers, separators and constant texts, not in its JSON. None where the grammar is no structural tag."""
    known = [name for name in names if name]
    if spec.kind is not GrammarKind.STRUCTURAL_TAG or not known:
        return ()
    wanted = set(_wanted(tag_format(spec.source, spec.place)))
    return tuple(name for name in known if any(name in text for text in wanted))


def marked_program(spec: GrammarSpec, marks: Mapping[str, int]) -> str:
    """The program of a structural tag for a vocabulary that holds some of its marks as special tokens, whose ids these
    are: such a token stands wherever the tag wants its name, and the name is not spelled out there."""
    return _program(tag_format(spec.source, spec.place), marks)


def _program(form: Format, marks: Mapping[str, int]) -> str:
    program = _Program(marks)
    start = program.of(form, ())
    return lark_program("\n".join([f"start: {start}", *program.rules]))


def _wanted(form: Format) -> Iterable[str]:
    """The texts that a format wants written."""
    match form:
        case Const(text):
            yield text
        case Value() | Expression() | Free():
            return
        case Sequence(items) | Either(items):
            for item in items:
                yield from _wanted(item)
        case Repeated(item, _, _):
            yield from _wanted(item)
        case Tag(begin, content, ends):
            yield from (begin, *ends)
            yield from _wanted(content)
        case Triggered(_, tags):
            for tag in tags:
                yield from _wanted(tag)
        case Separated(tags, separator, _, _):
            yield separator
            for tag in tags:
                yield from _wanted(tag)
        case _:
            assert_never(form)


def values_of(form: Format) -> Iterable[Value]:
    """The JSON contents of a format."""
    match form:
        case Value():
            yield form
        case Const() | Expression() | Free():
            return
        case Sequence(items) | Either(items):
            for item in items:
                yield from values_of(item)
        case Repeated(item, _, _) | Tag(_, item, _):
            yield from values_of(item)
        case Triggered(_, tags) | Separated(tags):
            for tag in tags:
                yield from values_of(tag)
        case _:
            assert_never(form)


@dataclass(slots=True)
class _Program:
    """Rules of the Lark dialect. Texts that a format is ended by are handed down to the free text before them.

    ``marks`` are the ids of special tokens that stand for their names. No lexeme holds a special token, so that one
    ends every free text before it.
    """

    marks: Mapping[str, int]
    rules: list[str] = field(default_factory=list[str])
    _lexemes: dict[str, str] = field(default_factory=dict[str, str])

    def rule(self, body: str, options: str = "") -> str:
        name = f"r{len(self.rules)}"
        self.rules.append(f"{name}{options}: {body}")
        return name

    def lexeme(self, pattern: str, *, ends_early: bool = False) -> str:
        """The name of a pattern; ``ends_early``: as short a text as it matches, not as long a one. Two that are as
        long as they can be are one: a text could be of either."""
        if not ends_early and pattern in self._lexemes:
            return self._lexemes[pattern]
        name = f"T{len(self.rules)}"
        self.rules.append(f"{name}: {pattern}")
        if ends_early:
            return self.rule(name, "[lazy]")
        self._lexemes[pattern] = name
        return name

    def of(self, form: Format, ends: tuple[str, ...]) -> str:
        """The body for a format and one of the ends behind it."""
        match form:
            case Const(text):
                return _joined(self.literal(text), self.one_of(ends))
            case Value(_, spec):
                return _joined(self.rule(json_rule(spec.lowered)), self.one_of(ends))
            case Expression(spec):
                return _joined(self.lexeme(_expression(spec)), self.one_of(ends))
            case Free(excludes):
                return self.free((), excludes, ends)
            case Sequence(items):
                return _joined(*(self.of(item, ()) for item in items[:-1]), self.of(items[-1], ends))
            case Either(items):
                return _joined(_either(self.of(item, ()) for item in items), self.one_of(ends))
            case Repeated(item, least, most):
                count = f"{{{least},{'' if most is None else most}}}"
                return _joined(f"({self.of(item, ())}){count}", self.one_of(ends))
            case Tag(begin, content, own):
                return _joined(self.literal(begin), self.of(content, own), self.one_of(ends))
            case Triggered():
                return self.triggered(form, ends)
            case Separated(tags, separator, at_least_one, stop_after_first):
                tag = self.rule(_either(self.of(tag, ()) for tag in tags))
                more = "" if stop_after_first else f"({_joined(self.literal(separator), tag)})*"
                several = f"({_joined(tag, more)})"
                return _joined(several if at_least_one else f"{several}?", self.one_of(ends))
            case _:
                assert_never(form)

    def pieces(self, text: str) -> list[str]:
        """A text cut before and behind every mark in it; the longest mark counts where several begin."""
        if not self.marks:
            return [text] if text else []
        names = sorted(self.marks, key=len, reverse=True)
        return [piece for piece in re.split(f"({'|'.join(map(re.escape, names))})", text) if piece]

    def literal(self, text: str) -> str:
        return " ".join(f"<[{self.marks[p]}]>" if p in self.marks else lark_string(p) for p in self.pieces(text))

    def one_of(self, texts: tuple[str, ...]) -> str:
        some = [self.literal(text) for text in texts if text]
        return "" if not some else f"({' | '.join(some)}){'' if all(texts) else '?'}"

    def cut(self, text: str) -> tuple[str, str] | None:
        """What stands before the first mark in a text, and the body from that mark on; None where there is none."""
        pieces = self.pieces(text)
        at = next((at for at, piece in enumerate(pieces) if piece in self.marks), None)
        return None if at is None else ("".join(pieces[:at]), self.literal("".join(pieces[at:])))

    def some(self, pattern: str, words: tuple[str, ...], head: str = "") -> str:
        """A pattern without these words; where it has no ``head``, or nothing at all."""
        lexeme = self.lexeme(_without(pattern, words))
        return lexeme if head else f"({lexeme})?"

    def free(self, triggers: tuple[str, ...], excludes: tuple[str, ...], ends: tuple[str, ...]) -> str:
        """Text without triggers and excluded texts, to the first of the ends; without ends, to the end of all."""
        words = (*triggers, *excludes)
        if not ends:
            return self.some("(?s:.+)", words)
        bodies: list[str] = []
        plain: list[str] = []
        for end in ends:
            match self.cut(end):
                case None:
                    plain.append(end)
                case "", rest:
                    bodies.append(_joined(self.some("(?s:.+)", (*words, *ends)), rest))
                case head, rest:
                    before = self.lexeme(f"({_without('(?s:.*)', (*words, *ends))}) /{_quoted(head)}/")
                    bodies.append(_joined(before, rest))
        if plain:
            marked = (end for end in ends if end not in plain)
            pattern = f"({_without('(?s:.*)', (*words, *marked))}) /({'|'.join(map(_quoted, plain))})/"
            bodies.append(self.lexeme(pattern, ends_early=True))
        return bodies[0] if len(bodies) == 1 else _either(bodies)

    def triggered(self, form: Triggered, ends: tuple[str, ...]) -> str:
        words = (*form.triggers, *form.excludes, *filter(None, ends))
        plain = {trigger: self.lazily(trigger, words) for trigger in form.triggers}
        first = self.rule(_either(self.of(tag, ()) for tag in form.tags)) if form.at_least_one else ""
        later = self.rule(
            _either(
                _joined(self.begun(tag.begin, trigger, plain[trigger], words), self.of(replace(tag, begin=""), ()))
                for tag in form.tags
                for trigger in form.triggers
                if tag.begin.startswith(trigger)
            )
        )
        rest = self.free(form.triggers, form.excludes, ends)
        if not form.stop_after_first:
            return _joined(first, f"{later}*", rest)
        if form.at_least_one:
            return _joined(first, self.one_of(ends))
        return f"({_joined(later, self.one_of(ends))} | {rest})"

    def lazily(self, trigger: str, words: tuple[str, ...]) -> str:
        """Text without these words that reaches a trigger which is spelled out."""
        others = tuple(word for word in words if word != trigger)
        return self.lexeme(_without(f"(?s:.*){_quoted(trigger)}", others), ends_early=True)

    def begun(self, begin: str, trigger: str, plain: str, words: tuple[str, ...]) -> str:
        """Text without these words, and the beginning of a tag behind it, of which a mark may write the trigger."""
        head, rest = self.cut(begin) or (begin, "")
        if len(head) >= len(trigger):
            return _joined(plain, self.literal(begin.removeprefix(trigger)))
        return _joined(self.some(f"(?s:.*){_quoted(head)}" if head else "(?s:.+)", words, head), rest)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part) or '""'


def _either(bodies: Iterable[str]) -> str:
    return "(" + " | ".join(dict.fromkeys(bodies)) + ")"


def _quoted(text: str) -> str:
    """A text as an expression that matches it alone."""
    return "".join(c if c.isalnum() and c.isascii() else f"\\x{{{ord(c):x}}}" for c in text)


def _without(pattern: str, words: tuple[str, ...]) -> str:
    """A lexeme of a pattern in whose texts none of the words stands."""
    found = "|".join(map(_quoted, words))
    return f"/{pattern}/" + (f" & ~/(?s:.*)({found})(?s:.*)/" if words else "")


def _expression(spec: GrammarSpec) -> str:
    """The lexeme of a regular expression's grammar."""
    assert isinstance(spec.shape, Cfg)
    return lark_pattern(spec.shape.terminals[0].regex)
