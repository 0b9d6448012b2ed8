"""Inputs that are made to cost: deep, large, many, exponential. Sizes are drawn from a few that are harmless to a few
that are beyond every bound."""

import json
import random
from collections.abc import Callable
from typing import Any


def size(rng: random.Random, *sizes: int) -> int:
    return rng.choice(sizes)


def _nested_schema(rng: random.Random) -> Any:
    word = rng.choice(
        ("items", "not", "allOf", "anyOf", "oneOf", "properties", "additionalProperties", "if", "contains")
    )
    found: Any = {"type": rng.choice(("string", "integer"))}
    for _ in range(size(rng, 3, 10, 30, 60, 120, 300, 900)):
        match word:
            case "allOf" | "anyOf" | "oneOf":
                found = {word: [found, {"type": "null"}] if rng.random() < 0.2 else [found]}
            case "properties":
                found = {"properties": {"a": found}, "required": ["a"]}
            case "if":
                found = {"if": found, "then": {"type": "string"}, "else": {"type": "null"}}
            case _:
                found = {word: found}
    return found if isinstance(found, dict) else {"allOf": [found]}


def _product(rng: random.Random) -> Any:
    """Alternatives in conjunction, which multiply out."""
    n, width = size(rng, 2, 4, 8, 16, 30), size(rng, 2, 3, 5, 12)
    word = rng.choice(("anyOf", "oneOf"))
    kinds: list[Callable[[int, int], Any]] = [
        lambda i, k: {"properties": {f"p{i}": {"const": k}}},
        lambda i, k: {"required": [f"p{i}_{k}"]},
        lambda i, k: {"minimum": i * k},
        lambda i, k: {"pattern": f"a{{{i}}}b{{{k}}}"},
        lambda i, k: {"not": {"const": [i, k]}},
    ]
    kind = rng.choice(kinds)
    return {
        "type": rng.choice(("object", "number", "string")),
        "allOf": [{word: [kind(i, k) for k in range(width)]} for i in range(n)],
    }


def _cycles(rng: random.Random) -> Any:
    n = size(rng, 1, 2, 5, 50, 400)
    defs: dict[str, Any] = {}
    for i in range(n):
        to = {"$ref": f"#/$defs/d{(i + 1) % n}"}
        defs[f"d{i}"] = rng.choice(
            (
                to,
                {"allOf": [to]},
                {"anyOf": [to, {"type": "null"}]},
                {"not": to},
                {"oneOf": [to, {"type": "string"}]},
                {"type": "array", "items": to},
                {"type": "object", "properties": {"a": to, "b": {"$ref": "#/$defs/d0"}}, "required": ["a"]},
                {"if": to, "then": {"$ref": "#"}},
                {"properties": {"a": to}, "unevaluatedProperties": False},
                {"dependentSchemas": {"a": to}, "additionalProperties": to},
            )
        )
    return {"$ref": "#/$defs/d0", "$defs": defs}


def _counts(rng: random.Random) -> Any:
    n = size(rng, 50, 1_000, 20_000, 10**6, 10**9, 2**63, 10**30)
    word, kind = rng.choice(
        (("minItems", "array"), ("maxItems", "array"), ("minLength", "string"), ("maxLength", "string"),
         ("minProperties", "object"), ("maxProperties", "object"), ("minContains", "array"), ("maxContains", "array"),
         ("multipleOf", "integer"), ("minimum", "integer"), ("maximum", "number"), ("exclusiveMinimum", "number"))
    )  # fmt: skip
    found: dict[str, Any] = {"type": kind, word: rng.choice((n, n, float(n), -n if "imum" in word else n))}
    if "Contains" in word:
        found["contains"] = rng.choice(({"type": "string"}, True, {"const": 1}))
    if kind == "array":
        found["items"] = rng.choice((True, {"enum": [1, 2, 3]}, {"type": "array", word: n}))
        found["uniqueItems"] = rng.random() < 0.3
    if kind == "string" and rng.random() < 0.5:
        found["pattern"] = rng.choice(("^(a|b)*$", "^[a-z]{0,100}$", "x{50}y"))
    return found


