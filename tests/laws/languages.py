"""Generated policies and grammars; each grammar with an independent judge of its texts."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import policykit as pk
from policykit.diagnostics import Place
from policykit.ir.grammar import GrammarSpec
from tests.laws import oracle

GRAMMAR_PLACE = Place("laws.grammar")
Rules = list[dict[str, Any]]


def rule(match: dict[str, Any], rule_id: str = "r") -> dict[str, Any]:
    return {"id": rule_id, "match": match, "action": {"block": {}}}


def phrases(*texts: str, **fields: Any) -> dict[str, Any]:
    return rule({"phrases": list(texts), **fields})


# ---- generated matchers

LETTERS = "abAéａß1"
TEXT_CHARACTERS = LETTERS + "Ж☃. -_\u00ad\u200b\u00b4\u0301ﬁ\U0001d41a\n"
REGEXES = (
    "ab+a",
    r"\bab\b",
    r"\ba{2}\b",
    "a[ -]b",
    "(?:a|b)1{2}",
    "b$",
    "^aa",
    "a.b",
    "[^a]bb",
    r"b\B",
    "é",
    "a.{0,2}1",
)
"""Expressions whose literals are as `re` reads them on each view, given :func:`oracle.regex_as_re`."""

_word = st.text(st.sampled_from(LETTERS), min_size=1, max_size=3)
_phrase = st.lists(_word, min_size=1, max_size=2).map(" ".join)
_context = st.fixed_dictionaries({"regex": st.sampled_from(["a", "1b?", r"\bb"]), "within": st.integers(0, 3)})
_views = st.lists(st.sampled_from(["raw", "compat", "unmarked"]), min_size=1, max_size=2, unique=True)
_regex_views = st.lists(st.sampled_from(["raw", "compat"]), min_size=1, max_size=2, unique=True)
_sides = {"before": _context, "after": _context}
_by_phrase = st.fixed_dictionaries(
    {"phrases": st.lists(_phrase, min_size=1, max_size=3, unique=True)},
    optional={"exact": st.booleans(), "views": _views},
)
_by_context = st.fixed_dictionaries(
    {"phrases": st.lists(_phrase, min_size=1, max_size=2, unique=True), "views": _regex_views}, optional=_sides
)
_by_regex = st.fixed_dictionaries(
    {"regex": st.lists(st.sampled_from(REGEXES), min_size=1, max_size=2, unique=True), "views": _regex_views},
    optional=_sides,
)
LEAVES = _by_phrase | _by_context | _by_regex
_pairs = st.lists(LEAVES, min_size=2, max_size=2)
FORMULAS = (
    st.fixed_dictionaries({"all": _pairs})
    | st.fixed_dictionaries({"not": _by_phrase})
    | st.tuples(_by_phrase, _by_phrase).map(lambda two: {"all": [two[0], {"not": two[1]}]})
    | st.fixed_dictionaries({"any": _pairs})
)


def ruleset(matchers: st.SearchStrategy[dict[str, Any]], most: int = 2) -> st.SearchStrategy[Rules]:
    found = st.lists(matchers, min_size=1, max_size=most)
    return found.map(lambda ms: [rule(m, f"r{i}") for i, m in enumerate(ms)])


def text_of(rng: random.Random, characters: str = TEXT_CHARACTERS, most: int = 10) -> str:
    return "".join(rng.choices(characters, k=rng.randint(0, most)))


def mutated(rng: random.Random, text: str) -> str:
    """A small change, which often makes a near miss."""
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(["", "a", "b", " ", "Ж", "1"]) + text[at + rng.randint(0, 1) :]


# ---- generated grammars


@dataclass(frozen=True, repr=False)
class Language:
    """A grammar, and an independent judge of its texts; ``sample`` draws texts that are likely in it."""

    name: str
    spec: GrammarSpec | None
    has: Callable[[str], bool]
    sample: Callable[[random.Random], str]

    def __repr__(self) -> str:
        return f"Language({self.name!r})"

    @property
    def is_json(self) -> bool:
        return self.spec is not None and self.spec.is_json


FREE = Language("no grammar", None, lambda text: True, text_of)


def regex_language(source: str, characters: str = "ab1 -Ж") -> Language:
    matcher = re.compile(source)
    spec = pk.Grammar.from_regex(source, GRAMMAR_PLACE)
    return Language(source, spec, lambda t: matcher.fullmatch(t) is not None, lambda rng: text_of(rng, characters, 6))


def choices_language(texts: Sequence[str]) -> Language:
    spec = pk.Grammar.from_choices(list(texts), GRAMMAR_PLACE)
    return Language(f"choices {texts}", spec, lambda t: t in texts, lambda rng: rng.choice(list(texts)))


def cfg_language(rules: dict[str, list[list[str]]]) -> Language:
    """A grammar of single-character literals, so that the lexer has one reading."""
    lark = "\n".join(f"{head}: " + " | ".join(" ".join(b) or '""' for b in bodies) for head, bodies in rules.items())
    spec = pk.Grammar.from_lark(lark, GRAMMAR_PLACE)

    def sample(rng: random.Random) -> str:
        def write(symbol: str, depth: int) -> str:
            if symbol.startswith('"'):
                return symbol[1:-1]
            bodies = rules[symbol]
            flat = [b for b in bodies if all(s.startswith('"') for s in b)] or bodies
            return "".join(write(s, depth + 1) for s in rng.choice(flat if depth > 6 else bodies))

        return write("start", 0)

    return Language(lark, spec, lambda text: oracle.derives(rules, text), sample)


def schema_language(schema: dict[str, Any], characters: str = 'ab1 -Жé"\\\n') -> Language:
    spec = pk.Grammar.from_json_schema(schema, GRAMMAR_PLACE)
    return Language(
        oracle.spelled(schema),
        spec,
        lambda text: oracle.is_canonical(text, schema),
        lambda rng: oracle.spelled(value_of(schema, rng, characters)),
    )


def value_of(schema: dict[str, Any], rng: random.Random, characters: str) -> Any:
    """A value that mostly fits the schema."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "anyOf" in schema:
        return value_of(rng.choice(schema["anyOf"]), rng, characters)
    match schema["type"]:
        case "string":
            most = min(schema.get("maxLength", 6), 6)
            if "pattern" in schema:
                return _matching(schema["pattern"][1:-1], rng, most)
            return text_of(rng, characters, most)
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case "array":
            n = rng.randint(schema.get("minItems", 0), min(schema.get("maxItems", 3), 3))
            return [value_of(schema["items"], rng, characters) for _ in range(n)]
        case _:
            required = schema.get("required", ())
            kept = [k for k in schema["properties"] if k in required or rng.random() < 0.5]
            return {k: value_of(schema["properties"][k], rng, characters) for k in kept}


