"""Draws over an upstream without our backend: any server that takes token ids as a prompt, and says which it drew.

Nothing of it is taken on trust. Before the server listens, the upstream is asked three times for one token: whether its
ids are those of the tokenizer, whether a ban by `logit_bias` holds, and whether the log-probabilities that it shows are
the model's own, before bans. While it draws, the guard follows the text itself and lets go behind a refused token.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, cast

from policykit.constraint import Vocabulary
from policykit.diagnostics import PolicyError
from policykit.engines.attest import WHOLE
from policykit.serving.errors import UpstreamFault
from policykit.serving.upstream import Upstream, UpstreamRequest

COMPLETIONS = "/v1/completions"
BAN = -100.0
"""The bias of a token that may not come."""
NEAR = 0.02
"""Log-probabilities that differ by less, in nat, are the same."""
MAX_BYTES = 1 << 20
TEMPERATURE = 1.0
"""The one at which a model's own log-probabilities are those of what is drawn."""


def tokenizer_of(path: Path) -> Callable[[], Vocabulary]:
    """The vocabulary of a `tokenizer.json`, or of a model's folder. Raises PolicyError where there is none."""
    file = path / "tokenizer.json" if path.is_dir() else path
    vocabulary = Vocabulary.from_file(file)
    return lambda: vocabulary


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One token, with the text and the log-probability that the upstream says of it, and of the likeliest ones."""

    token: int
    text: str
    logp: float
    top: tuple[float, ...]


async def check_draws(upstream: Upstream, vocabulary: Vocabulary, model: str) -> None:
    """Raises PolicyError (PK722) with what the upstream cannot do of what strategies need."""
    prompt = _some_text(vocabulary)
    try:
        first = await _one(upstream, {"model": model, "prompt": prompt})
        again = await _one(upstream, {"model": model, "prompt": [*prompt, first.token]})
        other = await _one(upstream, {"model": model, "prompt": prompt, "logit_bias": {str(first.token): BAN}})
    except UpstreamFault as fault:
        raise _cannot(f"it does not answer as it should: {fault.message}") from fault
    for drawn in (first, again, other):
        if not 0 <= drawn.token < vocabulary.size:
            raise _cannot(f"it draws the token {drawn.token}, which the tokenizer does not have")
        if drawn.token not in vocabulary.special_ids and not _same(vocabulary.tokens[drawn.token], drawn.text):
            raise _cannot(f"its token {drawn.token} is {drawn.text!r}, and another one to the tokenizer")
    if other.token == first.token:
        raise _cannot("it draws tokens that `logit_bias` bans")
    if len(first.top) < 2 or abs(other.logp - sorted(first.top)[-2]) > NEAR:
        raise _cannot("its log-probabilities are not the model's own: start it so that it shows raw ones")


def _cannot(why: str) -> PolicyError:
    help = "use `mask` or `reject`, or an upstream that takes and shows tokens"
    return PolicyError.of("PK722", f"the upstream cannot be drawn from: {why}", help=help)


def _some_text(vocabulary: Vocabulary) -> list[int]:
    """A few tokens of plain letters."""
    singles = {token: i for i, token in enumerate(vocabulary.tokens) if len(token) == 1}
    return [singles[bytes([letter])] for letter in b"the" if bytes([letter]) in singles] or [0]


def _same(token: bytes, text: str) -> bool:
    """Whether a token is the text that an upstream says; a part of a code point cannot be said."""
    return token.decode("utf-8", "replace").strip() == text.strip() or "\ufffd" in text


async def _one(upstream: Upstream, asked: Mapping[str, Any]) -> _Drawn:
    """One token, the likeliest. Raises UpstreamFault, and PolicyError where a token is not said."""
    fixed = {"max_tokens": 1, "temperature": 0.0, "logprobs": 2, "return_token_ids": True, "stream": False}
    body = json.dumps({**asked, **fixed, "top_p": 1.0, **WHOLE}).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    async with upstream.send(UpstreamRequest("POST", COMPLETIONS, body, headers)) as response:
        data = bytearray()
        async for piece in response.body:
            data += piece
            if len(data) > MAX_BYTES:
                raise _cannot("its answer to one token has no end")
        if response.status != 200:
            raise _cannot(f"it answers {response.status} to token ids")
    try:
        found: Any = json.loads(bytes(data))
        choice: Any = found["choices"][0]
        prompt: Any = choice.get("prompt_token_ids", found.get("prompt_token_ids"))
        (token,), (logp,) = choice["token_ids"], choice["logprobs"]["token_logprobs"]
        top = cast("Mapping[str, float]", choice["logprobs"]["top_logprobs"][0])
        drawn = _Drawn(int(token), str(choice.get("text", "")), float(logp), tuple(map(float, top.values())))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise _cannot("it does not say its tokens and how likely they were") from None
    if prompt is not None and list(prompt) != list(asked["prompt"]):
        raise _cannot("it adds tokens of its own to a prompt of token ids")
    if not all(map(isfinite, (drawn.logp, *drawn.top))):
        raise _cannot("its log-probabilities are no numbers")
    return drawn
