"""Settings of sampling that neither profile nor client names: said all the same, at values that change nothing.

Of what a request leaves unsaid, vLLM takes `top_k`, `min_p` and penalties from the model's `generation_config.json`,
and then draws from another distribution than the profile says. Every server takes OpenAI's penalties; the others are
for a vLLM only, and any else might refuse them. Whether an upstream is one, it says where it lists its models.
"""

import json
import time
from asyncio import Lock, timeout
from collections.abc import Callable, Mapping
from typing import Any, Final

from policykit.engines.attest import WHOLE
from policykit.serving.routes.settings import PENALTIES
from policykit.serving.upstream import Kind, Upstream, UpstreamRequest

KNOWN_EVERYWHERE: Final[Mapping[str, float]] = {name: WHOLE[name] for name in PENALTIES}
AGAIN_S = 60.0
"""How long an upstream that did not say is not asked again."""
ASKED_S = 2.0
MAX_BYTES = 1 << 20


class Neutral:
    """Of one upstream. Use it on one event loop."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream, self._clock = upstream, clock
        self._asking = Lock()
        self._is_vllm: bool | None = True if upstream.kind is Kind.VLLM else None
        self._asked_at = -AGAIN_S

    async def settings(self) -> Mapping[str, float]:
        """What a request says where nobody else does. The upstream is asked what it is, once it answers."""
        if self._is_vllm is None and self._clock() - self._asked_at >= AGAIN_S:
            async with self._asking:
                if self._is_vllm is None and self._clock() - self._asked_at >= AGAIN_S:
                    self._is_vllm = await _is_vllm(self._upstream)
                    self._asked_at = self._clock()
        return WHOLE if self._is_vllm else KNOWN_EVERYWHERE


async def _is_vllm(upstream: Upstream) -> bool | None:
    """None: it does not say."""
    data = bytearray()
    try:
        async with timeout(ASKED_S), upstream.send(UpstreamRequest("GET", "/v1/models")) as response:
            async for piece in response.body:
                data += piece
                if len(data) > MAX_BYTES:
                    return None
            if response.status != 200:
                return None
        found: Any = json.loads(bytes(data))
        return any(model.get("owned_by") == "vllm" for model in found["data"])
    except Exception:  # an upstream may be anybody's, and the request itself says what is wrong with it
        return None
