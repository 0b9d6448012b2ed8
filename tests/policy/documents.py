"""Random valid documents as JSON values, and YAML for them in random formatting: none of it is the loader's code."""

import json
import random
import string
from typing import Any

from hypothesis import strategies as st

_word = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6)
_id = st.lists(_word, min_size=1, max_size=3).map("-".join)
_free = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_text = st.tuples(_free, st.sampled_from("aXé中😀7"), _free).map("".join)
_glob = st.lists(st.sampled_from(["a", "acme-", "*", "en-", "GB"]), min_size=1, max_size=3).map("".join)
_regex = st.sampled_from([r"(?i)\bacct[- ]?\d{8}\b", "a|b", "[^x]y", r"\x{1F600}+", "'\"#: ", "a{2,3}(?:b|c)*d"])
_day = st.dates().map(lambda day: day.isoformat())
_cost = st.floats(0, 1e9) | st.integers(0, 10**6)


def _fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def _some(item: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(item, min_size=1, max_size=most)


_scope = _fields({"profiles": _some(_glob)}, {"tenants": _some(_glob), "locales": _some(_glob)})
_context = _fields({"regex": _regex, "within": st.integers(0, 1000)}, {})
_options = {
    "views": st.lists(st.sampled_from(["raw", "compat", "unmarked"]), min_size=1, unique=True),
    "within": st.sampled_from(["auto", "json.strings"]),
    "join": st.sampled_from(["none", "array"]),
    "before": _context,
    "after": _context,
}
_leaf = _fields({"phrases": _some(_text)}, {"exact": st.booleans(), "regex": _some(_regex), **_options})
_leaf |= _fields({"regex": _some(_regex)}, _options)
_match = st.recursive(
    _leaf,
    lambda inner: _fields({"all": _some(inner)}, {}) | _fields({"any": _some(inner)}, {}) | _fields({"not": inner}, {}),
    max_leaves=4,
)
_message = _fields({}, {"message": _text, "code": _text, "onMatch": st.sampled_from(["avoid", "stop"])})
_block = st.fixed_dictionaries({"block": _message})
_transform = st.fixed_dictionaries(
    {
        "transform": st.fixed_dictionaries({"replace": st.fixed_dictionaries({"with": _free})})
        | st.fixed_dictionaries({"mask": _fields({"with": st.just("[{type}_{n}]")}, {"type": st.just("IBAN")})})
    }
)
_modes = {
    "mode": st.sampled_from(["enforce", "shadow", "off"]),
    "severity": st.sampled_from(["low", "medium", "high", "critical"]),
    "cost": _cost,
}


def _rule(rule_id: str) -> st.SearchStrategy[dict[str, Any]]:
    optional = {**_modes, "scope": _scope, "why": _text, "target": st.just("output")}
    blocked = _fields({"id": st.just(rule_id), "match": _match, "action": _block}, optional)
    changed = _fields({"id": st.just(rule_id), "match": _leaf, "action": _transform}, optional)
    return blocked | changed


def _test(name: str, ids: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    given = _fields({"output": _free}, {"profile": _text, "at": _day, "locale": _text})
    decision = st.sampled_from(["block", "transform", "allow"])
    expect = _fields({"decision": decision}, {"rules": st.lists(st.sampled_from(ids), max_size=2), "output": _free})
    return st.fixed_dictionaries({"name": st.just(name), "given": given, "expect": expect})


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A valid document as JSON values."""
    ids = draw(st.lists(_id, min_size=1, max_size=3, unique=True))
    names = draw(st.lists(_text, max_size=2, unique=True))
    out: dict[str, Any] = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {
            "name": draw(_id) + "/" + draw(_id),
            "version": draw(st.sampled_from(["1.10", "0.3.0-rc.1", "2.0.0+b.7"])),
            "owner": draw(_text),
            "why": draw(_text),
        },
        "rules": [draw(_rule(rule_id)) for rule_id in ids],
    }
    if names:
        out["tests"] = [draw(_test(name, ids)) for name in names]
    if draw(st.booleans()):
        out["scope"] = draw(_scope)
    if draw(st.booleans()):
        out["effective"] = {"from": "2026-01-01", "until": "2028-01-01"}
    if draw(st.booleans()):
        out["defaults"] = draw(_fields({"onError": st.just("block")}, _modes))
    return out


def as_yaml(value: dict[str, Any], seed: int) -> str:
    """The value as YAML, with keys, quotes, block or flow style, comments and blank lines at random."""
    return "\n".join(_Writer(random.Random(seed)).block(value, 0)) + "\n"


class _Writer:
    def __init__(self, choose: random.Random) -> None:
        self.choose = choose

    def block(self, value: Any, indent: int) -> list[str]:
        lines: list[str] = []
        if isinstance(value, dict):
            keys = list(value)
            self.choose.shuffle(keys)
            for key in keys:
                lines += self.entry(f"{' ' * indent}{self.key(key)}:", value[key], indent)
        else:
            for item in value:
                lines += self.entry(f"{' ' * indent}-", item, indent)
        return lines

    def entry(self, start: str, value: Any, indent: int) -> list[str]:
        noise = ["", "# a comment: {[", " " * indent + "# more"]
        before = [self.choose.choice(noise)] if self.choose.random() < 0.2 else []
        if isinstance(value, dict | list) and value and self.choose.random() < 0.6:
            return [*before, start, *self.block(value, indent + self.choose.randint(1, 4))]
        comment = "  # because" if self.choose.random() < 0.2 else ""
        return [*before, f"{start} {self.flow(value)}{comment}"]

    def flow(self, value: Any) -> str:
        match value:
            case dict():
                keys = list(value)
                self.choose.shuffle(keys)
                return "{" + ", ".join(f"{self.key(key)}: {self.flow(value[key])}" for key in keys) + "}"
            case list():
                return "[" + ", ".join(map(self.flow, value)) + "]"
            case str():
                return self.text(value)
            case _:
                return json.dumps(value)

    def key(self, key: str) -> str:
        return self.choose.choice([key, f"'{key}'", json.dumps(key)])

    def text(self, text: str) -> str:
        plain = text.isascii() and text.replace("-", "").isalnum() and text[0].isalpha()
        if plain and text.lower() not in ("true", "false", "null") and self.choose.random() < 0.7:
            return text
        if text.isprintable() and self.choose.random() < 0.5:
            return "'" + text.replace("'", "''") + "'"
        return json.dumps(text)
