"""Where a JSON Schema forces text: members, constants and names on one side, restricted strings on the other."""

from dataclasses import replace
from typing import Final

from policykit.automata import parse_regex
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.class_notation import for_the_analysis
from policykit.grammar.engine import masks_format
from policykit.grammar.formats import language_of
from policykit.grammar.productive import ALL_TYPES, producible_types
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json, join, lookup, strings_in
from policykit.ir.grammar import FixedText, JsonSites, StringSite
from policykit.ir.regex import MAX_CODE_POINT, Alternation, Assertion, Chars, Concat, Empty, Look, Regex, Repeat

NAMES: Final = "property names"
"""Why names are restricted that a pattern is for."""
ANY_CHARACTER: Final = Chars(literal=((0, MAX_CODE_POINT),))


def json_sites(document: SchemaDocument, place: Place) -> JsonSites:
    """Every fixed text and every restricted string of the schema, in definition order."""
    needed = _needed(document)
    fixed: list[FixedText] = []
    strings: list[StringSite] = []
    for pointer, schema in document.reachable().items():
        if not isinstance(schema, dict) or document.ignores_siblings(schema):
            continue
        fixed += _fixed_texts(pointer, schema, pointer in needed)
        strings += _string_sites(pointer, schema, place)
    return JsonSites(tuple(fixed), tuple(strings))


_WRITTEN: Final = frozenset({"const", "enum", "properties", "required"})


def _fixed_texts(pointer: str, schema: dict[str, Json], needed: bool) -> list[FixedText]:
    found: list[FixedText] = []
    for keyword, value in schema.items():
        if keyword not in _WRITTEN:
            continue
        match keyword, value:
            case "const", _:
                at = join(pointer, "const")
                found += [FixedText(where, text, "const", needed) for where, text in strings_in(value, at)]
            case "enum", list():
                only = needed and len(value) == 1
                at = join(pointer, "enum")
                found += [FixedText(where, text, "enum", only) for where, text in strings_in(value, at)]
            case "properties", dict():
                required = _required(schema) if needed else frozenset[str]()
                for name in value:
                    found.append(FixedText(join(pointer, "properties", name), name, "key", name in required))
            case "required", list():
                properties = schema.get("properties")
                known = properties if isinstance(properties, dict) else {}
                for i, name in enumerate(value):
                    if isinstance(name, str) and name not in known:
                        found.append(FixedText(join(pointer, "required", i), name, "key", needed))
            case _:
                pass
    return found


def _required(schema: dict[str, Json]) -> frozenset[str]:
    names = schema.get("required")
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _needed(document: SchemaDocument) -> frozenset[str]:
    """Subschemas that every value passes through and where only one JSON type is left (so keys and items count)."""
    types = producible_types(document)
    found: set[str] = set()
    pending = [""]
    while pending:
        pointer = pending.pop()
        schema = lookup(document.root, pointer)
        if pointer in found or not isinstance(schema, dict):
            continue
        found.add(pointer)
        target = document.reference(pointer)
        if target is not None:
            pending.append(target)
        for keyword in ("allOf", "anyOf", "oneOf"):
            members = schema.get(keyword)
            if isinstance(members, list) and (keyword == "allOf" or len(members) == 1):
                pending += [join(pointer, keyword, i) for i in range(len(members))]
        if types.get(pointer) == frozenset({"object"}):
            properties = schema.get("properties")
            names = _required(schema) & (properties.keys() if isinstance(properties, dict) else frozenset())
            pending += [join(pointer, "properties", name) for name in names]
        least = schema.get("minItems")
        if types.get(pointer) == frozenset({"array"}) and isinstance(least, int) and least > 0:
            pending += _first_items(pointer, schema, least)
    # A key is only forced where the value must be an object; elsewhere another type is a way out.
    return frozenset(p for p in found if len(types.get(p, ALL_TYPES)) == 1)


def _first_items(pointer: str, schema: dict[str, Json], least: int) -> list[str]:
    key = "items" if isinstance(schema.get("items"), list) else "prefixItems"
    listed = schema.get(key)
    if isinstance(listed, list):
        return [join(pointer, key, i) for i in range(min(least, len(listed)))]
    return [join(pointer, "items")] if "items" in schema else []


