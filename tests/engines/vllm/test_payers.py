"""The real engine on the CPU: who pays for the time that masks take."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

import policykit as pk
from policykit.engines import attest, mask_time
from tests.engines.vllm.conftest import PROMPT, Guard
from tests.engines.vllm.plans import POLICIES
from tests.serving.pathological import AMBIGUOUS

pytestmark = pytest.mark.vllm


def test_one_tenants_grammars_do_not_hold_up_another_s(
    vllm: SimpleNamespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve ambiguous grammars of one tenant, each another one, beside everyday ones of a second tenant: by the time
    that masks of each take together, against bounds a hundredth of the real ones, for a small vocabulary."""
    burst_s, free_s = 0.05, 0.01
    backend = vllm.engine.llm_engine.engine_core.engine_core.structured_output_manager.backend
    share = mask_time.EngineShare(burst_s=burst_s, free_s=free_s, everyday_s=0.0005)
    monkeypatch.setattr(backend._purses, "share", share)
    taken: dict[str, list[float]] = {"many": [], "other": []}
    take = share.take

    def counted(plan: str, seconds: float, payer: str = "") -> None:
        taken[payer].append(seconds)
        take(plan, seconds, payer)

    monkeypatch.setattr(share, "take", counted)
    sources = [AMBIGUOUS + f' | "{n}"' for n in range(12)]
    made = [("many", pk.compile(None, pk.Grammar.from_lark(source))) for source in sources]
    made += [("other", pk.compile(None, pk.Grammar.from_regex(f"[a-z ]{{60}}{n}"))) for n in range(4)]
    params: list[Any] = []
    for n, (payer, one) in enumerate(made):
        guard.offer(one)
        asked = attest.MaskRequest(f"t{n}", one.digest, payer=payer, prefix="", own_grammar=True)
        extra = {attest.XARG: asked.render()}
        params.append(vllm.params(max_tokens=150, temperature=1.0, seed=n, extra_args=extra))
    began = time.monotonic()
    found = [out.outputs[0] for out in vllm.engine.generate([PROMPT] * len(made), params, use_tqdm=False)]
    elapsed_s = time.monotonic() - began
    failed = [choice for choice in found if choice.finish_reason == "error"]
    assert all(choice.finish_reason != "error" for choice in found[12:]), "the other tenant's go on"
    assert failed
    over = [seconds - 0.0005 for seconds in taken["many"] if seconds > 0.0005]
    last = sum(sorted(over)[-12:])  # the one mask that each text of a step makes when its tenant comes to be over
    print(f"{len(failed)} failed; {sum(over):.3f} s over, {last:.3f} s of them in 12 masks, in {elapsed_s:.1f} s")
    assert sum(over) < 2 * burst_s + mask_time.SHARE * elapsed_s + last
    whose = "PK209: its masks hold up the engine: with those of its tenant's grammars"
    assert any(whose in choice.stop_reason for choice in failed)


def test_a_tenant_pays_for_grammars_of_its_requests_alone(
    vllm: SimpleNamespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine makes one of a profile's tools, too: that is the operator's, however slow its masks are."""
    backend = vllm.engine.llm_engine.engine_core.engine_core.structured_output_manager.backend
    share, paid = mask_time.EngineShare(), list[str]()
    monkeypatch.setattr(backend._purses, "share", share)

    def take(plan: str, seconds: float, payer: str) -> None:
        paid.append(payer)

    monkeypatch.setattr(share, "take", take)
    plan = pk.compile(POLICIES)
    guard.offer(plan)
    row = backend.allocate_token_bitmask(1)
    for payer, is_own in (("acme", True), ("globex", False)):
        asked = attest.MaskRequest("p", plan.digest, payer=payer, prefix="", own_grammar=is_own)
        made = backend.mask("p", {attest.XARG: asked.render()}, "REGEX", "[a-z ]{60}", [])
        for _ in range(3):
            made.fill_bitmask(row, 0)
    assert paid == ["acme"] * 3
