"""The grammar of a structural tag: its mask as one Lark program, its texts read back by :mod:`tag_reading`.

Free text is a lexeme that ends where the first trigger, or the end of its tag, is complete; what follows a trigger is
one of its tags, whatever the model meant.
"""

from collections.abc import Iterable
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
from policykit.ir.plan import Enforcement, Level, Residue

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
    program = _Program()
    start = program.of(form, ())
    program.rules.insert(0, f"start: {start}")
    text = lark_program("\n".join(program.rules))
    if (refused := refusal(text)) is not None:
        first = refused.strip().splitlines()[0][:200]
        raise PolicyError.of("PK206", f"the structural tag cannot be masked: {first}", place)
    rows = [Enforcement("grammar", "format", Level.DECODE, "masked", place)]
    residue: list[Residue] = []
    for value in values_of(form):
        rows += [replace(row, name=value.path + row.name) for row in value.spec.enforcements]
        residue += [replace(row, pointer=value.path + row.pointer) for row in value.spec.residue]
    return GrammarSpec(GrammarKind.STRUCTURAL_TAG, source, text, False, tuple(rows), tuple(residue), None, place)


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
    """Rules of the Lark dialect. Texts that a format is ended by are handed down to the free text before them."""

    rules: list[str] = field(default_factory=list[str])

    def rule(self, body: str, options: str = "") -> str:
        name = f"r{len(self.rules)}"
        self.rules.append(f"{name}{options}: {body}")
        return name

    def lexeme(self, pattern: str, *, ends_early: bool = False) -> str:
        """The name of a pattern; ``ends_early``: as short a text as it matches, not as long a one."""
        name = f"T{len(self.rules)}"
        self.rules.append(f"{name}: {pattern}")
        if ends_early:
            return self.rule(name, "[lazy]")
        return name

    def of(self, form: Format, ends: tuple[str, ...]) -> str:
        """The body for a format and one of the ends behind it."""
        match form:
            case Const(text):
                return _joined(_literal(text), _one_of(ends))
            case Value(_, spec):
                return _joined(self.rule(json_rule(spec.lowered)), _one_of(ends))
            case Expression(spec):
                return _joined(self.lexeme(_expression(spec)), _one_of(ends))
            case Free(excludes):
                return self.free((), excludes, ends)
            case Sequence(items):
                return _joined(*(self.of(item, ()) for item in items[:-1]), self.of(items[-1], ends))
            case Either(items):
                return _joined(_either(self.of(item, ()) for item in items), _one_of(ends))
            case Repeated(item, least, most):
                count = f"{{{least},{'' if most is None else most}}}"
                return _joined(f"({self.of(item, ())}){count}", _one_of(ends))
            case Tag(begin, content, own):
                return _joined(_literal(begin), self.of(content, own), _one_of(ends))
            case Triggered():
                return self.triggered(form, ends)
            case Separated(tags, separator, at_least_one, stop_after_first):
                tag = self.rule(_either(self.of(tag, ()) for tag in tags))
                more = "" if stop_after_first else f"({_joined(_literal(separator), tag)})*"
                several = f"({_joined(tag, more)})"
                return _joined(several if at_least_one else f"{several}?", _one_of(ends))
            case _:
                assert_never(form)

    def free(self, triggers: tuple[str, ...], excludes: tuple[str, ...], ends: tuple[str, ...]) -> str:
        """Text without triggers and excluded texts, to the first of the ends; without ends, to the end of all."""
        if not ends:
            return f"({self.lexeme(_without('(?s:.+)', (*triggers, *excludes)))})?"
        words = "|".join(map(_quoted, ends))
        return self.lexeme(f"({_without('(?s:.*)', (*triggers, *excludes))}) /({words})/", ends_early=True)

    def triggered(self, form: Triggered, ends: tuple[str, ...]) -> str:
        reached: dict[str, str] = {}
        for trigger in form.triggers:
            others = (other for other in form.triggers if other != trigger)
            lexeme = _without(f"(?s:.*){_quoted(trigger)}", (*form.excludes, *filter(None, ends), *others))
            reached[trigger] = self.lexeme(lexeme, ends_early=True)
        first = self.rule(_either(self.of(tag, ()) for tag in form.tags)) if form.at_least_one else ""
        later = self.rule(
            _either(
                _joined(reached[trigger], self.of(replace(tag, begin=tag.begin.removeprefix(trigger)), ()))
                for tag in form.tags
                for trigger in form.triggers
                if tag.begin.startswith(trigger)
            )
        )
        rest = self.free(form.triggers, form.excludes, ends)
        if not form.stop_after_first:
            return _joined(first, f"{later}*", rest)
        if form.at_least_one:
            return _joined(first, _one_of(ends))
        return f"({_joined(later, _one_of(ends))} | {rest})"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part) or '""'


def _either(bodies: Iterable[str]) -> str:
    return "(" + " | ".join(dict.fromkeys(bodies)) + ")"


def _literal(text: str) -> str:
    return lark_string(text) if text else ""


def _one_of(texts: tuple[str, ...]) -> str:
    some = [lark_string(text) for text in texts if text]
    return "" if not some else f"({' | '.join(some)}){'' if all(texts) else '?'}"


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
