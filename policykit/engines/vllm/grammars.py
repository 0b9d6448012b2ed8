"""What vLLM says of a request's output grammar, as ours. No vLLM is imported: its options come by their names."""

import json
from typing import cast

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import choices, ebnf, gbnf, json_schema, lark, regex, structural_tag
from policykit.ir.grammar import GrammarSpec
from policykit.plan import Unread

FREE = r"(?s:.*)"
"""The expression that stands for no grammar: vLLM masks only requests that have one."""
_PLACE = Place("<request>")


def grammar_of(option: str, source: str) -> GrammarSpec | None:
    """The grammar of a `StructuredOutputOptions` by name, and its source; None where it says nothing.

    Raises PolicyError: PK2xx for what is wrong with it, PK743 for a form that is not taken.
    """
    match option:
        case "REGEX":
            return None if source == FREE else regex(source, _PLACE)
        case "JSON":
            return json_schema(source, _PLACE)
        case "JSON_OBJECT":
            return json_schema('{"type": "object"}', _PLACE)
        case "CHOICE":
            return _choices(source)
        case "GRAMMAR" if "::=" in source:
            return _bnf(source)
        case "GRAMMAR":
            return lark(source, _PLACE)
        case "STRUCTURAL_TAG":
            return structural_tag(source, _PLACE)
        case _:
            raise _refused(f"the option `{option}`", "use json, regex, choice or grammar")


def unread(option: str, source: str) -> Unread | None:
    """The grammar as it came, for a process that may be ended to read; None for what says nothing."""
    return None if (option, source) == ("REGEX", FREE) else Unread(grammar_of, (option, source), _PLACE)


def _bnf(source: str) -> GrammarSpec:
    """Rules with `::=`: GBNF, and what that does not read (rules that go on over lines) as XGrammar's EBNF."""
    try:
        return gbnf(source, _PLACE)
    except PolicyError as error:
        if error.diagnostics[0].code != "PK210":
            raise
        try:
            return ebnf(source, _PLACE)
        except PolicyError:
            raise error from None


def _refused(what: str, help: str) -> PolicyError:
    return PolicyError.of("PK743", f"{what} is not taken as an output grammar", _PLACE, help)


def _choices(source: str) -> GrammarSpec:
    texts: object = json.loads(source)
    listed = cast(list[object], texts) if isinstance(texts, list) else []
    if not listed or not all(isinstance(text, str) for text in listed):
        raise _refused("what is no list of texts", "give choices as a list of texts")
    return choices([str(text) for text in listed], _PLACE)