def _matching(pattern: str, rng: random.Random, most: int) -> str:
    for _ in range(200):
        text = text_of(rng, "ab1 -", most)
        if re.fullmatch(pattern, text):
            return text
    return ""


@st.composite
def regexes(draw: st.DrawFn) -> Language:
    atom = st.sampled_from(["a", "b", "1", " ", "-", "[ab]", "[^a]", "[a-c ]", "Ж", "ab", "a b"])
    item = st.tuples(atom, st.sampled_from(["", "", "*", "?", "{1,2}", "+"])).map(
        lambda t: t[0] + t[1] if len(t[0]) == 1 or t[0][0] == "[" or not t[1] else f"(?:{t[0]}){t[1]}"
    )
    branch = st.lists(item, min_size=1, max_size=4).map("".join)
    branches = draw(st.lists(branch, min_size=1, max_size=2))
    source = "|".join(f"(?:{b})" for b in branches)
    return regex_language(source)


@st.composite
def cfgs(draw: st.DrawFn) -> Language:
    symbol = st.sampled_from(['"a"', '"b"', '" "', '"1"', "start", "other"])
    body = st.lists(symbol, min_size=1, max_size=3)
    ground = st.lists(st.sampled_from(['"a"', '"b"', '"1"']), min_size=1, max_size=2)
    rules = {head: [*draw(st.lists(body, min_size=1, max_size=2)), draw(ground)] for head in ("start", "other")}
    for bodies in rules.values():
        bodies[:] = [b for i, b in enumerate(bodies) if b not in bodies[:i] and b not in (["start"], ["other"])]
    return cfg_language(rules)


_string_schema = (
    st.just({"type": "string"})
    | st.fixed_dictionaries({"type": st.just("string"), "maxLength": st.integers(1, 5)})
    | st.lists(_phrase, min_size=1, max_size=3, unique=True).map(lambda found: {"enum": found})
    | st.sampled_from(["^[ab ]{1,4}$", "^(?:ab|1)(?: b)?$", "^a[^a]b$", "^[ab1]*$"]).map(
        lambda p: {"type": "string", "pattern": p}
    )
)
_value_schema = (
    _string_schema
    | st.just({"type": "boolean"})
    | st.fixed_dictionaries({"type": st.just("array"), "items": _string_schema, "maxItems": st.integers(1, 3)})
)


@st.composite
def schemas(draw: st.DrawFn) -> Language:
    keys = draw(st.lists(st.sampled_from(["a", "b a", "k", "Ж"]), min_size=1, max_size=3, unique=True))
    required = draw(st.lists(st.sampled_from(keys), max_size=2, unique=True))
    fields = {"type": "object", "additionalProperties": False}
    properties = {key: draw(_value_schema) for key in keys}
    return schema_language({**fields, "properties": properties, "required": required})


LANGUAGES = (
    st.just(FREE)
    | regexes()
    | cfgs()
    | schemas()
    | st.lists(_phrase, min_size=1, max_size=4, unique=True).map(choices_language)
)
