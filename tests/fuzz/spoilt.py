"""Grammars and schemas that are nearly right: the shipped ones and those of the tests, after a few changes."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz import made_schemas
from tests.fuzz.mutations import mutated
from tests.grammar.languages import bnf, lark_files
from tests.grammar.test_oracle import SCHEMAS as ORACLE_SCHEMAS

PIECES = (
    '"a"', '""', "[a-z]", "[^", "[]", "(", ")", "|", "*", "+", "?", "{2}", "{0,3}", "{,2}", "{3,1}", "{900}", "~2..3",
    "::=", ":", "\n", "\nroot ::= ", "\nstart: ", "root", "start", "A", "b", "/a+/", "/(a|b)*/", "/[^a]/i", "/(?=a)/",
    "%ignore ", "%import common.", "WS", "%json {", "&", "~", "-> x", "_t{x}", "\\x41", "\\u00e9", "\\ud800", "\\", "é",
    "😀", "\x00", "\ud800", "#", "//", "<a>", "!<", "@", "[lazy]", '"a".."z"', "(=", "Token(1)", "(((", ")))",
    "true", "null",
    '{"type": "string"}', "[1]", '"$ref"', '"#"', "1e999", "-1", '"not"', '"minItems"', '"type"', "false",
    ",", "{", "}",
)  # fmt: skip
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/|\[(?:\\.|[^\]\\\n])*\]|[A-Za-z0-9_.$-]+|\s+|.', re.DOTALL)
_SHIPPED = Path(__file__).parents[2] / "grammars"

BNF = [source for source, _ in (*bnf.COMMON.values(), *bnf.GBNF_ONLY.values(), *bnf.EBNF_ONLY.values())]
LARK = [source for source, _ in (*lark_files.COMMON.values(), *lark_files.PLAIN_ONLY.values())]
DIALECT = [
    *(source for source, *_ in lark_files.DIALECT_ONLY.values()),
    *(path.read_text("utf-8") for path in sorted(_SHIPPED.glob("*.lark"))),
]
REGEX = [
    "(a|b)*c",
    r"\d{3}-[^a-z]+",
    "(?i:ab?){2,5}|é",
    r"[\]\\]x\.y",
    "^a+$",
    r"\p{L}+(?s:.)",
    r"\Q.*\E[[:alpha:]]",
    "x{2,3}?",
    r"\x{1F600}|\w\W",
]
SCHEMAS = [
    *(json.dumps(schema) for schema in ORACLE_SCHEMAS),
    *(path.read_text("utf-8") for path in sorted(_SHIPPED.glob("*.schema.json"))),
]
TAGS = [
    '{"type": "structural_tag", "format": {"type": "triggered_tags", "triggers": ["<t>"], "tags": [{"type": "tag", '
    '"begin": "<t>a", "content": {"type": "json_schema", "json_schema": {"type": "integer"}}, "end": "</t>"}]}}',
    '{"type": "structural_tag", "format": {"type": "sequence", "elements": [{"type": "const_string", "value": "x"}, '
    '{"type": "regex", "pattern": "[a-c]{2}"}, {"type": "star", "content": {"type": "const_string", "value": "y"}}]}}',
    '{"structures": [{"begin": "<f>", "schema": {"type": "object"}, "end": "</f>"}], "triggers": ["<f"]}',
    '{"format": {"type": "tag", "begin": "", "content": {"type": "any_text"}, "end": ["a", ""]}}',
]


def nearly(seeds: Sequence[str]) -> Callable[[random.Random], str]:
    """Mostly changed by whole tokens, so that much of it is still right; the rest by characters and pieces."""

    def made(rng: random.Random) -> str:
        if rng.random() < 0.7:
            text = rng.choice(seeds)
            for _ in range(rng.choice((1, 1, 2, 3))):
                text = _by_tokens(rng, text, seeds)
            return text
        text = mutated(rng, seeds, 1)
        for _ in range(rng.randint(0, 2)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(PIECES) + text[at + rng.choice((0, 0, 1, 5)) :]
        return text

    return made


def nearly_a_schema(rng: random.Random) -> str:
    """A schema in which subschemas and values stand in other places, are gone, or are others."""
    if rng.random() < 0.2:
        return nearly(SCHEMAS)(rng)
    # Read anew: what is made shares values with all that is made after it, and is changed here.
    root = json.loads(rng.choice(SCHEMAS) if rng.random() < 0.5 else json.dumps(made_schemas.schema(rng)))
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(_places(root))
        if not places:
            break
        (holder, key), (other, its) = rng.choice(places), rng.choice(places)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1 | 2:
                holder[key] = copy.deepcopy(other[its])
            case 3:
                holder[key] = rng.choice((None, True, -1, 1.5, "a", [], {}, ["a"], {"a": {}}, "#", "^[", 10**20))
            case 4 if isinstance(holder, dict) and isinstance(other, dict):
                holder[its] = holder.pop(key)
            case _ if isinstance(holder, dict):
                holder[rng.choice(("not", "items", "contains", "if", "$ref", "enum", "type"))] = copy.deepcopy(
                    holder[key]
                )
            case _:
                holder[key] = copy.deepcopy(other[its])
    return json.dumps(root)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _by_tokens(rng: random.Random, text: str, seeds: Sequence[str]) -> str:
    tokens = _TOKEN.findall(text)
    if not tokens:
        return text
    at, other = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    match rng.randrange(7):
        case 0:
            del tokens[at]
        case 1:
            tokens[at] = tokens[other]
        case 2:
            tokens.insert(at, tokens[other])
        case 3:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 4:
            tokens[at] = rng.choice(_TOKEN.findall(rng.choice(seeds)) or [""])
        case 5:
            tokens[at] = rng.choice(PIECES)
        case _:
            tokens[at:at] = tokens[min(at, other) : max(at, other)][:40]
    return "".join(tokens)
