"""Parameters in XML, as models write the arguments of calls: what a schema's style says, as formats of its own.

A text stands there as it is, to the first end of its parameter; everything else is JSON. Read from what xgrammar calls
`style`: Qwen, MiniMax, GLM and DeepSeek. White space is admitted before a parameter, twice at most, so that no model
writes nothing else; parameters come in the schema's order.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from policykit.grammar.tag_forms import Const, Either, Expression, Format, Free, Repeated, Sequence, Tag, Value
from policykit.ir.grammar import GrammarSpec

Json = Mapping[str, object]
NAME = "[a-zA-Z_][a-zA-Z0-9_]*"
_OF_OBJECTS = {"type", "properties", "required", "additionalProperties", "title", "description", "$schema"}
_OF_TEXTS = {"type", "title", "description", "default", "examples"}
_OF_VALUES = {"$ref", "allOf", "anyOf", "oneOf", "not", "if"}


@dataclass(frozen=True, slots=True)
class Style:
    """What stands around the name of a parameter, and behind its value. ``text`` and ``value`` say of which kind it is,
    where the style says so."""

    before: str
    behind: str
    close: str
    text: str = ""
    value: str = ""


_DSML = "｜DSML｜"
STYLES: Mapping[str, Style] = {
    "qwen_xml": Style("<parameter=", ">", "</parameter>"),
    "minimax_xml": Style('<parameter name="', '">', "</parameter>"),
    "glm_xml": Style("<arg_key>", "</arg_key><arg_value>", "</arg_value>"),
    "deepseek_xml": Style(
        f'<{_DSML}parameter name="', '" string="', f"</{_DSML}parameter>", 'true">', 'false">',
    ),
    "deepseek_v4_1_xml": Style(
        f'<{_DSML} parameter name="', '" string="', f"</{_DSML} parameter>", 'true">', 'false">',
    ),
}  # fmt: skip


class Unsupported(Exception):
    """A schema says what no parameter in XML is masked for; the message begins with what it is."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Makes the formats of one style. ``regex`` and ``schema`` make the grammars of expressions and of JSON."""

    style: Style
    path: str
    regex: Callable[[str], GrammarSpec]
    schema: Callable[[object, str], Value]

    def of(self, schema: object) -> Format:
        """The format of a schema's object. Raises Unsupported."""
        found = _members(schema)
        if schema is False or found.get("type", "object") != "object":
            raise Unsupported("`type` is not `object`")
        if not found.get("properties"):
            if extra := sorted(found.keys() - _OF_OBJECTS):
                raise Unsupported(f"`{extra[0]}` is no property")
            is_closed = found.get("additionalProperties") is False
            return Const("") if is_closed else Repeated(self._parameter(None, None), 0, None)
        return self._listed(found)

    def _listed(self, schema: Json) -> Format:
        if extra := sorted(schema.keys() - _OF_OBJECTS):
            raise Unsupported(f"`{extra[0]}` beside properties")
        properties = cast(Mapping[str, object], schema["properties"])
        required = set(cast(list[str], schema.get("required", [])))
        if missing := sorted(required - properties.keys()):
            raise Unsupported(f"`{missing[0]}` is required and no property")
        items: list[Format] = []
        for name, below in properties.items():
            one = self._parameter(name, below)
            items.append(one if name in required else Repeated(one, 0, 1))
        return Sequence(tuple(items))

    def _parameter(self, name: str | None, schema: object) -> Format:
        """One parameter of a name, or of any."""
        before = Expression(self.regex(r"[ \n]{0,2}" + _quoted(self.style.before)))
        named = Expression(self.regex(NAME)) if name is None else Const(name)
        return Sequence((before, named, self._value(name, schema)))

    def _value(self, name: str | None, schema: object) -> Format:
        """Everything behind the name."""
        style, found = self.style, _members(schema)
        text = Tag(style.behind + style.text, Free(()), (style.close,))
        if "enum" in found or "const" in found:
            values = cast(list[object], found["enum"]) if "enum" in found else [found["const"]]
            return Either(tuple(self._known(value) for value in values))
        if found.get("type") == "string":
            if extra := sorted(found.keys() - _OF_TEXTS):
                raise Unsupported(f"`{extra[0]}` of a text")
            return text
        if (extra := sorted(found.keys() & _OF_VALUES)) or not isinstance(found.get("type", ""), str):
            raise Unsupported(f"`{extra[0] if extra else 'type'}` of a parameter")
        if "type" in found:
            return self._json(name, found)
        return Either((text, self._json(name, {}))) if style.text else text

    def _json(self, name: str | None, schema: Json) -> Format:
        style = self.style
        where = f"{self.path}.json_schema" + ("" if name is None else f".properties.{name}")
        return Sequence((Const(style.behind + style.value), self.schema(schema, where), Const(style.close)))

    def _known(self, value: object) -> Format:
        style, is_text = self.style, isinstance(value, str)
        kind = style.text if is_text else style.value
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if style.close in shown:
            raise Unsupported("a value that ends its own parameter")
        return Const(style.behind + kind + shown + style.close)


def _members(schema: object) -> Json:
    return cast(Json, schema) if isinstance(schema, dict) else {}


def _quoted(text: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else f"\\x{{{ord(c):x}}}" for c in text)
