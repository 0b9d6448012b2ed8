"""Rollouts of one mode each: free samples, samples under masks, or samples that a verifier accepted.

Free rollouts are of the model; masked ones of the model renormalised step by step under the plan's masks; rejected
ones of the model given that its text complies. What is deployed is what should be sampled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.constraint import Constraint, Vocabulary
from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Decision
from policykit.plan import Plan
from policykit.rewards import RolloutMode
from policykit.training.rl.draw import Drawn, TokenIds, draw

Prefix = Callable[[TokenIds], bytes]
"""The bytes at the end of a prompt that a match may begin in."""


def no_prefix(token_ids: TokenIds) -> bytes:
    """Prompts whose text is apart from the completion's, as in a chat."""
    return b""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a completion is sampled for: ``given`` is text or messages, as data sets have it, ``columns`` the rest of
    its row, which reward functions get."""

    given: object
    token_ids: TokenIds
    columns: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rollouts:
    """N completions, those of one prompt in a row. ``token_ids`` hold the end token, where there is one.

    ``logps`` are the sampler's, one a token. ``is_usable`` is False for a completion that is no sample of the mode's
    distribution: none was accepted within the budget, or nothing legal could follow; it must not be learned from.
    ``transformed`` is true for tokens that a rule wrote. ``plan_digest`` names the masks of masked rollouts.
    ``n_drawn`` are all completions drawn for them.
    """

    prompts: tuple[Prompt, ...]
    token_ids: tuple[TokenIds, ...]
    texts: tuple[str, ...]
    logps: tuple[tuple[float, ...], ...]
    is_usable: tuple[bool, ...]
    mode: RolloutMode
    plan_digest: str | None = None
    n_drawn: int = 0
    transformed: tuple[tuple[bool, ...], ...] | None = None

    @property
    def acceptance_rate(self) -> float:
        """Of all completions drawn, the share that is used."""
        return sum(self.is_usable) / max(1, self.n_drawn)


@dataclass(frozen=True, slots=True)
class Sampler:
    """How completions are sampled. Masked rollouts need ``constraint``, rejected ones ``plan``, by which they are
    accepted unless blocked, escalated or not checked; at most ``max_attempts`` draws a completion."""

    vocabulary: Vocabulary
    max_new_tokens: int
    mode: RolloutMode = RolloutMode.FREE
    temperature: float = 1.0
    constraint: Constraint | None = None
    plan: Plan | None = None
    max_attempts: int = 16
    prefix_of: Prefix = no_prefix

    def __post_init__(self) -> None:
        if self.mode is RolloutMode.MASKED and self.constraint is None:
            raise PolicyError.of("PK768", "masked rollouts have no constraint", help="pass `constraint`")
        if self.mode is RolloutMode.REJECTED and self.plan is None:
            raise PolicyError.of("PK768", "rejected rollouts have no plan that accepts", help="pass `plan`")

    def roll(
        self, model: Any, prompts: Sequence[Prompt], group_size: int, generator: torch.Generator | None = None
    ) -> Rollouts:
        """``group_size`` completions of each prompt, all of this sampler's mode."""
        repeated = tuple(prompt for prompt in prompts for _ in range(group_size))
        drawn, is_usable, n_drawn = self.completions(model, repeated, generator)
        texts = tuple(text_of_tokens(self.vocabulary, row) for row in drawn.token_ids)
        digest = self.constraint.digest if self.constraint and self.mode is RolloutMode.MASKED else None
        return Rollouts(repeated, drawn.token_ids, texts, drawn.logps, is_usable, self.mode, digest, n_drawn)

    def completions(
        self, model: Any, prompts: Sequence[Prompt], generator: torch.Generator | None = None
    ) -> tuple[Drawn, tuple[bool, ...], int]:
        """One completion of each prompt, whether it is usable, and how many were drawn."""
        masked = self.constraint if self.mode is RolloutMode.MASKED else None
        ends = self.vocabulary.eos_ids

        def sample(chosen: Sequence[Prompt]) -> Drawn:
            ids = [prompt.token_ids for prompt in chosen]
            prefixes = [self.prefix_of(row) for row in ids] if masked else None
            how: dict[str, Any] = {"temperature": self.temperature, "constraint": masked, "prefixes": prefixes}
            return draw(model, ids, ends, self.max_new_tokens, generator=generator, **how)

        if self.mode is not RolloutMode.REJECTED:
            drawn = sample(prompts)
            return drawn, tuple(not dead for dead in drawn.is_dead), len(prompts)
        return self._accepted(sample, prompts)

    def _accepted(
        self, sample: Callable[[Sequence[Prompt]], Drawn], prompts: Sequence[Prompt]
    ) -> tuple[Drawn, tuple[bool, ...], int]:
        # A row is drawn again until it is accepted, so that each accepted one is an independent sample.
        ids: list[TokenIds] = [()] * len(prompts)
        logps: list[tuple[float, ...]] = [()] * len(prompts)
        usable = [False] * len(prompts)
        n_drawn = 0
        for _ in range(self.max_attempts):
            missing = [i for i, done in enumerate(usable) if not done]
            if not missing:
                break
            drawn = sample([prompts[i] for i in missing])
            n_drawn += len(missing)
            for i, row, logp in zip(missing, drawn.token_ids, drawn.logps, strict=True):
                ids[i], logps[i] = row, logp
                usable[i] = self._accepts(prompts[i], row)
        return Drawn(tuple(ids), tuple(logps), (False,) * len(ids)), tuple(usable), n_drawn

    def _accepts(self, prompt: Prompt, token_ids: TokenIds) -> bool:
        assert self.plan is not None
        facts: Any = prompt.columns.get("facts")
        verdict = self.plan.verify(text_of_tokens(self.vocabulary, token_ids), facts)
        return verdict.decision not in (Decision.BLOCK, Decision.ESCALATE) and not verdict.errors


def text_of_tokens(vocabulary: Vocabulary, token_ids: Sequence[int]) -> str:
    """The text of a completion by its tokens' bytes; special tokens write nothing, invalid bytes become U+FFFD."""
    # A model may score more ids than its tokenizer has.
    return vocabulary.decode(i for i in token_ids if i < vocabulary.size).decode("utf-8", "replace")