def _numbers(rng: random.Random) -> Any:
    numbers = (0.1, 1e-300, 1e300, 5e-324, 3, 7.5, 97, 99991, 0.3333333333333333, 1e22, -1e-7, 2**53 + 1, 10**40, 1e-9)
    found = {
        "type": rng.choice(("integer", "number")),
        "multipleOf": abs(rng.choice(numbers)),
        "minimum": rng.choice(numbers),
        "exclusiveMaximum": rng.choice(numbers),
        "allOf": [{"multipleOf": abs(rng.choice(numbers))}, {"maximum": rng.choice(numbers)}],
        "enum": rng.sample(numbers, 3),
    }
    return {key: found[key] for key in ("type", *rng.sample(sorted(found), rng.randint(1, 4)))}


def _many(rng: random.Random) -> Any:
    n = size(rng, 20, 200, 1_000, 5_000)
    match rng.randrange(9):
        case 0:
            return {"enum": [f"word{i}" * rng.randint(1, 3) for i in range(n)]}
        case 1:
            return {
                "properties": {f"p{i}": {"type": "string"} for i in range(n)},
                "required": [f"p{i}" for i in range(0, n, 2)],
            }
        case 2:
            return {
                "anyOf": [
                    {"type": "object", "properties": {"k": {"const": i}, "v": {"type": "integer"}}} for i in range(n)
                ]
            }
        case 3:
            return {"oneOf": [{"pattern": f"^a{{{i % 50}}}[b-z]*{i}$"} for i in range(min(n, 400))]}
        case 4:
            return {"patternProperties": {f"^p{i}.*x": {"type": "integer"} for i in range(min(n, 300))}}
        case 5:
            return {"prefixItems": [{"enum": list(range(i % 7))} for i in range(n)], "uniqueItems": True}
        case 6:
            return {"type": "object", "dependentRequired": {f"p{i}": [f"p{i + 1}"] for i in range(min(n, 300))}}
        case 7:
            return {"oneOf": [{"required": [f"p{i}"]} for i in range(min(n, 200))]}
        case _:
            return {"allOf": [{"not": {"const": i}} for i in range(min(n, 400))]}


def _texts(rng: random.Random) -> Any:
    text = rng.choice(
        ("\ud800", "\x00", "\u2028", "a" * 100_000, "é" * 3_000, "\U0010ffff", '"', "\\", "\x7f\x1f", "/", "$")
    )
    return rng.choice(
        (
            {"const": text},
            {"enum": [text, text + "b"]},
            {"properties": {text: {"type": "null"}}, "required": [text]},
            {"required": [text]},
            {"pattern": text},
            {"$defs": {text: {"type": "string"}}, "$ref": f"#/$defs/{text}"},
            {"$ref": text},
            {"$id": text, "type": "string"},
            {"$anchor": text},
            {"description": text, "default": text, "type": "string"},
            {"patternProperties": {text: True}},
        )
    )


PATTERNS = (
    "(a|aa|aaa)*b", "(a*)*b", "(.*a){12}", "^(a?){40}a{40}$", "[ab]*a[ab]{14}", "(?:a{1,50}){1,50}",
    "((a{30}){30}){30}",
    r"\p{L}{1,200}", r"[\p{Greek}\p{Han}]{3,40}x", r"(\w+\s*)+$", "^(?!.*ab)(?=.*cd).*$", "(?<=a)b",
    r"^(.)(.).*\2\1$", "^" + "a?" * 60 + "$",
    r"[^\x00-\U0010ffff]", r"\u{1f600}", "(" * 40 + "a" + ")" * 40,
    "|".join(f"w{i}" for i in range(800)), ".{1000}", "a{99999}", "(?i)ß",
    "[z-a]", "(?P<n>a)(?P=n)", r"\cA", r"[\d-x]", r"^\S+@\S+\.\S+$", r"(?:[^a]|a[^b]){0,300}", r"\B\b",
    "(?=(?=(?=a)))", "$^", "a^b$c",
)  # fmt: skip


def _pattern(rng: random.Random) -> Any:
    found: dict[str, Any] = {"type": "string", "pattern": rng.choice(PATTERNS)}
    if rng.random() < 0.4:
        found["maxLength"] = size(rng, 2, 40, 2_000)
    if rng.random() < 0.3:
        found["allOf"] = [{"pattern": rng.choice(PATTERNS)}, {"not": {"pattern": rng.choice(PATTERNS)}}]
    return (
        {"patternProperties": {found["pattern"]: False, rng.choice(PATTERNS): {"type": "null"}}}
        if rng.random() < 0.2
        else found
    )


