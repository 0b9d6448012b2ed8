"""vLLM as an engine for decoding strategies: token ids are sent again, and its prefix cache has computed most of them.

The engine runs with our backend. An attempt is drawn without its mask and ends one step behind the first token that the
plan refuses; what must not come first is closed there. The engine shows the log-probabilities of chosen tokens after
temperature and bans, so those of a first token are scaled back by the mass that was banned; those of a masked text
cannot be, and are not given.
"""
# vLLM is not installed where types are checked, and leaves parts of its interfaces untyped.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from policykit.constraint import Constraint, Outcome, Vocabulary
from policykit.decoding.engine import Ask, Draw, Stop
from policykit.decoding.steps import NO_MASS, Starts, state_after, take
from policykit.diagnostics import PolicyError
from policykit.engines import attest
from policykit.engines.prompts import prompt_ids
from policykit.engines.vllm import BACKEND
from policykit.plan import Plan

BLOCK = 32
"""Tokens of one block of the prefix cache: at most so many are computed again where a text is taken up. No smaller one
is to be had on a CPU."""
MODE = "processed_logprobs"
"""vLLM's log-probabilities of what was sampled from: the others know no temperature."""


@dataclass(frozen=True)
class VllmEngine:
    """An engine in this process (or that this process drives). ``chat`` puts prompts into the tokenizer's chat
    template, by default where it has one."""

    llm: Any
    tokenizer: Any
    vocabulary: Vocabulary
    run: Path
    chat: bool | None = None
    sees_distributions: bool = False

    @staticmethod
    def load(model: str, *, chat: bool | None = None, **options: Any) -> "VllmEngine":
        """Start vLLM on a model folder; ``options`` are its own. Sets the environment that engine processes inherit.

        Raises PolicyError for a vLLM, or a tokenizer, that no mask can hold for.
        """
        if attest.run_directory() is None:
            os.environ[attest.RUN_DIRECTORY] = tempfile.mkdtemp(prefix="policykit-")
        os.environ[attest.ATTEMPTS] = "1"
        from policykit.engines.vllm.plugin import install

        install()
        from vllm import LLM

        given = {"block_size": BLOCK, "enable_prefix_caching": True, "logprobs_mode": MODE, **options}
        return VllmEngine.of(LLM(model=model, structured_outputs_config={"backend": BACKEND}, **given), chat=chat)

    @staticmethod
    def of(llm: Any, *, chat: bool | None = None) -> "VllmEngine":
        """An engine that was started before. Raises PolicyError (PK471, PK749) for one that cannot draw attempts."""
        config, run = llm.llm_engine.vllm_config, attest.run_directory()
        if run is None or not attest.draws_attempts() or config.structured_outputs_config.backend != BACKEND:
            help = f"start it with the backend `{BACKEND}`, {attest.ATTEMPTS}=1 and {attest.RUN_DIRECTORY}"
            raise PolicyError.of("PK749", "the engine draws nothing unmasked", help=help)
        check_mode(config.model_config)
        return VllmEngine(llm, llm.get_tokenizer(), vocabulary_for(config), run, chat)

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> "VllmSession":
        ids = prompt_ids(self.tokenizer, prompt, self.chat) or self.vocabulary.eos_ids[:1]
        path = attest.plan_path(self.run, plan.digest)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            plan.save(path)
        return VllmSession(self, ids, constraint, temperature)


def vocabulary_for(vllm_config: Any) -> Vocabulary:
    """The vocabulary of an engine's backend."""
    from vllm.tokenizers import cached_tokenizer_from_config

    from policykit.engines.vllm.backend import ends_of

    config = vllm_config.model_config
    tokenizer: Any = cached_tokenizer_from_config(model_config=config)
    size = max(config.get_vocab_size(), len(tokenizer))
    return Vocabulary.from_tokenizer(tokenizer, size=size, eos_ids=ends_of(config, tokenizer))


def check_mode(model_config: Any) -> None:
    """Raises PolicyError (PK471) where the engine shows probabilities that it does not sample from."""
    if model_config.logprobs_mode != MODE:
        message = f"the engine shows `{model_config.logprobs_mode}`, which are not what it samples from"
        raise PolicyError.of("PK471", message, help=f"start it with --logprobs-mode {MODE}")


@dataclass
class VllmSession:
    """One prompt under one constraint. ``n_prefilled`` counts the step behind a refused token, too."""

    engine: VllmEngine
    prompt: tuple[int, ...]
    constraint: Constraint
    temperature: float
    n_prefilled: int = 0
    n_requests: int = field(default=0)

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        seeds = [int(seed) for seed in rng.integers(1 << 31, size=len(asks))]
        asked = [(i, ask) for i, ask in enumerate(asks) if len(ask.prefix) < ask.max_length]
        params = [self._params(ask, seeds[i]) for i, ask in asked]
        prompts = [{"prompt_token_ids": [*self.prompt, *ask.prefix]} for _, ask in asked]
        found = self.engine.llm.generate(prompts, params, use_tqdm=False) if asked else []
        self.n_requests += len(asked)
        done = {i: self._read(ask, one) for (i, ask), one in zip(asked, found, strict=True)}
        return tuple(done.get(i, Draw((), (), None, Stop.LENGTH)) for i in range(len(asks)))

    def _params(self, ask: Ask, seed: int) -> Any:
        from vllm import SamplingParams

        first = tuple(sorted(ask.not_first))
        request = attest.MaskRequest(
            f"draw-{self.n_requests}", self.constraint.digest, prefix="", begun=len(ask.prefix),
            attempt=not ask.is_masked, not_first=first,
        )  # fmt: skip
        return SamplingParams(
            max_tokens=ask.max_length - len(ask.prefix), temperature=self.temperature, seed=seed, logprobs=0,
            detokenize=False, extra_args={attest.XARG: request.render()},
        )  # fmt: skip

    def _read(self, ask: Ask, found: Any) -> Draw:
        (out,) = found.outputs
        n_computed = len(found.prompt_token_ids) - (found.num_cached_tokens or 0) - 1
        token_ids = list(out.token_ids)
        shown = [row[token].logprob for token, row in zip(token_ids, out.logprobs, strict=True)]
        draw = drawn(ask, token_ids, shown, self.constraint)
        self.n_prefilled += max(0, n_computed) + len(token_ids) - len(draw.token_ids)
        return draw


def drawn(ask: Ask, token_ids: Sequence[int], shown: Sequence[float], constraint: Starts) -> Draw:
    """What an engine has drawn, followed by the constraint: up to a refused token, with the model's own
    log-probabilities where the draw was free. ``shown`` are those after bans."""
    state = state_after(constraint, ask.prefix)
    logps = list(shown)
    if ask.not_first and logps:
        logps[0] += log(max(1.0 - ask.explored, NO_MASS))
    for i, token in enumerate(token_ids):
        if not i and token in ask.not_first:  # every other one was closed
            return Draw((), (), None, Stop.DEAD_END)
        if not take(state, token):
            if ask.is_masked:  # the token that stands for a dead end
                return Draw(tuple(token_ids[:i]), None, None, Stop.DEAD_END)
            refused_by = state.blocked_by(token) or ("nothing legal follows",)
            return Draw(tuple(token_ids[: i + 1]), tuple(logps[: i + 1]), None, Stop.REFUSED, refused_by)
        if state.outcome is Outcome.FINISHED:
            ended = tuple(token_ids[: i + 1])
            return Draw(ended, None if ask.is_masked else tuple(logps[: i + 1]), None, Stop.END)
    return Draw(tuple(token_ids), None if ask.is_masked else tuple(logps), None, Stop.LENGTH)
