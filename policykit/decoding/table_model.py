"""A model whose every text can be listed: what strategies are measured against.

The next token's distribution is a function of the text so far, drawn from a seed; there is nothing to approximate.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from policykit.constraint import Constraint, Vocabulary
from policykit.decoding.steps import Logps, StepSession
from policykit.plan import Plan


@dataclass(frozen=True)
class TableModel:
    """Writes texts of the pieces given, at most ``max_length`` tokens long with the end of text.

    ``sharpness`` is the spread of the random logits: at 0 every token is as likely as every other.
    """

    pieces: tuple[str, ...] = ("a", "b", "c", "d")
    max_length: int = 5
    seed: int = 0
    sharpness: float = 1.5
    sees_distributions: bool = True

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """One token per piece, and the end of text last."""
        tokens = [piece.encode() for piece in self.pieces]
        return Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
        return StepSession(_TableScorer(self, prompt, temperature), constraint)

    def open_all(self, prompts: Sequence[str], temperature: float = 1.0) -> "_TableBatch":
        return _TableBatch(self, prompts, temperature)

    def logps(self, prompt: str, text: tuple[int, ...], temperature: float = 1.0) -> Logps:
        """Log-probabilities of the next token, float64 [V]."""
        seed = hashlib.sha256(repr((self.seed, prompt, text)).encode()).digest()
        logits = np.random.default_rng(np.frombuffer(seed, np.uint32)).normal(size=len(self.pieces) + 1)
        logits *= self.sharpness / temperature
        peak = logits.max()
        return logits - (peak + np.log(np.exp(logits - peak).sum()))

    def texts(self, prompt: str, temperature: float = 1.0) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every text (token ids, the end of text included where it has one) with its log-probability."""
        pending: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        while pending:
            text, logp = pending.pop()
            if len(text) == self.max_length or (text and text[-1] == len(self.pieces)):
                yield text, logp
                continue
            logps = self.logps(prompt, text, temperature)
            pending.extend(((*text, token), logp + float(logps[token])) for token in range(len(logps)))


class _TableScorer:
    def __init__(self, model: TableModel, prompt: str, temperature: float) -> None:
        self._model = model
        self._prompt = prompt
        self._temperature = temperature
        self._known: dict[tuple[int, ...], Logps] = {}

    @property
    def n_prefilled(self) -> int:
        return 0

    def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
        for text in texts:
            if text not in self._known:
                self._known[text] = self._model.logps(self._prompt, text, self._temperature)
        return [self._known[text] for text in texts]


class _TableBatch:
    def __init__(self, model: TableModel, prompts: Sequence[str], temperature: float) -> None:
        self._scorers = [_TableScorer(model, prompt, temperature) for prompt in prompts]

    def n_prefilled(self, prompt: int) -> int:
        return 0

    def logps(self, texts: Sequence[tuple[int, tuple[int, ...]]]) -> list[Logps]:
        return [self._scorers[prompt].logps([text])[0] for prompt, text in texts]
