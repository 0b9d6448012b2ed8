"""JSON Schemas that are valid by construction, of draft-07 and 2020-12, with every keyword nested in every other one;
values that may fit them; and `jsonschema` as their judge."""

import random
from collections.abc import Iterator
from typing import Any

import jsonschema

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
PATTERNS = {
    "^a+$": r"^a+\Z", "a|b": "a|b", "^[a-c]{2,4}$": r"^[a-c]{2,4}\Z", r"\d{3}": "[0-9]{3}",
    "^(ab?|c)*$": r"^(ab?|c)*\Z",
    r"^\w+$": r"^[A-Za-z0-9_]+\Z", "[^a]": "[^a]", "^$": r"^\Z", "^é": "^é", "^(?:foo|bar)$": r"^(?:foo|bar)\Z",
    "^[A-Z][a-z]{0,3}-?$": r"^[A-Z][a-z]{0,3}-?\Z", "^x": "^x", "b$": r"b\Z", "^a": "^a",
    "^.{0,900}$": r"^[^\n]{0,900}\Z",
    r"^\u0061\x62$": r"^ab\Z", "(a*)*b": "(a*)*b", "^(?=a)": "^(?=a)", "^(?!a)": "^(?!a)", r"\bx": r"\bx",
    r"^(a|b)\1$": r"^(a|b)\1\Z",
    "": "(?:)", ".": r"[^\n]", r"^[^\s]*$": r"^[^\s]*\Z", r"^\D+$": r"^[^0-9]+\Z", r"^\p{L}+$": None,
    "^[a-z&&[^b]]$": r"^[a-z\&\[^b]\]\Z", "^[b&&a]+$": r"^[b\&a]+\Z", "[[a]": r"[\[a]", "^[a~~b]*$": r"^[a\~b]*\Z",
    "^[+--]?$": r"^[+,\-]?\Z",
}  # fmt: skip
"""What a pattern is for Python's `re` (ECMA-262 reads `$`, `\\d` and `\\w` otherwise); None: it is not asked."""
NAMES = ("a", "b", "c", "x1", "foo", "Ab", "é", "a/b", "~", "", " ", "$ref", "type", '"', "\n", "0")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
FORMATS = ("date", "time", "date-time", "email", "uuid", "ipv4", "ipv6", "hostname", "uri", "regex", "nonsense")
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 5, 7, 10, 100, 1.5, 0.25, -0.5, 2**53, 10**20, "", "a", "ab", "abc", "aa", "b",
    "foo", "x", "Ab-", "é", "123", "x y", "&", "~", "a]", "\n", '"\\', "😀", "2024-02-29", "127.0.0.1", [], [1], [1, 2],
    ["a"], ["a", "b"], [1, 1], [[]], [None],
    {}, {"a": 1}, {"a": "a"}, {"b": None}, {"a": 1, "b": 2}, {"foo": True}, {"x1": []}, {"é": "é"},
]  # fmt: skip


def schema(rng: random.Random) -> dict[str, Any]:
    """A schema; most of them are satisfied by something."""
    return _Maker(rng, rng.random() < 0.3).root()


