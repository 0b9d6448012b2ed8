"""Grammar files: the extension says how a grammar is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import uri
from policykit.grammar.documents import NO_DOCUMENTS, Beside, Documents, identifier_of
from policykit.grammar.json_schema import json_schema
from policykit.grammar.strict_json import JsonFault, parse, plain
from policykit.grammar.text_grammars import choices, ebnf, gbnf, lark, plain_lark, regex
from policykit.ir.grammar import GrammarSpec


def load_grammar(path: str | Path, documents: Documents = NO_DOCUMENTS) -> GrammarSpec:
    """The grammar in a file. A schema may refer to ``documents`` (schemas by URI), and to the files beside it.

    Raises:
        PolicyError: PK214 (unknown extension), PK215 (cannot be read), and whatever the grammar itself is refused for.
    """
    return read_grammar(path, documents)[0]


def read_grammar(path: str | Path, documents: Documents = NO_DOCUMENTS) -> tuple[GrammarSpec, tuple[Path, ...]]:
    """The grammar in a file, and every file that it was read from. Raises PolicyError as :func:`load_grammar` does."""
    path = Path(path)
    name = str(path)
    place = Place(name)
    text = _text(path, place)
    read = next((reader for extension, reader in READERS if name.endswith(extension)), None)
    if read is None:
        beside = Beside(path.parent, _identifier(text), documents)
        found = json_schema(text, place, beside)
        return found, (path, *beside.files)
    return read(text, place), (path,)


def _text(path: Path, place: Place) -> str:
    extensions = (*(extension for extension, _ in READERS), *SCHEMA)
    if not str(path).endswith(extensions):
        known = ", ".join(f"`{extension}`" for extension in extensions)
        raise PolicyError.of("PK214", f"`{path.name}` is no kind of grammar", place, f"use one of {known}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        message = f"`{path}` cannot be read: {why[:1].lower()}{why[1:]}"
        raise PolicyError.of("PK215", message, place, "check the path; grammar files are UTF-8") from error


def _identifier(text: str) -> str:
    """The URI that a schema names itself by, or nothing."""
    value = parse(text)
    return "" if isinstance(value, JsonFault) else uri.defragment(identifier_of(plain(value)) or "")[0]


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
    (".plain.lark", plain_lark),
    (".lark", lark),
    (".gbnf", gbnf),
    (".ebnf", ebnf),
    (".regex", _regex_file),
)
SCHEMA: Final = (".schema.json", ".json")
"""Schemas, whatever else ends in `.json` (the kinds above come first)."""
