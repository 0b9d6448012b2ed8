"""The guard's own OpenAPI description: every route, every status, and the fields that requests may have."""

from typing import Any

from policykit.serving.hooks import SwitchState

JSON = dict[str, Any]
_MESSAGE: JSON = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["user", "assistant", "system", "developer", "tool"]},
        "content": {"type": "string"},
        "tool_call_id": {"type": "string"},
    },
}
_SETTINGS: JSON = {
    "model": {"type": "string", "description": "`profile:NAME`, or the profile's own model"},
    "stream": {"type": "boolean"},
    "n": {"type": "integer", "minimum": 1, "maximum": 128},
    "max_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer"},
    "stop": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
}
_CHAT: JSON = {
    "type": "object",
    "required": ["messages"],
    "properties": {**_SETTINGS, "messages": {"type": "array", "minItems": 1, "items": _MESSAGE}},
}
_COMPLETION: JSON = {
    "type": "object",
    "required": ["prompt"],
    "properties": {**_SETTINGS, "prompt": {"type": "string"}},
}
_RESPONSE: JSON = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": _SETTINGS["model"],
        "input": {"type": "string"},
        "stream": {"type": "boolean"},
        "max_output_tokens": {"type": "integer", "minimum": 1},
        "temperature": _SETTINGS["temperature"],
    },
}
_ERROR: JSON = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}
WHY = {
    400: "the request is malformed, or has a field that is not let through",
    401: "there is no valid key",
    403: "the key does not grant what is asked for",
    404: "there is no such route or model",
    405: "the route has another method",
    408: "the body took too long to arrive",
    411: "the body has no length",
    413: "the request is too large",
    415: "the body is not JSON",
    422: "the request cannot be served under its profile",
    429: "too many requests at once, or in a minute",
    500: "a check or the engine failed, and nothing goes out",
    502: "the model's server gave no usable answer",
    503: "the service is switched off, busy, or cannot keep its log",
    504: "the model's server took too long",
}


def _errors(*statuses: int) -> JSON:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": WHY[status], "content": content} for status in statuses}


def _asked(summary: str, schema: JSON) -> JSON:
    whole: JSON = {
        "description": "the answer, or its events",
        "content": {"application/json": {}, "text/event-stream": {}},
    }
    return {
        "post": {
            "summary": summary,
            "security": [{"key": []}],
            "parameters": [{"name": "X-Policykit-Profile", "in": "header", "schema": {"type": "string"}}],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": whole, **_errors(*WHY)},
        }
    }


def _get(summary: str, *statuses: int, key: bool = False, kind: str = "application/json") -> JSON:
    answer: JSON = {"200": {"description": summary, "content": {kind: {}}}, **_errors(*statuses)}
    return {"get": {"summary": summary, "responses": answer, **({"security": [{"key": []}]} if key else {})}}


def description() -> JSON:
    """OpenAPI 3.1. Routes that are not in it are a 404, which is in the form of an error as well."""
    state: JSON = {
        "type": "object",
        "required": ["state"],
        "properties": {"state": {"enum": [state.value for state in SwitchState]}},
    }
    switch = _get("the incident switch", 401, key=True)
    switch["put"] = {
        "summary": "set the incident switch",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": state}}},
        "responses": {
            "200": {"description": "it is set", "content": {"application/json": {}}},
            **_errors(400, 401, 408, 411, 413, 415, 503),
        },
    }
    ready = _get("whether requests can be served now", 401, key=True)
    ready["get"]["responses"]["503"] = {"description": "not now", "content": {"application/json": {}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "policykit", "version": "1", "description": "A model under deployment profiles."},
        "paths": {
            "/v1/chat/completions": _asked("A chat, continued under a profile", _CHAT),
            "/v1/completions": _asked("A prompt, continued under a profile", _COMPLETION),
            "/v1/responses": _asked("A response under a profile", _RESPONSE),
            "/v1/models": _get("the profiles of the key", 401, 403, 404, key=True),
            "/health": _get("whether the server lives"),
            "/ready": ready,
            "/metrics": _get("Prometheus metrics", 401, key=True, kind="text/plain"),
            "/switch": switch,
            "/openapi.json": _get("this description"),
        },
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
