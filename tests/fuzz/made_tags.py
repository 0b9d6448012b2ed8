"""Structural tags that are valid by construction."""

import json
import random
from typing import Any

from tests.fuzz import made_grammars, made_schemas

STYLES = ("qwen_xml", "minimax_xml", "glm_xml", "deepseek_xml")
EXPRESSIONS = ("[a-c]{2}", "x+y?", "(ab|c)*d", "\\d{1,3}", "[^<]*")


def tag_text(rng: random.Random) -> str:
    if rng.random() < 0.15:
        triggers = ["<t>", "["]
        structures = [
            {
                "begin": rng.choice(triggers) + "a" * i,
                "schema": made_schemas.schema(rng),
                "end": rng.choice(("</t>", "]")),
            }
            for i in range(rng.randint(1, 2))
        ]
        return json.dumps({"type": "structural_tag", "structures": structures, "triggers": triggers})
    return json.dumps({"type": "structural_tag", "format": _form(rng, 3, is_last=True)})


def _tag(rng: random.Random, depth: int, begin: str) -> dict[str, Any]:
    end: Any = rng.choice(("</t>", "]", ";", ["</t>", ";"]))
    return {"type": "tag", "begin": begin, "content": _form(rng, depth - 1, is_last=True), "end": end}


def _form(rng: random.Random, depth: int, *, is_last: bool) -> dict[str, Any]:
    if depth <= 0 or rng.random() < 0.2:
        return _leaf(rng, is_last)
    match rng.randrange(8):
        case 0 | 1:
            n = rng.randint(1, 3)
            return {
                "type": "sequence",
                "elements": [_form(rng, depth - 1, is_last=is_last and i == n - 1) for i in range(n)],
            }
        case 2:
            return {"type": "or", "elements": [_form(rng, depth - 1, is_last=False) for _ in range(rng.randint(1, 3))]}
        case 3:
            kind = rng.choice(("optional", "star", "plus"))
            return {"type": kind, "content": _form(rng, depth - 1, is_last=False)}
        case 4 if is_last:
            found: dict[str, Any] = {"type": "triggered_tags", "triggers": ["<t>", "["]}
            found["tags"] = [_tag(rng, depth, rng.choice(("<t>", "[")) + str(i)) for i in range(rng.randint(1, 3))]
            flags = {name: rng.random() < 0.5 for name in ("at_least_one", "stop_after_first")}
            return found | flags | ({"excludes": ["zz"]} if rng.random() < 0.2 else {})
        case 5:
            tags = [_tag(rng, depth, f"<{i}>") for i in range(rng.randint(1, 2))]
            separator = rng.choice((",", "", "\n"))
            return {
                "type": "tags_with_separator",
                "tags": tags,
                "separator": separator,
                "at_least_one": rng.random() < 0.5,
            }
        case 6:
            names = rng.sample(("a", "b", "c1"), rng.randint(1, 2))
            values: tuple[Any, ...] = (
                {"type": "string"},
                {"type": "integer"},
                {"enum": ["x", 1]},
                {"type": "string", "pattern": "^a+$"},
            )
            schema = {
                "type": "object", "properties": {name: rng.choice(values) for name in names}, "required": names[:1],
                "additionalProperties": False,
            }  # fmt: skip
            return {"type": "json_schema", "json_schema": schema, "style": rng.choice(STYLES)}
        case _:
            return _tag(rng, depth, rng.choice(("<t>", "[", "", "{")))


def _leaf(rng: random.Random, is_last: bool) -> dict[str, Any]:
    match rng.randrange(5 if is_last else 4):
        case 0:
            return {"type": "const_string", "value": rng.choice(("x", "ab", "é", "", "<", '"'))}
        case 1:
            return {"type": "regex", "pattern": rng.choice(EXPRESSIONS)}
        case 2:
            found = made_grammars.language(rng, recursive=False)
            return {"type": "regex", "pattern": made_grammars.regex(found.rules["root"], rng)}
        case 3:
            return {"type": "json_schema", "json_schema": made_schemas.schema(rng)}
        case _:
            return {"type": "any_text"} | ({"excludes": ["ab", "zz"]} if rng.random() < 0.3 else {})
