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
    CodeEntry(
        "PK681",
        "more signatures asked for than keys trusted",
        "A bundle is served only where enough trusted keys have signed it. With fewer keys than signatures none could "
        "ever be served.",
        "policykit serve --bundle release.bundle --keys k --require 2 --trusted security.pub",
    ),
    CodeEntry(
        "PK720",
        "a trace exporter that is not installed",
        "Where traces go is said by the standard `OTEL_*` variables. They name an exporter that is not installed, and "
        "traces that silently go nowhere would be missed only when they are needed.",
        "OTEL_TRACES_EXPORTER=otlp policykit serve …",
    ),
    CodeEntry(
        "PK682",
        "the log cannot be kept as asked",
        "What is asked of the log contradicts itself: a key that hashes nothing, checkpoints that nobody signs, "
        "or servers that are to retire records of a PostgreSQL database, which is its owner's work.",
        "policykit serve --engine transformers --profiles p --keys k --log-checkpoints points",
    ),
    CodeEntry(
        "PK722",
        "a strategy that the upstream cannot draw by",
        "Strategies that go back send token ids again, and need the tokens that were drawn and how likely they were, "
        "free of any mask. vLLM and transformers do that under the guard; a server of another kind is asked whether it "
        "does before the guard listens, where its tokenizer is named.",
        "decoding: {strategy: block} with `policykit serve --upstream …`",
    ),
    CodeEntry(
        "PK723",
        "a mark of calls that is closed",
        "Special tokens have no place in a text, so that none can hide a phrase. Where vLLM's parser of calls reads "
        "such a token as the mark of a call, and vLLM can say in which form calls stand, the mask has it there and "
        "nowhere else. Of other parsers the token stays closed: where the model is free to call or not, it calls "
        "without the mark or not at all.",
        "vllm serve … --tool-call-parser mistral, with a tokenizer in which `[TOOL_CALLS]` is a special token",
    ),
    CodeEntry(
        "PK724",
        "a reward model that a profile's answers cannot be chosen by",
        "A profile with `decoding.best` names a reward model and pins it by the digest of its folder. The server has "
        "none of that name, or another one stands in the folder, or its features are not of the profile's one plan. "
        "Answers would be chosen by what nobody approved, so such a server does not start.",
        "policykit serve --profiles p --keys k --model m --reward helpful=other-run/reward-model",
    ),
    CodeEntry(
        "PK725",
        "equipment that cannot be used",
        "What no file can say (keys, vaults, functions, models, approvals, the facts of a request) a deployment gives "
        "as a `policykit.serving.Equipment`. The one that is named is not there, raises when it is made, or is another "
        "thing. A server without it would block whatever needs it, so none starts.",
        "policykit serve --equipment deployment.py:equipmnt …",
    ),
    CodeEntry(
        "PK726",
        "an address that cannot be listened at",
        "Something else listens at the port, or the host is none of this machine, or the port is not this user's to "
        "take. It is told before a model is loaded.",
        "policykit serve --port 8400 …, while another server has it",
    ),
    CodeEntry(
        "PK721",
        "not one model to serve",
        "`policykit serve` stands before one model: one that vLLM or transformers runs, or a server that runs already.",
        "policykit serve --profiles p --keys k --model m --upstream http://127.0.0.1:8000",
    ),
)
