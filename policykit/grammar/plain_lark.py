"""Plain Lark: the files that the library `lark` reads, with templates, aliases, priorities, imports and ignored text.

They are read by lark's own reader, so that nothing is read otherwise than there, into productions over terminals. A
text belongs to the grammar if the rules derive it, whatever its terminals share, and ignored text stands anywhere
before a terminal and at the end: what `Lark(source, lexer="dynamic_complete")` takes. What lark makes of a source
counts: it does not set apart the alternatives of a terminal's expression that another terminal uses. Departures:

- A terminal is the language of its expression. lark takes Python's first match, which can miss a text (`/a|ab/` never
  matches `ab` there). Ignored text goes as far as it can, as there.
- Without regard to case is Unicode's simple folding; Python also takes `ı` and `İ` for `i`.
- Shape and priorities of trees mean nothing for a text, and are not looked at.

Refused by name: imports from files (lark's own libraries `common`, `python`, `unicode` and `lark` are there), terminals
that are only declared, lookaround, backreferences and lazy repetition in expressions, terminals that may be empty.
"""

# lark's reader is typed in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, cast

from lark.exceptions import LarkError
from lark.lexer import PatternRE, TerminalDef
from lark.load_grammar import load_grammar

from policykit.automata import unparse
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.lark_groups import Definition, with_groups_apart
from policykit.grammar.python_regex import Unsupported, read as read_regex
from policykit.grammar.rules import Chars, Group, Item, Reference, Rules
from policykit.grammar.scalars import of_characters
from policykit.ir import regex as expressions
from policykit.ir.grammar import Cfg, Production, Symbol, Terminal
from policykit.ir.regex import Regex

START: Final = "start"
LIBRARIES: Final = ("common", "python", "unicode", "lark")
_IMPORT = re.compile(r"^[ \t]*%import[ \t]+(?P<path>[^\s(]*)", re.MULTILINE)
_UNDEFINED = re.compile(r"'?(?P<name>[A-Za-z_][A-Za-z0-9_]*)'? (?:used but )?(?:is )?not defined")
_PLACE = re.compile(r"(?:,)? at line (?P<line>\d+),? column (?P<column>\d+)")
_FLAGS: Final[Mapping[str, int]] = {
    "i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "l": re.LOCALE, "u": 0, "x": re.VERBOSE,
}  # fmt: skip
_SHORTEST: Final = {
    "ESCAPED_STRING": r'"(?:[^"\\\n]|\\[^\n])*"',
    "C_COMMENT": r"/\*(?:[^*]|\*+[^*/])*\*+/",
}
"""Terminals of the library that are written with lazy repetition, as expressions of the same texts."""


def read(source: str, place: Place) -> tuple[Cfg, frozenset[str]]:
    """The productions of a source, ignored text among them, and which terminals are ignored.

    Raises PolicyError: PK206, PK210, PK211, PK212, PK216.
    """
    for found in _IMPORT.finditer(source):
        if found["path"].partition(".")[0] not in LIBRARIES:
            message = f"`{found['path']}` is not imported: nothing is read from files"
            raise PolicyError.of("PK216", message, _at(source, found.start("path"), place), "copy its definitions here")
    terminals, rules, ignored = _loaded(source, place)
    named = {terminal.name: _terminal(terminal, place) for terminal in terminals}
    names = _names(rule.origin.name for rule in rules)
    used = {symbol.name for rule in rules for symbol in rule.expansion if symbol.is_term}
    if missing := sorted(used - named.keys()):
        raise PolicyError.of("PK211", f"the terminal `{missing[0]}` is declared and has no text", place)
    leads_to = {symbol.name for rule in rules for symbol in rule.expansion if not symbol.is_term}
    if templates := sorted(leads_to - names.keys()):  # lark does not ask whether a template has its arguments
        raise PolicyError.of("PK211", f"`{templates[0]}` is a template, and stands without arguments", place)
    gap = (Symbol(_GAP, False),) if ignored else ()
    productions = [
        Production(
            names[rule.origin.name],
            tuple(
                part
                for symbol in rule.expansion
                for part in ((*gap, Symbol(symbol.name, True)) if symbol.is_term else (_rule(names[symbol.name]),))
            ),
            place,
        )
        for rule in rules
    ]
    start = names[START]
    if ignored:
        productions.append(Production(_WHOLE, (Symbol(start, False), *gap), place))
        productions.append(Production(_GAP, (), place))
        productions += [Production(_GAP, (*gap, Symbol(name, True)), place) for name in ignored]
        start = _WHOLE
    terms = tuple(named[name] for name in sorted(used | set(ignored)))
    return Cfg(start, tuple(productions), terms), frozenset(ignored)


_GAP: Final = "ignored"
_WHOLE: Final = "whole"


def _rule(name: str) -> Symbol:
    return Symbol(name, False)


