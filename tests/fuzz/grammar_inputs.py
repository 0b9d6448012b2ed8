"""Schemas and grammars that are nearly right, each made again from its kind and number."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import policykit as pk
from policykit.ir.grammar import GrammarSpec
from tests.fuzz.mutations import mutated
from tests.grammar.languages import bnf, lark_files

PIECES = (
    *(
        '"a"',
        '""',
        "[a-z]",
        "[^",
        "[]",
        "(",
        ")",
        "|",
        "*",
        "+",
        "?",
        "{2}",
        "{0,3}",
        "{,2}",
        "{3,1}",
        "{900}",
        "~2..3",
    ),
    *(
        "::=",
        ":",
        "\n",
        "\nroot ::= ",
        "\nstart: ",
        "root",
        "start",
        "A",
        "b",
        "/a+/",
        "/(a|b)*/",
        "/[^a]/i",
        "/(?=a)/",
    ),
    *(
        "%ignore ",
        "%import common.",
        "WS",
        "%json {",
        "&",
        "~",
        "-> x",
        "_t{x}",
        "\\x41",
        "\\u00e9",
        "\\ud800",
        "\\",
        "é",
    ),
    *("😀", "\x00", "\ud800", "#", "//", "<a>", "!<", "@", "[lazy]", '"a".."z"', "(=", "Token(1)", "(((", ")))"),
)
SCHEMA_NAMES = (
    *("type", "enum", "const", "properties", "required", "additionalProperties", "patternProperties", "propertyNames"),
    *("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"),
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "multipleOf"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "$defs", "dependentRequired", "$anchor", "x"),
)
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object", "strin")
NUMBERS = (0, 1, -1, 2, 3, 0.5, 1e300, -1e-7, 10**40, 999_999_999)
PATTERNS = ("^a+$", "a|b", "(?=a)", "[", "\\d{3}", "(a*)*b", ".{0,900}", "\\bx", "^(?!a)", "\\p{L}", "é")
REFERENCES = ("#", "#/$defs/a", "#/$defs/b", "#a", "#/properties/a", "other.json", "#/allOf/0")


def schema(rng: random.Random, depth: int = 3) -> Any:
    if depth <= 0 or rng.random() < 0.1:
        return rng.choice((True, False, {}, {"type": rng.choice(TYPES)}, {"const": value(rng, 1)}))
    found: dict[str, Any] = {name: _said(name, rng, depth) for name in rng.sample(SCHEMA_NAMES, rng.randint(1, 4))}
    if rng.random() < 0.5:
        found["type"] = rng.choice(TYPES)
    return found


def _said(name: str, rng: random.Random, depth: int) -> Any:
    if rng.random() < 0.03:
        return value(rng, 2)  # what may not stand there
    several = [schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    match name:
        case "type":
            return rng.choice((rng.choice(TYPES), rng.sample(TYPES, 2)))
        case "enum":
            return [value(rng, 2) for _ in range(rng.randint(0, 4))]
        case "const" | "x":
            return value(rng, 2)
        case "properties" | "$defs" | "patternProperties":
            names = PATTERNS if name == "patternProperties" else ("a", "b", "", "é", "a/b")
            return {rng.choice(names): one for one in several}
        case "required":
            return rng.sample(("a", "b", "c", ""), rng.randint(0, 3))
        case "dependentRequired":
            return {"a": ["b"], "b": rng.sample(("a", "c"), 1)}
        case "allOf" | "anyOf" | "oneOf" | "prefixItems":
            return several
        case "pattern":
            return rng.choice(PATTERNS)
        case "format":
            return rng.choice(("date", "email", "uuid", "regex", "ipv6", "nonsense"))
        case "$ref":
            return rng.choice(REFERENCES)
        case "$anchor":
            return "a"
        case "uniqueItems":
            return rng.random() < 0.7
        case _ if name.startswith(("min", "max", "exclusive", "multiple")):
            return rng.choice(NUMBERS)
        case _:
            return several[0]


def value(rng: random.Random, depth: int) -> Any:
    plain = (None, True, 0, -1, 1.5, 10**30, "", "a", "é", "\n", '"', "😀")
    if depth <= 0 or rng.random() < 0.6:
        return rng.choice(plain)
    items = [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return items if rng.random() < 0.5 else {rng.choice(("a", "b", "")): item for item in items}


def _spoilt(seeds: list[str]) -> Callable[[random.Random], str]:
    def made(rng: random.Random) -> str:
        text = mutated(rng, seeds)
        for _ in range(rng.randint(0, 3)):
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(PIECES) + text[at + rng.choice((0, 0, 1, 5)) :]
        return text

    return made


def _schema_text(rng: random.Random) -> str:
    text = json.dumps(schema(rng))
    return mutated(rng, [text], 1) if rng.random() < 0.1 else text


_BNF = [source for source, _ in (*bnf.COMMON.values(), *bnf.GBNF_ONLY.values(), *bnf.EBNF_ONLY.values())]
_LARK = [source for source, _ in (*lark_files.COMMON.values(), *lark_files.PLAIN_ONLY.values())]
_DIALECT = [source for source, *_ in lark_files.DIALECT_ONLY.values()]
_TAGS = [
    '{"type": "structural_tag", "format": {"type": "triggered_tags", "triggers": ["<t>"], "tags": [{"type": "tag", '
    '"begin": "<t>a", "content": {"type": "json_schema", "json_schema": {"type": "integer"}}, "end": "</t>"}]}}',
    '{"type": "structural_tag", "format": {"type": "sequence", "elements": [{"type": "const_string", "value": "x"}, '
    '{"type": "regex", "pattern": "[a-c]{2}"}, {"type": "star", "content": {"type": "const_string", "value": "y"}}]}}',
]
KINDS: Mapping[str, tuple[Callable[[str], GrammarSpec], Callable[[random.Random], str]]] = {
    "json_schema": (pk.Grammar.from_json_schema, _schema_text),
    "gbnf": (pk.Grammar.from_gbnf, _spoilt(_BNF)),
    "ebnf": (pk.Grammar.from_ebnf, _spoilt(_BNF)),
    "lark": (pk.Grammar.from_lark, _spoilt([*_LARK, *_DIALECT])),
    "plain_lark": (pk.Grammar.from_plain_lark, _spoilt(_LARK)),
    "regex": (
        pk.Grammar.from_regex,
        _spoilt(["(a|b)*c", r"\d{3}-[^a-z]+", "(?i:ab?){2,5}|é", r"[\]\\]x\.y", *PATTERNS]),
    ),
    "structural_tag": (pk.Grammar.from_structural_tag, _spoilt(_TAGS)),
}


def source(kind: str, number: int) -> str:
    """The input of a kind with a number, always the same one."""
    return KINDS[kind][1](random.Random(f"{kind} {number}"))


def compiled(kind: str, number: int) -> str:
    """`compiled`, as the grammar is, also into a plan. Raises what compiling raises."""
    text = source(kind, number)
    if any("\ud800" <= c <= "\udfff" for c in text):
        text = text.encode("utf-8", "replace").decode() if number % 2 else text
    spec = KINDS[kind][0](text)
    if number % 10 == 0:
        pk.compile(None, spec)
    return "compiled"
