"""Structural tags, read into values: text in which tags stand whose contents have grammars of their own.

Read from what vLLM and xgrammar take (`{"type": "structural_tag", "format": …}`, and the older form with `structures`
and `triggers`). Refused, each by name: formats about tokens, and limits of free text, which are no property of the text
alone. Free text before a text that is known ends where that first stands.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from policykit.diagnostics import Place, PolicyError
from policykit.grammar.json_schema import json_schema
from policykit.grammar.tag_forms import (
    Const,
    Either,
    Expression,
    Format,
    Free,
    Repeated,
    Separated,
    Sequence,
    Tag,
    Triggered,
    Value,
    check_free,
    ended,
)
from policykit.grammar.tag_parameters import STYLES, Parameters, Unsupported
from policykit.grammar.text_grammars import regex

MAX_DEPTH = 32
MAX_FORMATS = 2_000
Json = Mapping[str, object]


def tag_format(source: str, place: Place) -> Format:
    """The format of a structural tag.

    Raises:
        PolicyError: PK217, and what its schemas and expressions are refused for.
    """
    try:
        data: object = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise PolicyError.of("PK217", "a structural tag is one JSON object", place) from error
    reader = _Reader(place)
    document = reader.members(data, "")
    if document.get("type", "structural_tag") != "structural_tag":
        raise reader.refused("type", "is not `structural_tag`")
    found = reader.legacy(document) if "structures" in document else reader.modern(document)
    check_free(found, place, is_last=True)
    return found


@dataclass(slots=True)
class _Reader:
    place: Place
    n: int = 0

    def refused(self, path: str, why: str) -> PolicyError:
        where = f"`{path}` " if path else "the document "
        return PolicyError.of("PK217", f"{where}{why}", self.place)

    def members(self, value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise self.refused(path, "is no object")
        return {name: item for name, item in cast(dict[str, object], value).items() if item is not None}

    def known(self, value: Json, path: str, *names: str) -> None:
        """Nothing else may be said, unless it says nothing (false, nothing in a list)."""
        for name, item in value.items():
            if name not in ("type", *names) and item not in (False, []):
                raise self.refused(f"{path}.{name}".strip("."), "is not supported")

    def modern(self, document: Json) -> Format:
        self.known(document, "", "format")
        return self.format(document.get("format"), "format", MAX_DEPTH)

    def legacy(self, document: Json) -> Format:
        self.known(document, "", "structures", "triggers")
        tags: list[Tag] = []
        for at, item in enumerate(self.entries(document.get("structures"), "structures")):
            path = f"structures[{at}]"
            entry = self.members(item, path)
            self.known(entry, path, "begin", "schema", "end")
            begin, end = self.text(entry.get("begin"), f"{path}.begin"), self.text(entry.get("end"), f"{path}.end")
            tags.append(Tag(begin, self.value(entry.get("schema"), f"{path}.schema"), (end,)))
        triggers = self.texts(document.get("triggers"), "triggers")
        return self.triggered(Triggered(triggers, tuple(tags), False, False, ()), "triggers")

    def entries(self, value: object, path: str) -> list[object]:
        if not isinstance(value, list) or not value:
            raise self.refused(path, "is no list, or an empty one")
        return cast(list[object], value)

    def text(self, value: object, path: str) -> str:
        if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):
            raise self.refused(path, "is no text")
        return value

    def texts(self, value: object, path: str, *, may_be_empty: bool = False) -> tuple[str, ...]:
        if may_be_empty and not value:
            return ()
        found = tuple(self.text(item, f"{path}[{at}]") for at, item in enumerate(self.entries(value, path)))
        if not all(found):
            raise self.refused(path, "holds an empty text")
        return found

    def value(self, schema: object, path: str) -> Value:
        return Value(path, json_schema(json.dumps(schema), self.place))

    def schema(self, form: Json, path: str) -> Format:
        """A JSON value, or an object as parameters in XML."""
        style, schema = form.get("style", "json"), form.get("json_schema")
        if style == "json":
            return self.value(schema, f"{path}.json_schema")
        if not isinstance(style, str) or style not in STYLES:
            raise self.refused(f"{path}.style", "is not supported")
        parameters = Parameters(STYLES[style], path, lambda pattern: regex(pattern, self.place), self.value)
        try:
            return parameters.of(schema)
        except Unsupported as error:
            raise self.refused(f"{path}.style", f"`{style}` takes no schema with {error}") from None

    def flag(self, form: Json, name: str, path: str) -> bool:
        value = form.get(name, False)
        if not isinstance(value, bool):
            raise self.refused(f"{path}.{name}", "is neither true nor false")
        return value

    def format(self, value: object, path: str, depth: int) -> Format:
        self.n += 1
        if depth <= 0 or self.n > MAX_FORMATS:
            raise self.refused(path, "is nested too deeply, or one of too many")
        form = self.members(value, path)

        def within(name: str) -> tuple[Format, ...]:
            items = self.entries(form.get(name), f"{path}.{name}")
            return tuple(self.format(item, f"{path}.{name}[{at}]", depth - 1) for at, item in enumerate(items))

        def content() -> Format:
            return self.format(form.get("content"), f"{path}.content", depth - 1)

        match form.get("type"):
            case "const_string":
                self.known(form, path, "value")
                return Const(self.text(form.get("value"), f"{path}.value"))
            case "json_schema":
                self.known(form, path, "json_schema", "style")
                return self.schema(form, path)
            case "regex":
                self.known(form, path, "pattern")
                return Expression(regex(self.text(form.get("pattern"), f"{path}.pattern"), self.place))
            case "any_text":
                self.known(form, path, "excludes")
                return Free(self.texts(form.get("excludes"), f"{path}.excludes", may_be_empty=True))
            case "sequence":
                self.known(form, path, "elements")
                return Sequence(ended(within("elements")))
            case "or":
                self.known(form, path, "elements")
                return Either(within("elements"))
            case "optional" | "star" | "plus" as kind:
                self.known(form, path, "content")
                return Repeated(content(), int(kind == "plus"), 1 if kind == "optional" else None)
            case "tag":
                return self.tag(form, path, depth)
            case "triggered_tags" | "tags_with_separator":
                return self.several(form, path, depth)
            case _:
                raise self.refused(f"{path}.type", "is no format that is supported")

    def tag(self, form: Json, path: str, depth: int) -> Tag:
        self.known(form, path, "begin", "content", "end")
        ends = form.get("end")
        several = self.entries(cast(object, ends), f"{path}.end") if isinstance(ends, list) else [ends]
        found = tuple(self.text(end, f"{path}.end[{at}]") for at, end in enumerate(several))
        content = self.format(form.get("content"), f"{path}.content", depth - 1)
        return Tag(self.text(form.get("begin"), f"{path}.begin"), content, found)

    def several(self, form: Json, path: str, depth: int) -> Format:
        flags = ("at_least_one", "stop_after_first")
        is_triggered = form.get("type") == "triggered_tags"
        self.known(form, path, "tags", *flags, *(("triggers", "excludes") if is_triggered else ("separator",)))
        tags = tuple(
            self.tag(self.members(item, f"{path}.tags[{at}]"), f"{path}.tags[{at}]", depth - 1)
            for at, item in enumerate(self.entries(form.get("tags"), f"{path}.tags"))
        )
        at_least_one, stop = (self.flag(form, name, path) for name in flags)
        if not is_triggered:
            separator = self.text(form.get("separator", ""), f"{path}.separator")
            return Separated(tags, separator, at_least_one, stop)
        triggers = self.texts(form.get("triggers"), f"{path}.triggers")
        excludes = self.texts(form.get("excludes"), f"{path}.excludes", may_be_empty=True)
        return self.triggered(Triggered(triggers, tags, at_least_one, stop, excludes), path)

    def triggered(self, found: Triggered, path: str) -> Triggered:
        """Every tag has one trigger, which its beginning begins with; none is in another, so that one comes first."""
        for tag in found.tags:
            if sum(tag.begin.startswith(trigger) for trigger in found.triggers) != 1:
                raise self.refused(path, "has a tag that begins with none of its triggers, or with several")
        words = (*found.triggers, *found.excludes)
        if any(one in other for at, one in enumerate(words) for j, other in enumerate(words) if at != j):
            raise self.refused(path, "has triggers or excluded texts of which one is in another")
        return found
