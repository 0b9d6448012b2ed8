"""Codes PK680–PK699: serving."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK680",
        "the guard is not configured",
        "Inside vLLM's server the guard reads its profiles, keys, decision log and run directory from the environment. "
        "A server that lacks one of them does not start.",
        "vllm serve … --middleware policykit.serving.middleware.Middleware, with nothing set",
    ),
)
