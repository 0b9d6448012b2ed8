"""Grammars of requests on the server over transformers, through the guard: what their masks take is their tenant's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.engines.mask_time import EngineShare
from policykit.engines.server import EngineApp, load_engine
from policykit.serving import Guard, Kind, Serving
from policykit.serving.attestor import EngineAttestor
from policykit.serving.upstream_app import AppUpstream
from tests.serving.pathological import AMBIGUOUS
from tests.serving.running import Kept, World, deployment, served

pytestmark = pytest.mark.slow


def test_slow_masks_fail_their_tenants_requests_and_nobody_else_s(tmp_path: Path) -> None:
    """Each grammar is another one; the bounds are a hundredth of the real ones, for a small vocabulary."""
    (tmp_path / "profiles").mkdir()
    engine = load_engine("embedded", tmp_path / "run")
    engine.purses.share = EngineShare(burst_s=0.01, free_s=0.002, everyday_s=0.0005)
    log, serving = Kept(), Serving(replace(deployment(tmp_path / "profiles"), model="embedded"))
    upstream, attestor = AppUpstream(EngineApp(engine), kind=Kind.VLLM), EngineAttestor(tmp_path / "run")
    guard = Guard(serving, upstream, log, attestor=attestor)

    def asks(key: str, model: str, **more: Any) -> Any:
        asked: Any = [{"role": "user", "content": "What returns can I expect?"}]
        return world.client(key).chat.completions.create(model=model, messages=asked, extra_body=more)

    def slow(n: int, stream: bool) -> openai.APIError | None:
        grammar = {"grammar": AMBIGUOUS + f' | "{n}"'}
        try:
            list(asks("key-open", "profile:open", structured_outputs=grammar, max_tokens=60, seed=n, stream=stream))
        except openai.APIError as error:
            return error
        return None

    try:
        with served(guard) as url, ThreadPoolExecutor(10) as pool:
            world = World(url, None, log, serving, guard)  # type: ignore[arg-type]
            failing = [pool.submit(slow, n, n % 2 == 1) for n in range(3)]
            others = [pool.submit(asks, "key-globex", "profile:other", max_tokens=12, seed=n) for n in range(3)]
            assert all(one.result().choices[0].message.content for one in others)
            found = [error for one in failing if (error := one.result()) is not None]
            assert found, "or the grammars are not ambiguous enough for this test"
            for error in found:
                assert (error.code, "PK209" in error.message) == ("policykit_grammar_refused", True)
                assert getattr(error, "status_code", 400) == 400, "a stream that had begun has no other status"
            assert asks("key-globex", "profile:other", max_tokens=4).choices[0].message.content
    finally:
        engine.close()
