"""The real engine in this process, under a run directory of its own. Only tests marked `vllm` ask for it."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import policykit as pk
from policykit.embedded import model_path
from policykit.engines import attest
from policykit.ir.document import PolicySet
from tests.engines.vllm.plans import PHRASES, POLICY, plan

PROMPT = "<|user|>What returns can I expect?<|assistant|>"
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "POLICYKIT_COMPILE_DEADLINE_S": "20",
}


class Guard:
    """The guard's end of the run directory."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(run / "guard.sock"))
        self._socket.settimeout(0.5)

    def offer(self, offered: pk.Plan) -> pk.Plan:
        """Save a plan where the engine looks for it."""
        offered.save(attest.plan_path(self.run, offered.digest))
        return offered

    def asks(
        self, offered: pk.Plan, prefix: str | None = "", request: str = "r", *, in_grammar: bool = False
    ) -> dict[str, str]:
        """Extra arguments of a request under a plan."""
        self.offer(offered)
        asked = attest.MaskRequest(request, offered.digest, "guard.sock", prefix, in_grammar=in_grammar)
        return {attest.XARG: asked.render()}

    def heard(self) -> list[attest.Attestation]:
        """What the engine has said since the last time, read to its end: it writes from a thread of its own."""
        found: list[attest.Attestation] = []
        while True:
            try:
                found.append(attest.parse(self._socket.recv(attest.MAX_DATAGRAM)))
            except TimeoutError:
                return found


@pytest.fixture(scope="session")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    run = tmp_path_factory.mktemp("run")
    (run / "plans").mkdir()
    default = run / "default.plan.json"
    plan().save(default)
    os.environ.update(SETTINGS, **{attest.RUN_DIRECTORY: str(run), attest.DEFAULT_PLAN: str(default)})
    return Guard(run)


def started(**more: Any) -> Any:
    """An engine on the embedded model, in this process, under the environment that the guard has made."""
    from policykit.engines.vllm import plans
    from policykit.engines.vllm.plugin import install

    plans.CHECK_S = 60.0  # the machine may have other things to do
    install()
    from vllm import LLM

    fixed: dict[str, Any] = {"enforce_eager": True, "dtype": "float32", "max_model_len": 512}
    fixed |= {"distributed_executor_backend": "uni", "structured_outputs_config": {"backend": "policykit"}}
    return LLM(model=str(model_path()), **fixed, **more)


@pytest.fixture(scope="session")
def start(guard: Guard) -> Any:
    return started


@pytest.fixture(scope="module")
def vllm(start: Any) -> SimpleNamespace:
    """An engine, and the names that its tests need."""
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    return SimpleNamespace(engine=start(), params=SamplingParams, outputs=StructuredOutputsParams)


@pytest.fixture(scope="session")
def harmless() -> pk.Plan:
    """A plan that forbids what the model does not say, so that its own words come out."""
    other = POLICY.replace(", ".join(PHRASES), "purple elephant")
    return pk.compile(PolicySet((pk.parse_document(other, "other.policy.yaml"),)))
