"""Reward models for tests of the choice among answers: folders of the real form, and profiles that pin them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policykit.adapters.reward import RewardModelFile, reward_digest, write_reward_file
from policykit.decoding import Answer
from policykit.policy.checked import Json

PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: %(name)s, version: 1.0.0, owner: a@example.org, why: answers that are chosen}
task: answer
policies: [%(policy)s.policy.yaml]
decoding:
  strategy: %(strategy)s
  maxTokens: 40
  maxChoices: 2
  best: {of: %(of)d, reward: helpful, digest: '%(digest)s'%(more)s}
limits: {attempts: %(attempts)d, timeoutSeconds: %(seconds)g%(limits)s}
fallback: "—"
"""


def named_only(folder: Path) -> str:
    """The digest of a folder that says it holds a reward model, and does not."""
    folder.mkdir()
    (folder / "adapter_model.safetensors").touch()
    write_reward_file(folder, RewardModelFile("embedded", (), False, None, None))
    return reward_digest(folder)


def made(folder: Path, seed: int = 0) -> str:
    """The digest of a reward model on the embedded model, with all weights and a head that nobody has trained."""
    import torch

    from policykit.adapters.reward_model import classifier_of
    from policykit.engines.transformers import load_model

    model, any_tokenizer = load_model("embedded", "cpu")
    tokenizer: Any = any_tokenizer
    classifier = classifier_of(model, int(tokenizer.pad_token_id))
    torch.nn.init.normal_(classifier.score.weight, generator=torch.Generator().manual_seed(seed))
    classifier.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    write_reward_file(folder, RewardModelFile("embedded", (), True, None, None))
    return reward_digest(folder)


def profile(
    name: str, digest: str, strategy: str, *, policy: str = "words", of: int = 3, attempts: int = 8,
    seconds: float = 60, limits: str = "", more: str = "",
) -> str:  # fmt: skip
    return PROFILE % {
        "name": name, "digest": digest, "strategy": strategy, "policy": policy, "of": of, "attempts": attempts,
        "seconds": seconds, "limits": limits, "more": more,
    }  # fmt: skip


class Scores:
    """A stand-in for a model: what it was asked, and by what a test wants it to judge."""

    def __init__(self, of: Any) -> None:
        self.of = of
        self.asked: list[tuple[Json, Answer, float]] = []

    def __call__(self, prompt: Json, answers: Sequence[Answer]) -> list[float]:
        found = [float(self.of(answer.raw)) for answer in answers]
        self.asked += [(prompt, answer, score) for answer, score in zip(answers, found, strict=True)]
        return found