def _string_sites(pointer: str, schema: dict[str, Json], place: Place) -> list[StringSite]:
    found: list[StringSite] = []
    restrictions = [k for k in ("pattern", "format", "minLength", "maxLength") if k in schema]
    format_name = schema.get("format")
    if isinstance(format_name, str) and not masks_format(format_name):
        restrictions.remove("format")
    if restrictions and "string" in _own_types(schema):
        found.append(_string_site(pointer, schema, restrictions, place))
    patterns = schema.get("patternProperties")
    for source in patterns if isinstance(patterns, dict) else {}:
        names = searched(source, place)
        found.append(StringSite(join(pointer, "patternProperties", source), names, NAMES, names))
    return found


def _own_types(schema: dict[str, Json]) -> frozenset[Json]:
    match schema.get("type"):
        case str() as name:
            return frozenset({name})
        case list() as names:
            return frozenset(name for name in names if isinstance(name, str))
        case _:
            return frozenset({"string"})


def _string_site(pointer: str, schema: dict[str, Json], restrictions: list[str], place: Place) -> StringSite:
    why = " and ".join(restrictions)
    if "format" in restrictions:
        alone = schema.get("format") if len(restrictions) == 1 else None
        regex = language_of(alone) if isinstance(alone, str) else None
        return StringSite(pointer, regex, why, regex)
    least, most = schema.get("minLength"), schema.get("maxLength")
    low = int(least) if isinstance(least, int | float) else 0
    high = int(most) if isinstance(most, int | float) else None
    source = schema.get("pattern")
    pattern = searched(source, place) if isinstance(source, str) else Repeat(ANY_CHARACTER, 0, None)
    return StringSite(pointer, None if pattern is None else _bounded(pattern, low, high), why, pattern, low, high)


def searched(source: str, place: Place) -> Regex | None:
    """The texts in which an unanchored pattern is found, or None where it is not an RE2 expression."""
    try:
        found = parse_regex(for_the_analysis(source), place)
    except PolicyError:
        return None  # the engine or the validator may still read it; only the analysis goes without
    items = found.items if isinstance(found, Concat) else (found,)
    starts = bool(items) and items[0] == Assertion(Look.TEXT_START)
    ends = bool(items) and items[-1] == Assertion(Look.TEXT_END)
    inner = items[starts : len(items) - ends]
    anything = Repeat(ANY_CHARACTER, 0, None)
    parts = (*(() if starts else (anything,)), *inner, *(() if ends else (anything,)))
    return parts[0] if len(parts) == 1 else Concat(parts) if parts else Empty()


def _bounded(regex: Regex, low: int, high: int | None) -> Regex | None:
    """The words of ``regex`` of ``low`` to ``high`` characters, where that is plain to say."""
    shortest, longest = _lengths(regex)
    if shortest >= low and (high is None or (longest is not None and longest <= high)):
        return regex
    if isinstance(regex, Repeat) and isinstance(regex.item, Chars):
        most = regex.most if high is None else high if regex.most is None else min(high, regex.most)
        least = max(low, regex.least)
        return replace(regex, least=least, most=most) if most is None or least <= most else None
    return None


def _lengths(regex: Regex) -> tuple[int, int | None]:
    """The shortest and the longest word's length; None where there is no longest."""
    match regex:
        case Empty() | Assertion():
            return 0, 0
        case Chars():
            return 1, 1
        case Concat(items):
            parts = [_lengths(item) for item in items]
            longest = [most for _, most in parts]
            return sum(least for least, _ in parts), None if None in longest else sum(m for m in longest if m)
        case Alternation(items):
            parts = [_lengths(item) for item in items]
            longest = [most for _, most in parts]
            shortest = min((least for least, _ in parts), default=0)
            return shortest, None if None in longest else max((m for m in longest if m), default=0)
        case Repeat(item, least, most):
            short, long = _lengths(item)
            if long == 0 or most == 0:
                return short * least, 0
            return short * least, None if most is None or long is None else long * most
