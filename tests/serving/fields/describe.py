"""What an API says of itself: every route with the fields of its requests and answers, as JSON on standard output.

`python describe.py vllm` asks the vLLM that this Python imports; `python describe.py openai` asks the official client.
It is a script of its own so that any Python may run it: another version of vLLM is described by its own package.

Paths: `a.b` is a field of a field, `a[]` the entries of a list, `a.{}` the values of an object with free names.
"""

import ast
import importlib
import importlib.metadata
import json
import os
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

DEEP = ("POST /v1/chat/completions", "POST /v1/completions", "POST /v1/responses")
"""The routes whose fields are described on every level; of others, the fields at the top."""

_HEADERS = re.compile(r"headers\.get\(\s*\"([^\"]+)\"|^[A-Z_]+_HEADER = \"([^\"]+)\"", re.M)

Schemas = dict[str, Any]


def paths_of(schema: Schemas, defs: Schemas, path: str = "", inside: tuple[str, ...] = (), depth: int = 9) -> set[str]:
    """Every field at and below ``schema``. A model inside itself is described once."""
    found: set[str] = set()
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return found if name in inside else paths_of(defs[name], defs, path, (*inside, name), depth)
    if depth < 0:
        return found
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            found |= paths_of(one, defs, path, inside, depth)
    for name, below in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        found |= {here} | paths_of(below, defs, here, inside, depth - 1)
    if isinstance(schema.get("items"), dict):
        found |= paths_of(schema["items"], defs, f"{path}[]", inside, depth - 1)
    free = schema.get("additionalProperties")
    if path and isinstance(free, dict) and free:
        found |= {f"{path}.{{}}"} | paths_of(free, defs, f"{path}.{{}}", inside, depth - 1)
    return found


def top_of(schema: Schemas, defs: Schemas) -> set[str]:
    return {re.split(r"[.\[]", path)[0] for path in paths_of(schema, defs)} - {""}


def vllm() -> dict[str, Any]:
    os.environ.update(VLLM_SERVER_DEV_MODE="1", VLLM_ALLOW_RUNTIME_LORA_UPDATING="1", VLLM_PLUGINS="")
    from fastapi import APIRouter, FastAPI
    from vllm import entrypoints
    from vllm.entrypoints.openai.chat_completion import protocol as chat
    from vllm.entrypoints.openai.completion import protocol as completion
    from vllm.version import __version__

    app = FastAPI()
    seen: list[APIRouter] = []
    written: set[str] = set()
    headers: set[str] = set()
    for module in pkgutil.walk_packages(entrypoints.__path__, "vllm.entrypoints."):
        spec = module.module_finder.find_spec(module.name, None)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        written |= _written(ast.parse(source))
        headers |= {a.lower() + b.lower() for a, b in _HEADERS.findall(source)}
        if "APIRouter" not in source:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, APIRouter) and not any(value is router for router in seen):
                seen.append(value)
                app.include_router(value)
    document = app.openapi()
    answers = {
        DEEP[0]: (chat.ChatCompletionResponse, chat.ChatCompletionStreamResponse),
        DEEP[1]: (completion.CompletionResponse, completion.CompletionStreamResponse),
    }
    routes = _routes(document)
    written |= {f"GET {path}" for path in (app.openapi_url, app.docs_url, app.redoc_url) if path}
    for route in written - set(routes):
        routes[route] = {"request": []}
    for route, models in answers.items():
        routes[route]["response"] = sorted(set().union(*map(_model_paths, models)))
    return {"version": __version__, "headers": sorted(headers), "routes": dict(sorted(routes.items()))}


def _written(tree: ast.Module) -> set[str]:
    """The routes that a module's source names, also those that are added on a condition."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        path, verb = node.args[0], node.func.attr
        if not isinstance(path, ast.Constant) or not isinstance(path.value, str) or not path.value.startswith("/"):
            continue
        if verb in ("get", "post", "put", "patch", "delete", "websocket"):
            found.add(f"{verb.upper()} {path.value}")
        elif verb in ("mount", "add_api_route"):
            found.add(f"{'POST' if verb == 'add_api_route' else 'MOUNT'} {path.value}")
    return found


def _routes(document: Schemas) -> dict[str, dict[str, Any]]:
    defs = document["components"]["schemas"]
    routes: dict[str, dict[str, Any]] = {}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            route = f"{verb.upper()} {path}"
            fields: set[str] = {parameter["name"] for parameter in operation.get("parameters", ())}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content.get("schema", {})
                fields |= paths_of(schema, defs) if route in DEEP else top_of(schema, defs)
            routes[route] = {"request": sorted(fields)}
    return routes


def _model_paths(model: Any) -> set[str]:
    schema = model.model_json_schema(mode="serialization")
    return paths_of(schema, schema.get("$defs", {}))


def openai() -> dict[str, Any]:
    from openai.types import Completion, completion_create_params as completions
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params as chats
    from openai.types.responses import response_create_params as responses
    from pydantic import TypeAdapter

    routes: dict[str, dict[str, Any]] = {}
    for route, asked, answers in (
        (DEEP[0], chats.CompletionCreateParams, (ChatCompletion, ChatCompletionChunk)),
        (DEEP[1], completions.CompletionCreateParams, (Completion,)),
        (DEEP[2], responses.ResponseCreateParams, ()),
    ):
        schema = TypeAdapter(asked).json_schema()
        routes[route] = {"request": sorted(paths_of(schema, schema.get("$defs", {})))}
        if answers:
            routes[route]["response"] = sorted(set().union(*map(_model_paths, answers)))
    return {"version": importlib.metadata.version("openai"), "headers": [], "routes": routes}


if __name__ == "__main__":
    json.dump({"vllm": vllm, "openai": openai}[sys.argv[1]](), sys.stdout, indent=1)
