"""Structural tags as values: text in which tags stand whose contents have grammars of their own."""

from dataclasses import dataclass
from typing import TypeAlias

from policykit.diagnostics import Place, PolicyError
from policykit.ir.grammar import GrammarSpec


@dataclass(frozen=True, slots=True)
class Const:
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A JSON value of a schema. ``path`` is where it stands in the document."""

    path: str
    spec: GrammarSpec


@dataclass(frozen=True, slots=True)
class Expression:
    """As long a text as the expression matches, or less of it where regular formats beside it need the rest."""

    spec: GrammarSpec


@dataclass(frozen=True, slots=True)
class Free:
    """Any text without these in it."""

    excludes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    items: "tuple[Format, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    items: "tuple[Format, ...]"


@dataclass(frozen=True, slots=True)
class Repeated:
    """``most`` None: any number of times."""

    item: "Format"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Tag:
    """``ends`` are alternatives; content that is free ends at the first of them."""

    begin: str
    content: "Format"
    ends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Triggered:
    """Free text in which one of the tags stands wherever one of the triggers does. With ``at_least_one`` it begins with
    a tag; with ``stop_after_first`` nothing follows the first one."""

    triggers: tuple[str, ...]
    tags: tuple[Tag, ...]
    at_least_one: bool
    stop_after_first: bool
    excludes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Separated:
    """Tags with a text between them, and nothing else."""

    tags: tuple[Tag, ...]
    separator: str
    at_least_one: bool
    stop_after_first: bool


Format: TypeAlias = Const | Value | Expression | Free | Sequence | Either | Repeated | Tag | Triggered | Separated


def ended(items: tuple[Format, ...]) -> tuple[Format, ...]:
    """The same, with free text before a known one as a tag that ends with that."""
    found: list[Format] = []
    for item in items:
        before = found[-1] if found else None
        if isinstance(item, Const) and item.text and isinstance(before, Free):
            found[-1] = Tag("", before, (item.text,))
        else:
            found.append(item)
    return tuple(found)


def check_free(form: Format, place: Place, *, is_last: bool) -> None:
    """Raises PolicyError (PK217) where free text is followed by something that does not end it."""
    match form:
        case Const() | Value() | Expression():
            return
        case Free() | Triggered():
            if not is_last:
                message = "free text has to come last, or last before the end of a tag"
                raise PolicyError.of("PK217", message, place, "let a tag with an `end` hold it")
            for tag in form.tags if isinstance(form, Triggered) else ():
                check_free(tag, place, is_last=False)
        case Sequence(items):
            for at, item in enumerate(items):
                check_free(item, place, is_last=is_last and at == len(items) - 1)
        case Tag(_, content, ends):
            check_free(content, place, is_last=all(ends))
        case Either(items):
            for item in items:
                check_free(item, place, is_last=False)
        case Repeated(item, _, _):
            check_free(item, place, is_last=False)
        case Separated(tags):
            for tag in tags:
                check_free(tag, place, is_last=False)