def _loaded(source: str, place: Place) -> "tuple[list[TerminalDef], list[Any], list[str]]":
    """What lark makes of a source: terminals, productions, names of what is ignored."""
    try:
        grammar, _ = load_grammar(source, place.file, [], False)
        if all(definition[0] != START for definition in grammar.rule_defs):
            raise PolicyError.of("PK210", f"there is no rule `{START}`", place)
        grammar.rule_defs = with_groups_apart(cast(list[Definition], grammar.rule_defs))
        return grammar.compile([START], set())
    except (LarkError, AssertionError, OSError, KeyError, ValueError, TypeError, IndexError) as error:
        # lark's reader also fails on its own assertions and look-ups where a source is none of its kind
        says = _shown((str(error).strip() or "lark cannot read it").splitlines()[0])
        if undefined := _UNDEFINED.search(says):
            raise PolicyError.of("PK211", f"`{undefined['name']}` is not defined", place) from error
        if found := _PLACE.search(says):
            at = Place(place.file, place.line + int(found["line"]) - 1, int(found["column"]))
            raise PolicyError.of("PK210", says[: found.start()].strip().lower(), at) from error
        raise PolicyError.of("PK210", says[:1].lower() + says[1:].rstrip(" .:"), place) from error
    except RecursionError as error:
        raise PolicyError.of("PK206", "the grammar is nested too deeply", place) from error


def _terminal(terminal: TerminalDef, place: Place) -> Terminal:
    pattern = terminal.pattern
    flags = sum(_FLAGS[flag] for flag in pattern.flags)
    source = pattern.value
    source = _library().get(source, source) if isinstance(pattern, PatternRE) else re.escape(source)
    name = terminal.name if not terminal.name.startswith("__") else f"/{_shown(pattern.value)}/"
    try:
        language = read_regex(source, flags)
    except Unsupported as error:
        raise PolicyError.of("PK212", f"terminal `{name}`: {error}", place) from error
    if _may_be_empty(language):
        raise PolicyError.of("PK212", f"terminal `{name}` may be empty", place, "make what uses it optional")
    return Terminal(terminal.name, language, place)


def _shown(source: str) -> str:
    return source.encode("utf-8", "backslashreplace").decode()[:200]


@cache
def _library() -> Mapping[str, str]:
    """Expressions of lark's library as ours. Asked, not listed: a table would go stale."""
    source = "\n".join(f"%import common.{name}" for name in _SHORTEST) + "\nstart: " + " ".join(_SHORTEST)
    grammar, _ = load_grammar(source, "<library>", [], False)
    terminals, _, _ = grammar.compile([START], set())
    return {terminal.pattern.value: _SHORTEST[terminal.name] for terminal in terminals}


def _may_be_empty(language: Regex) -> bool:
    match language:
        case expressions.Empty() | expressions.Assertion():
            return True
        case expressions.Chars():
            return False
        case expressions.Concat(items):
            return all(map(_may_be_empty, items))
        case expressions.Alternation(items):
            return any(map(_may_be_empty, items))
        case expressions.Repeat(item, least, _):
            return least == 0 or _may_be_empty(item)


def _names(found: Iterator[str]) -> dict[str, str]:
    """A name for each rule that both kinds of Lark can write, none twice."""
    names: dict[str, str] = {}
    for name in found:
        if name not in names:
            names[name] = f"r{len(names)}"
    return names


def _at(source: str, at: int, place: Place) -> Place:
    line = source.count("\n", 0, at)
    return Place(place.file, place.line + line, at - (source.rfind("\n", 0, at) + 1) + 1)


def render(cfg: Cfg) -> str:
    """The productions in the masking engine's Lark; a terminal is a lexeme."""
    names = {terminal.name: f"T{i}" for i, terminal in enumerate(cfg.terminals)}
    bodies: dict[str, list[str]] = {}
    for production in cfg.productions:
        symbols = (names[symbol.name] if symbol.is_terminal else symbol.name for symbol in production.body)
        bodies.setdefault(production.head, []).append(" ".join(symbols) or "()")
    lines = [f"start: {cfg.start}"] if cfg.start != START else []
    lines += [f"{head}: {' | '.join(alternatives)}" for head, alternatives in bodies.items()]
    lines += [f"{names[t.name]}: /{_pattern(t.regex)}/" for t in cfg.terminals]
    return "\n".join(lines)


def _pattern(language: Regex) -> str:
    written = unparse(of_characters(language))
    return re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda m: f"\\U{int(m[1], 16):08x}", written).replace("/", "\\/")


def scannerless(cfg: Cfg) -> Rules:
    """The same language as rules over characters, in which no terminal reaches further than the rules say."""
    rules: dict[str, list[tuple[Item, ...]]] = {}
    written = {terminal.name: _items(terminal.regex) for terminal in cfg.terminals}
    longer = {name: f"t{i}" for i, (name, items) in enumerate(written.items()) if len(items) > 1}
    for production in cfg.productions:
        items: list[Item] = []
        for symbol in production.body:
            if not symbol.is_terminal:
                items.append(Item(Reference(symbol.name)))
            elif symbol.name in longer:
                items.append(Item(Reference(longer[symbol.name])))
            else:
                items += written[symbol.name]
        rules.setdefault(production.head, []).append(tuple(items))
    found = {head: Group(tuple(alternatives)) for head, alternatives in rules.items()}
    return found | {longer[name]: Group((items,)) for name, items in written.items() if name in longer}


def _items(language: Regex) -> tuple[Item, ...]:
    match language:
        case expressions.Empty() | expressions.Assertion():
            return ()
        case expressions.Chars(literal, on_view):
            return (Item(Chars(expressions.ranges_of([*literal, *on_view]))),)
        case expressions.Concat(items):
            return tuple(found for item in items for found in _items(item))
        case expressions.Alternation(items):
            return (Item(Group(tuple(_items(item) for item in items))),)
        case expressions.Repeat(item, least, most):
            inner = _items(item)
            if len(inner) == 1 and (inner[0].least, inner[0].most) == (1, 1):
                return (Item(inner[0].atom, least, most),)
            return (Item(Group((inner,)), least, most),)
