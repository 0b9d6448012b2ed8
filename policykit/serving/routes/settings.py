"""Settings that several routes share: read strictly, a null like nothing at all."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from policykit.serving.messages import Defined, Wanted, invalid, list_at, name_at, object_at, text_at

MAX_STOPS = 4
"""As many as OpenAI takes, and vLLM if it is not told otherwise."""
PENALTIES = ("presence_penalty", "frequency_penalty")
VLLM_ONLY = ("top_k", "min_p", "repetition_penalty")
"""Settings of sampling that only vLLM knows."""
FORMS = {
    "json": "JSON", "json_object": "JSON_OBJECT", "regex": "REGEX", "choice": "CHOICE", "grammar": "GRAMMAR",
    "structural_tag": "STRUCTURAL_TAG",
}  # fmt: skip
"""The forms of a grammar in vLLM's `structured_outputs`, and what vLLM calls them inside."""
UNUSED = {
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user",
}  # fmt: skip
"""What clients of OpenAI send along, and what is the deployment's to decide here: read by nobody, kept nowhere."""
PASSED = {"stop", *PENALTIES, *VLLM_ONLY}


def number_at(body: Mapping[str, object], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(name, f"give a number from {low:g} to {high:g}")
    return float(value)


def whole_at(body: Mapping[str, object], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(name, f"give a whole number from {low} to {high}")
    return value


def flag_at(body: Mapping[str, object], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(name, "give true or false")
    return value


def unused_at(body: Mapping[str, object]) -> tuple[str, ...]:
    """The fields of UNUSED that a request has. Raises Refused where it counts on being stored."""
    if flag_at(body, "store"):
        raise invalid("store", "nothing is stored; leave it out")
    return tuple(name for name in body if name in UNUSED)


def model_at(body: Mapping[str, object]) -> str | None:
    return None if body.get("model") is None else text_at(body["model"], "model")


def passed_at(body: Mapping[str, object]) -> dict[str, object]:
    """What goes to the upstream as it is."""
    found: dict[str, object] = {}
    stop = body.get("stop")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else list_at(stop, "stop", MAX_STOPS)
        texts = [text_at(text, "stop") for text in stops]
        if not all(texts):
            raise invalid("stop", "an empty text stops nothing; leave it out")
        found["stop"] = texts
    ranges = dict.fromkeys(PENALTIES, (-2.0, 2.0)) | {"min_p": (0.0, 1.0), "repetition_penalty": (0.01, 10.0)}
    for name, (low, high) in ranges.items():
        number = number_at(body, name, low, high)
        if number is not None:
            found[name] = number
    top_k = whole_at(body, "top_k", -1, 1 << 20)
    return found if top_k is None else {**found, "top_k": top_k}


def include_usage_at(body: Mapping[str, object]) -> bool:
    if body.get("stream_options") is None:
        return False
    return bool(flag_at(object_at(body["stream_options"], "stream_options", {"include_usage"}), "include_usage"))


def grammar_at(value: Any, param: str) -> Wanted | None:
    """The grammar that a `response_format` wants; None for text."""
    if value is None:
        return None
    kind = cast(dict[str, object], value).get("type") if isinstance(value, dict) else None
    match kind:
        case "text":
            object_at(value, param, {"type"})
            return None
        case "json_object":
            object_at(value, param, {"type"})
            return Wanted("JSON_OBJECT", "", param)
        case "json_schema":
            wanted = object_at(value, param, {"type", "json_schema"})
            names = {"name", "schema", "strict", "description"}
            return schema_in(object_at(wanted.get("json_schema"), f"{param}.json_schema", names), param)
        case "structural_tag":
            object_at(value, param, {"type", "format", "structures", "triggers"})
            return Wanted("STRUCTURAL_TAG", json.dumps(value), param)
        case _:
            raise invalid(f"{param}.type", "give `text`, `json_object`, `json_schema` or `structural_tag`")


def schema_in(wanted: Mapping[str, object], param: str) -> Wanted:
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise invalid(param, "give the schema, an object")
    return Wanted("JSON", json.dumps(schema), param)


def structured_at(value: object, others: Wanted | None) -> Wanted | None:
    """The grammar that vLLM's `structured_outputs` wants, in one of its forms, and in nothing else beside."""
    param = "structured_outputs"
    if value is None:
        return others
    found = object_at(value, param, set(FORMS))
    if found.get("json_object") is False:
        del found["json_object"]
    if len(found) + (others is not None) != 1:
        raise invalid(param, "give one grammar, in one form")
    (name, source) = found.popitem()
    where, form = f"{param}.{name}", FORMS[name]
    match name:
        case "json":
            if not isinstance(source, str | dict):
                raise invalid(where, "give the schema, an object or its text")
            return Wanted(form, source if isinstance(source, str) else json.dumps(source), where)
        case "json_object":
            if source is not True:
                raise invalid(where, "give true or false")
            return Wanted(form, "", where)
        case "choice":
            texts = [text_at(text, f"{where}[{at}]") for at, text in enumerate(list_at(source, where, 4096))]
            return Wanted(form, json.dumps(texts), where)
        case _:
            return Wanted(form, text_at(source, where), where)


def tools_at(value: object, param: str, *, flat: bool) -> tuple[Defined, ...]:
    """The tools that a client offers, each once. What it says about those of the profile is not used: the profile's own
    descriptions and schemas are. ``flat``: as `/v1/responses` writes them."""
    found: dict[str, Defined] = {}
    for at, item in enumerate(list_at(value, param, 128)):
        where = f"{param}[{at}]"
        about = {"name", "description", "parameters", "strict"}
        tool = object_at(item, where, {"type", *about} if flat else {"type", "function"})
        if tool.get("type") != "function":
            raise invalid(f"{where}.type", "only functions can be judged; give `function`")
        function = tool if flat else object_at(tool.get("function"), f"{where}.function", about)
        name = name_at(function.get("name"), f"{where}.name")
        at_function = where if flat else f"{where}.function"
        description, schema = function.get("description"), function.get("parameters", {"type": "object"})
        if description is not None:
            description = text_at(description, f"{at_function}.description")
        if not isinstance(schema, dict):
            raise invalid(f"{at_function}.parameters", "give the schema, an object")
        said = Defined(name, description, json.dumps(schema), where)
        first = found.setdefault(name, said)
        if replace(said, param=first.param) != first:
            raise invalid(where, f"is defined otherwise in `{first.param}`; give each tool once")
    return tuple(found.values())


def tool_choice_at(value: object, param: str, *, flat: bool) -> str | None:
    if value is None or value in ("auto", "none", "required"):
        return cast(str | None, value)
    wanted = object_at(value, param, {"type", "name"} if flat else {"type", "function"})
    if wanted.get("type") != "function":
        raise invalid(param, "give `auto`, `none`, `required` or a function")
    function = wanted if flat else object_at(wanted.get("function"), f"{param}.function", {"name"})
    return "name:" + name_at(function.get("name"), f"{param}.name")