def _containing(rng: random.Random) -> Any:
    inner: Any = {
        "type": "array",
        "contains": {"const": 1},
        "minContains": size(rng, 1, 3, 9),
        "maxContains": size(rng, 3, 12),
    }
    for _ in range(size(rng, 1, 3, 6)):
        inner = {"type": "array", "contains": inner, "items": {"not": inner}, "uniqueItems": True}
    return rng.choice((inner, {"not": inner}, {"oneOf": [inner, {"not": inner}, {"maxItems": 3}]}))


SCHEMAS = (_nested_schema, _product, _cycles, _counts, _numbers, _many, _texts, _pattern, _containing)


def schema(rng: random.Random) -> Any:
    found = rng.choice(SCHEMAS)(rng)
    if rng.random() < 0.2:
        found = {"type": "object", "properties": {"a": found, "b": rng.choice(SCHEMAS)(rng)}}
    if rng.random() < 0.15:
        found = {"$schema": "http://json-schema.org/draft-07/schema#", **found}
    return found


def schema_text(rng: random.Random) -> str:
    if rng.random() < 0.03:
        return rng.choice(
            (
                '{"items":' * 5_000 + "{}" + "}" * 5_000,
                "[" * 100_000,
                '{"a":1,"a":2}',
                "1" * 5_000,
                "",
                "\ufeff{}",
                "NaN",
            )
        )
    try:
        return json.dumps(schema(rng))
    except RecursionError:
        return "{}"


def bnf(rng: random.Random, is_ebnf: bool) -> str:
    n = size(rng, 3, 20, 60, 200, 900)
    match rng.randrange(14):
        case 0:
            return "root ::= " + "(" * n + '"a"' + ")" * n
        case 1:
            return "root ::= " + "(" * min(n, 60) + '"a"' + ")*" * min(n, 60)
        case 2:
            return f'root ::= (("a"{{{n}}}){{{n}}}){{{size(rng, 1, 9, 1000)}}}'
        case 3:
            return "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(n)) + f'r{n} ::= "a"\n'
        case 4:
            return (
                "root ::= r0\n"
                + "".join(f'r{i} ::= r{i + 1} | "" r{i + 1} "b"\n' for i in range(n))
                + f'r{n} ::= "a"\n'
            )
        case 5:
            return "root ::= " + " | ".join(f'"word{i}"' for i in range(n * 5))
        case 6:
            return 'root ::= root root | root "a" | "a" | ' + ('""' if is_ebnf else '"" | ')
        case 7:
            return "root ::= " + " ".join('"a"?' for _ in range(n)) + ' "b"'
        case 8:
            return f"root ::= [^a]{{{n}}} [\\u4e00-\\u9fff]{{0,{n}}} [a-z]*"
        case 9:
            return "root ::= a\na ::= b\nb ::= c\nc ::= " + rng.choice(
                ("a", 'a | "x"', "b c | [a-b]", 'a? "x"', "(a)* b*")
            )
        case 10:
            return 'root ::= "' + "x" * (n * 100) + '"'
        case 11:
            return (
                "root ::= "
                + " | ".join(
                    f'r{i}\nr{i} ::= "a" r{(i * 7) % n}? "b"'.replace("\n", "") if False else f'"a" r{i}'
                    for i in range(n)
                )
                + "\n"
                + "".join(f'r{i} ::= "b" r{(i * 7 + 1) % n}? | "c"{{0,9}}\n' for i in range(n))
            )
        case 12:
            return "root ::= (" * 3 + '"a" | "ab" | "aba" | "b"' + "){0,30}" * 3
        case _:
            return "root ::= " + "[" + "".join(f"\\u{code:04x}" for code in range(0x100, 0x100 + n)) + "]+"


