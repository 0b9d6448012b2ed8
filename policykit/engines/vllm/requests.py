"""What a request may ask of the sampler where policies hold. No vLLM is imported: parameters come as an object."""

import json
from collections.abc import Mapping, Sequence

from policykit.diagnostics import PolicyError
from policykit.engines.attest import ATTEMPTS, XARG, Malformed, MaskRequest, draws_attempts

ALLOWED = frozenset(
    {
        *("n", "presence_penalty", "frequency_penalty", "repetition_penalty", "temperature", "top_p", "top_k", "min_p"),
        *("seed", "stop", "stop_token_ids", "max_tokens", "logprobs", "flat_logprobs", "detokenize"),
        *("skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output", "output_kind"),
        *("stream_interval", "skip_clone", "output_text_buffer_length", "structured_outputs", "extra_args"),
        *("skip_reading_prefix_cache", "repetition_detection", "routed_experts_prompt_start", "logit_bias"),
    }
)
"""Parameters that cannot lift, empty or bypass a mask. A bias is added to scores that the mask has made minus infinity
already; whatever a vLLM version adds is refused until it is looked at."""

WHY = {
    "ignore_eos": "the text could not end where only its end is legal",
    "min_tokens": "the end of text would be closed where nothing else is legal",
    "allowed_token_ids": "with the mask it could leave no token, and vLLM would then write token 0",
    "bad_words": "with the mask it could leave no token, and vLLM would then write token 0",
    "prompt_logprobs": "scores over the prompt are not masked and show tokens that are not legal",
    "logprob_token_ids": "scores of chosen tokens show what is not legal",
    "thinking_token_budget": "tokens would be forced against the mask",
    "trace_decode_token_ids": "tokens would be forced against the mask",
    "watermarking": "it was not looked at whether it keeps the mask",
}


def refused(params: object, defaults: object, names: Sequence[str]) -> list[str]:
    """Why a request cannot be served under a policy: one sentence per parameter that is not at its default."""
    found: list[str] = []
    for name in names:
        if name.startswith("_") or name in ALLOWED:
            continue
        value = getattr(params, name, None)
        if value != getattr(defaults, name, None) and value not in (None, [], {}):  # 0 may ask for something
            why = WHY.get(name, "it is not known to keep the mask")
            found.append(f"`{name}` is not served under a policy: {why}")
    return found


def check_unseen(params: object, defaults: object) -> None:
    """Raises PolicyError (PK746) for what :func:`refused` would have refused, in the engine: library code can send it
    requests that no front end has looked at. What vLLM itself sets behind that look is left alone."""
    wrong = refused(params, defaults, sorted(WHY.keys() - {"watermarking"}))
    if wrong:
        raise PolicyError.of("PK746", "; ".join(wrong), help="leave it out")


def asked(extra_args: Mapping[str, object] | None) -> MaskRequest | None:
    """The plan that a request names, if it names one. Raises PolicyError (PK746) for what is malformed."""
    if not extra_args or XARG not in extra_args:
        return None
    try:
        found = MaskRequest.parse(extra_args[XARG])
    except Malformed as error:
        help = "it is written by the guard, and not for clients to set"
        raise PolicyError.of("PK746", f"`{XARG}` in the request's extra arguments: {error}", help=help) from error
    if found.attempt and not draws_attempts():
        message = "the engine draws nothing unmasked"
        raise PolicyError.of("PK749", message, help=f"start it with {ATTEMPTS}=1, behind the guard and nothing else")
    if found.special:
        names = ", ".join(f"`{name}`" for name in found.special)
        raise PolicyError.of("PK746", f"special tokens have no place in a text: {names}", help="leave `special` empty")
    return found


def is_named(name: str, source: str) -> bool:
    """Whether a special token's name stands in a structural tag's source, which is JSON and may be all ASCII."""
    return name in source or json.dumps(name)[1:-1] in source


def dead_end_token(special_ids: Sequence[int], ends: Sequence[int], preferred: Sequence[int | None]) -> int | None:
    """The token that stands for a dead end: a special one that ends no text, the padding first."""
    usable = [i for i in special_ids if i not in ends]
    return next((i for i in preferred if i is not None and i in usable), usable[0] if usable else None)
