"""Grammar files: the extension says how a grammar is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from policykit.diagnostics import Place, PolicyError
from policykit.grammar.json_schema import json_schema
from policykit.grammar.strict_json import JsonFault, parse
from policykit.grammar.text_grammars import choices, gbnf, lark, regex
from policykit.ir.grammar import GrammarSpec


def load_grammar(path: str | Path) -> GrammarSpec:
    """The grammar in a file.

    Raises:
        PolicyError: PK214 (unknown extension), PK215 (cannot be read), and whatever the grammar itself is refused for.
    """
    name = str(path)
    place = Place(name)
    read = next((reader for extension, reader in READERS if name.endswith(extension)), None)
    if read is None:
        known = ", ".join(f"`{extension}`" for extension, _ in READERS)
        raise PolicyError.of("PK214", f"`{Path(path).name}` is no kind of grammar", place, f"use one of {known}")
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        message = f"`{name}` cannot be read: {why[:1].lower()}{why[1:]}"
        raise PolicyError.of("PK215", message, place, "check the path; grammar files are UTF-8") from error
    return read(text, place)


def _regex_file(text: str, place: Place) -> GrammarSpec:
    return regex(text.removesuffix("\n").removesuffix("\r"), place)


def _choice_lines(text: str, place: Place) -> GrammarSpec:
    return choices([line for line in text.splitlines() if line], place)


def _choice_json(text: str, place: Place) -> GrammarSpec:
    value = parse(text)
    if isinstance(value, JsonFault):
        at = Place(place.file, value.line, value.column, value.line, value.column + 1)
        raise PolicyError.of("PK213", f"the choices are not JSON: {value.message}", at)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PolicyError.of("PK213", "the choices are not a JSON array of strings", place, 'write `["yes", "no"]`')
    return choices([item for item in value if isinstance(item, str)], place)


READERS: Final[tuple[tuple[str, Callable[[str, Place], GrammarSpec]], ...]] = (
    (".choices.json", _choice_json),
    (".choices.txt", _choice_lines),
    (".schema.json", json_schema),
    (".json", json_schema),
    (".lark", lark),
    (".gbnf", gbnf),
    (".regex", _regex_file),
)