class _Maker:
    def __init__(self, rng: random.Random, is_draft_7: bool) -> None:
        self.rng, self.is_draft_7 = rng, is_draft_7
        self.definitions = "definitions" if is_draft_7 else "$defs"
        self.references = ["#"]

    def root(self) -> dict[str, Any]:
        names = self.rng.sample(("n", "node", "a b", "é", "t~x"), self.rng.choice((0, 0, 1, 2, 3)))
        self.references += [f"#/{self.definitions}/{name.replace('~', '~0')}" for name in names]
        if names and not self.is_draft_7 and self.rng.random() < 0.3:
            self.references.append("#here")
        depth = self.rng.choice((1, 2, 2, 3, 3, 4))
        found = self.some(depth)
        root = found if isinstance(found, dict) else {"anyOf": [found, {"type": "null"}]}
        if names:
            defined = {name: self.some(max(depth - 1, 1)) for name in names}
            if "#here" in self.references:
                first = defined[names[0]]
                defined[names[0]] = {**(first if isinstance(first, dict) else {}), "$anchor": "here"}
            root = {**root, self.definitions: defined}
        if self.is_draft_7 or self.rng.random() < 0.3:
            root = {"$schema": DRAFT_7 if self.is_draft_7 else DRAFT_2020, **root}
        return root

    def some(self, depth: int) -> Any:
        rng = self.rng
        if depth <= 0:
            return self.leaf()
        match rng.randrange(16):
            case 0:
                return self.leaf()
            case 1 | 2:
                return self.mixed(depth)
            case 3 | 4:
                return {"$ref": rng.choice(self.references)} if rng.random() < 0.7 else self.beside(depth)
            case 5 | 6 | 7:
                return self.union(depth)
            case 8:
                return {"type": sorted(rng.sample(TYPES, 2))} | (self.strings() if rng.random() < 0.3 else {})
            case 9 | 10 | 11:
                return self.arrays(depth)
            case 12:
                return self.strings()
            case _:
                return self.objects(depth)

    def leaf(self) -> Any:
        rng = self.rng
        match rng.randrange(9):
            case 0:
                return rng.choice((True, True, {}, False))
            case 1:
                return {"const": rng.choice(VALUES)}
            case 2 | 3:
                return {"enum": rng.sample(VALUES, rng.randint(1, 4))}
            case 4 | 5:
                return self.numbers()
            case 6 | 7:
                return self.strings()
            case _:
                return {"type": rng.choice(TYPES)}

    def beside(self, depth: int) -> dict[str, Any]:
        other = self.some(depth - 1)
        found = {**(other if isinstance(other, dict) else {}), "$ref": self.rng.choice(self.references)}
        return found if self.rng.random() < 0.5 else {"allOf": [{"$ref": found["$ref"]}, other]}

    def mixed(self, depth: int) -> dict[str, Any]:
        """Keywords of several types at once."""
        found: dict[str, Any] = {}
        makers = (self.strings, self.numbers, lambda: self.arrays(depth - 1), lambda: self.objects(depth - 1))
        for maker in self.rng.sample(makers, self.rng.randint(1, 3)):
            found |= maker()
        found.pop("type", None)
        if self.rng.random() < 0.3:
            found |= self.union(depth - 1)
        return found

    def union(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        several = [self.some(depth - 1) for _ in range(rng.choice((1, 2, 2, 3, 4)))]
        match rng.randrange(9):
            case 0 | 1:
                return {"anyOf": several}
            case 2 | 3:
                return {"oneOf": several}
            case 4:
                return {"allOf": several}
            case 5:
                return {"not": several[0]} | ({"type": rng.choice(TYPES)} if rng.random() < 0.6 else {})
            case 6:
                kinds = [
                    {"type": "object", "properties": {"a": {"const": i}, "b": one}, "required": ["a"]}
                    for i, one in enumerate(several)
                ]
                return {rng.choice(("oneOf", "anyOf")): kinds}
            case 7:
                parts = dict(zip(("then", "else"), several[1:], strict=False))
                return {"if": several[0], **parts}
            case _:
                base = self.some(depth - 1)
                return {**(base if isinstance(base, dict) else {}), "anyOf": several}

    def numbers(self) -> dict[str, Any]:
        rng = self.rng
        found: dict[str, Any] = {"type": rng.choice(("integer", "number"))}
        low = rng.choice((-5, 0, 0, 1, 3, -0.5, -(10**6)))
        if rng.random() < 0.5:
            found[rng.choice(("minimum", "minimum", "exclusiveMinimum"))] = low
        if rng.random() < 0.5:
            found[rng.choice(("maximum", "maximum", "exclusiveMaximum"))] = low + rng.choice(
                (1, 2, 10, 100, 1.5, 10**6)
            )
        if rng.random() < 0.3:
            found["multipleOf"] = rng.choice((1, 2, 3, 5, 7, 10, 0.5, 0.25))
        return found

    def strings(self) -> dict[str, Any]:
        rng = self.rng
        found: dict[str, Any] = {"type": "string"}
        least = rng.choice((0, 1, 2, 3))
        if rng.random() < 0.3:
            found["minLength"] = least
        if rng.random() < 0.3:
            found["maxLength"] = least + rng.choice((0, 1, 3, 20))
        if rng.random() < 0.5:
            found["pattern"] = rng.choice(list(PATTERNS))
        if rng.random() < 0.15:
            found["format"] = rng.choice(FORMATS)
        return found

    def arrays(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        found: dict[str, Any] = {"type": "array"}
        least = rng.choice((0, 0, 1, 2, 3))
        if rng.random() < 0.35:
            found["minItems"] = least
        if rng.random() < 0.35:
            found["maxItems"] = least + rng.choice((0, 1, 2, 4))
        if rng.random() < 0.6:
            found["items"] = self.some(depth - 1)
        if rng.random() < 0.3:
            first = [self.some(depth - 1) for _ in range(rng.randint(1, 3))]
            if not self.is_draft_7:
                found["prefixItems"] = first
            else:
                if "items" in found:
                    found["additionalItems"] = found["items"]
                found["items"] = first
        if rng.random() < 0.2:
            found["uniqueItems"] = True
        if rng.random() < 0.25:
            found["contains"] = self.some(depth - 1)
            if not self.is_draft_7 and rng.random() < 0.6:
                found["minContains"] = rng.choice((0, 1, 2, 3))
                if rng.random() < 0.6:
                    found["maxContains"] = found["minContains"] + rng.choice((0, 1, 2))
        if not self.is_draft_7 and rng.random() < 0.1:
            found["unevaluatedItems"] = self.some(depth - 2)
        return found

    def objects(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        names = rng.sample(NAMES, rng.choice((0, 1, 1, 2, 3)))
        found: dict[str, Any] = {"type": "object"}
        if names or rng.random() < 0.5:
            found["properties"] = {name: self.some(depth - 1) for name in names}
        if rng.random() < 0.5:
            found["required"] = rng.sample(
                [*names, "z", "c"] if rng.random() < 0.2 else names, rng.randint(0, len(names))
            )
        if rng.random() < 0.4:
            found["additionalProperties"] = rng.choice((False, False, self.some(depth - 1)))
        if rng.random() < 0.2:
            found["patternProperties"] = {
                pattern: self.some(depth - 1) for pattern in rng.sample(list(PATTERNS), rng.choice((1, 1, 2)))
            }
        if rng.random() < 0.12:
            found["propertyNames"] = rng.choice((self.strings(), self.leaf(), {"enum": ["a", "b", "foo"]}))
        if rng.random() < 0.15:
            found["minProperties"] = rng.choice((0, 1, 2))
        if rng.random() < 0.15:
            found["maxProperties"] = rng.choice((0, 1, 2, 4))
        return found | self.dependent(names, depth)

    def dependent(self, names: list[str], depth: int) -> dict[str, Any]:
        rng = self.rng
        found: dict[str, Any] = {}
        if rng.random() < 0.15:
            one = rng.choice([*names, "a"])
            if self.is_draft_7:
                found["dependencies"] = {one: rng.choice((["b"], self.some(depth - 2)))}
            else:
                found["dependentRequired"] = {one: rng.sample(("a", "b", "c"), rng.randint(0, 2))}
        if not self.is_draft_7 and rng.random() < 0.08:
            found["dependentSchemas"] = {rng.choice([*names, "a"]): self.some(depth - 2)}
        if not self.is_draft_7 and rng.random() < 0.1:
            found["unevaluatedProperties"] = rng.choice((False, self.some(depth - 2)))
        return found


def candidates(root: dict[str, Any], rng: random.Random, n: int) -> Iterator[Any]:
    """Values of which some may satisfy the schema."""
    for _ in range(n):
        yield _candidate(root, root, rng, 5)
    yield from rng.sample(VALUES, 12)


def _candidate(found: Any, root: dict[str, Any], rng: random.Random, depth: int) -> Any:
    if not isinstance(found, dict) or depth <= 0 or not found:
        return rng.choice(VALUES)
    below = depth - 1
    if isinstance(found.get("$ref"), str):
        target = _resolved(root, found["$ref"])
        if len(found) == 1 or rng.random() < 0.5:
            return _candidate(target, root, rng, below)
    if "const" in found:
        return found["const"]
    if found.get("enum"):
        return rng.choice(found["enum"])
    inner = [one for word in ("anyOf", "oneOf", "allOf") for one in found.get(word, ())]
    inner += [found[word] for word in ("if", "then", "else") if word in found]
    if inner and (rng.random() < 0.6 or "type" not in found):
        return _candidate(rng.choice(inner), root, rng, below)
    types = found.get("type", TYPES)
    match rng.choice(types) if isinstance(types, list | tuple) else types:
        case "array":
            prefix = found.get("prefixItems", found["items"] if isinstance(found.get("items"), list) else [])
            rest = (
                found.get("additionalItems", True) if isinstance(found.get("items"), list) else found.get("items", True)
            )
            n = rng.randint(found.get("minItems", 0), min(found.get("maxItems", 4), found.get("minItems", 0) + 4))
            items = [*prefix[:n], *[rest] * (n - len(prefix))]
            if "contains" in found and items and rng.random() < 0.8:
                items[rng.randrange(len(items))] = found["contains"]
            return [_candidate(item, root, rng, below) for item in items]
        case "object":
            known = found.get("properties", {})
            names = [name for name in known if rng.random() < 0.6]
            names += [name for name in found.get("required", ()) if name not in names]
            if rng.random() < 0.3:
                names += [name for name in rng.sample(("z", "x1", "a", "foo"), 1) if name not in names]
            rest = found.get("additionalProperties", True)
            return {name: _candidate(known.get(name, rest), root, rng, below) for name in names}
        case "string":
            return rng.choice([value for value in VALUES if isinstance(value, str)])
        case "integer" | "number":
            low = found.get("minimum", found.get("exclusiveMinimum", 0))
            return rng.choice((low, low + 1, low + 0.5, found.get("multipleOf", 1) * 2, rng.randint(-3, 12)))
        case "null":
            return None
        case "boolean":
            return rng.random() < 0.5
        case _:
            return rng.choice(VALUES)


def _target(root: Any, reference: str) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
    return found


def says(node: Any, *keywords: str) -> bool:
    """Whether a keyword, or a property of that name, stands anywhere in it."""
    match node:
        case dict():
            return any(name in keywords or says(item, *keywords) for name, item in node.items())
        case list():
            return any(says(item, *keywords) for item in node)
        case _:
            return False


IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")


def turns_in_place(root: dict[str, Any]) -> bool:
    """Whether a reference leads back to where it stands without a step into the value: nobody says what that means."""
    places = {id(node): node for node in _nodes(root)}
    done: set[int] = set()

    def turns(at: int, above: frozenset[int]) -> bool:
        if at in above:
            return True
        if at in done:
            return False
        node = places[at]
        inner = [*_inside(node), *([_resolved(root, node["$ref"])] if isinstance(node.get("$ref"), str) else [])]
        found = any(turns(id(one), above | {at}) for one in inner if id(one) in places)
        done.add(at)
        return found

    return any(turns(at, frozenset()) for at in places)


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    match node:
        case dict():
            yield node
            for item in node.values():
                yield from _nodes(item)
        case list():
            for item in node:
                yield from _nodes(item)
        case _:
            pass


def _inside(node: dict[str, Any]) -> Iterator[Any]:
    for word in IN_PLACE:
        item = node.get(word)
        match item:
            case list():
                yield from item
            case dict() if word.startswith("depend"):
                yield from item.values()
            case _:
                yield item


def _resolved(root: dict[str, Any], reference: str) -> Any:
    if reference == "#here":
        return next((node for node in _nodes(root) if node.get("$anchor") == "here"), {})
    return _target(root, reference)


def oracle(root: dict[str, Any]) -> Any:
    """`jsonschema`'s validator without formats, or None where a pattern means something else to it."""
    try:
        found = _for_python(root)
    except KeyError:
        return None
    return jsonschema.validators.validator_for(root, default=jsonschema.Draft202012Validator)(found)


def _for_python(node: Any) -> Any:
    match node:
        case dict():
            return {name: _said_for_python(name, item) for name, item in node.items()}
        case list():
            return [_for_python(item) for item in node]
        case _:
            return node


def _said_for_python(name: str, item: Any) -> Any:
    if name == "pattern" and isinstance(item, str):
        return _pattern(item)
    if name == "patternProperties" and isinstance(item, dict):
        return {_pattern(pattern): _for_python(one) for pattern, one in item.items()}
    return item if name in ("const", "enum") else _for_python(item)


def _pattern(pattern: str) -> str:
    found = PATTERNS[pattern]
    if found is None:
        raise KeyError(pattern)
    return found