def lark(rng: random.Random, is_plain: bool) -> str:
    n = size(rng, 3, 20, 60, 200, 900)
    pattern = rng.choice(PATTERNS).replace("/", "\\/")
    match rng.randrange(13):
        case 0:
            return f"start: A B\nA: /{pattern}/\nB: /{rng.choice(PATTERNS)}/\n"
        case 1:
            return "start: " + "(" * n + '"a"' + ")" * n
        case 2:
            return f'start: (("a"~{n})~{n})~{size(rng, 1, 9)}\n'
        case 3:
            return "start: r0\n" + "".join(f"r{i}: r{i + 1} r{i + 1}\n" for i in range(n)) + f'r{n}: "a"\n'
        case 4:
            return (
                "start: "
                + " | ".join(f"T{i}" for i in range(n))
                + "\n"
                + "".join(f"T{i}: /a*[b-z]{{{i % 20}}}{i}/\n" for i in range(n))
            )
        case 5:
            return f'start: "a" ("," "a")*\n%ignore /{pattern}/\n'
        case 6:
            return 'start: start start | "a" | \n'
        case 7:
            return "start: A\nA: B C\nB: " + rng.choice(('A "b"', '"b"', "C C C", '/b/ | "c"~3')) + "\nC: /c/\n"
        case 8:
            return f"start: x{{{rng.choice(('A', 'x{A}', 'x{x}', 'A, A'))}}}\nx{{t}}: t t\nA: /a/\n"
        case 9:
            return "start: " + " ".join('["a"]' for _ in range(n)) + ' "b"'
        case 10:
            body = json.dumps(schema(rng))
            return "start: " + rng.choice((f"%json {body}", f'"x" %json {body} "y"', "A & ~B\nA: /a+/\nB: /aa/"))
        case 11:
            return "start: T\nT: " + rng.choice(
                ("/a+/ & /b+/", "~/a/", "/[a-z]+/ & ~/.*x.*/", "~(~(/a/))", "(/a/ & /ab?/){3}", "/a/i & /A/")
            )
        case _:
            return (
                "start: A | B\nA.5: /[a-z]+/\nB.-1: "
                + rng.choice(('"if"i', '"a".."z"', "/(?i:x)/", '"\\U0001F600"', "/\\//"))
                + "\n%import common.WS\n%ignore WS\n"
            )


def regex(rng: random.Random) -> str:
    n = size(rng, 3, 20, 60, 200, 1000)
    return rng.choice(
        (
            rng.choice(PATTERNS),
            rng.choice(PATTERNS) + rng.choice(PATTERNS),
            f"(?:{rng.choice(PATTERNS)})|(?:{rng.choice(PATTERNS)})",
            "(" * n + "a" + ")" * n,
            "(" * n + "a" + ")*" * n,
            f"(?:a|b|ab){{{n}}}",
            f"(a?){{{n}}}a{{{n}}}",
            f"[ab]*a[ab]{{{n}}}",
            "|".join(f"(?:w{i}.*{i})" for i in range(n)),
            f"\\p{{L}}{{{n}}}\\P{{Lu}}*[^\\p{{Han}}]",
            f"(?i)[à-ÿ]{{1,{n}}}ſK",
            f"\\Q{'*' * n}\\E",
            "(?:" + "|".join("a" * i for i in range(1, min(n, 200))) + ")*",
        )
    )


def tag(rng: random.Random) -> str:
    n = size(rng, 2, 10, 33, 80, 400)
    inner: Any = {"type": "const_string", "value": "x"}
    match rng.randrange(5):
        case 0:
            for _ in range(n):
                inner = rng.choice(
                    (
                        {"type": "sequence", "elements": [inner, inner] if rng.random() < 0.3 else [inner]},
                        {"type": "star", "content": inner},
                        {"type": "optional", "content": inner},
                    )
                )
                if len(json.dumps(inner)) > 200_000:
                    break
        case 1:
            tags = [
                {"type": "tag", "begin": f"<t{i}>", "content": {"type": "any_text"}, "end": f"</t{i}>"}
                for i in range(n)
            ]
            inner = {"type": "triggered_tags", "triggers": ["<"], "tags": tags}
        case 2:
            inner = {
                "type": "or",
                "elements": [{"type": "json_schema", "json_schema": schema(rng)} for _ in range(min(n, 5))],
            }
        case 3:
            inner = {"type": "regex", "pattern": regex(rng)}
        case _:
            inner = {"type": "any_text", "excludes": ["a" * i + "b" for i in range(1, n)]}
    return json.dumps({"type": "structural_tag", "format": inner})
