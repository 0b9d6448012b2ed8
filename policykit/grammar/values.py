"""JSON as values, and RFC 6901 pointers into it."""

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def escape(token: str) -> str:
    """A reference token as a pointer writes it (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1") if "/" in token or "~" in token else token


def unescape(token: str) -> str:
    """The reference token that a pointer's segment stands for."""
    return token.replace("~1", "/").replace("~0", "~")


def split(pointer: str) -> tuple[str, ...]:
    """The decoded reference tokens of a pointer."""
    tokens = pointer.split("/")[1:]
    return tuple(map(unescape, tokens)) if "~" in pointer else tuple(tokens)


def join(pointer: str, *tokens: str | int) -> str:
    """The pointer to a place further inside."""
    for token in tokens:
        pointer = f"{pointer}/{escape(str(token))}"
    return pointer


def copied(value: Json) -> Json:
    """An independent copy."""
    match value:
        case dict():
            return {key: copied(item) if isinstance(item, dict | list) else item for key, item in value.items()}
        case list():
            return [copied(item) if isinstance(item, dict | list) else item for item in value]
        case _:
            return value


def copied_object(value: dict[str, Json]) -> dict[str, Json]:
    """An independent copy."""
    return {key: copied(item) for key, item in value.items()}


def lookup(value: Json, pointer: str) -> Json:
    """What stands at a pointer.

    Raises:
        KeyError: nothing stands there.
    """
    for token in split(pointer):
        match value:
            case dict() if token in value:
                value = value[token]
            case list() if token.isdigit() and int(token) < len(value):
                value = value[int(token)]
            case _:
                raise KeyError(pointer)
    return value


def type_name(value: Json) -> str:
    """The JSON type of a value; integers count as `number`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"


def strings_in(value: Json, pointer: str) -> list[tuple[str, str]]:
    """Every string and property name inside a value, with its pointer."""
    match value:
        case str():
            return [(pointer, value)]
        case list():
            return [found for i, item in enumerate(value) for found in strings_in(item, join(pointer, i))]
        case dict():
            keys = [(join(pointer, key), key) for key in value]
            return keys + [found for key, item in value.items() for found in strings_in(item, join(pointer, key))]
        case _:
            return []
