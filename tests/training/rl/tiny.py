"""A real model over six tokens, small enough that every legal completion can be listed and its probability multiplied.

The oracle knows neither masks nor log-probabilities of sequences: it lists rows by the bytes of their tokens.
"""

import itertools
from functools import cache
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import policykit as pk

TOKENS = [b"a", b"b", b"ab", b"c", b"", b""]
END, START, SIZE = 4, 5, 6
TEXTS = ["a", "b", "ab", "abc", "ca", "cb", "cab", "cc", "ba", "bab"]
PROMPT = (START,)


@cache
def vocabulary() -> pk.Vocabulary:
    return pk.Vocabulary.from_tokens(TOKENS, [END], [END, START], allow_incomplete=True)


@cache
def constraint() -> pk.Constraint:
    return pk.compile(None, pk.Grammar.from_choices(TEXTS)).constraint(vocabulary())


@cache
def legal_rows() -> list[tuple[int, ...]]:
    """Every tokenisation of every text, with its end."""
    rows: list[tuple[int, ...]] = []
    for n in range(1, 4):
        for row in itertools.product(range(4), repeat=n):
            if b"".join(TOKENS[i] for i in row).decode() in TEXTS:
                rows.append((*row, END))
    return rows


def model(seed: int) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=SIZE, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=16, initializer_range=0.6, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=END, pad_token_id=END,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


def follow(prefix: tuple[int, ...]) -> list[int]:
    """The tokens that some legal row has after ``prefix``."""
    n = len(prefix)
    return sorted({row[n] for row in legal_rows() if row[:n] == prefix})


def probabilities(net: Any, *, renormalised: bool, prompt: tuple[int, ...] = PROMPT) -> torch.Tensor:
    """Of every legal row, by multiplication along it; not renormalised they do not sum to 1."""
    found: list[torch.Tensor] = []
    for row in legal_rows():
        logits = net(input_ids=torch.tensor([prompt + row])).logits[0]
        p = torch.ones((), dtype=torch.float64)
        for t, token in enumerate(row):
            weights = logits[len(prompt) - 1 + t].exp()
            among = follow(row[:t]) if renormalised else list(range(SIZE))
            p = p * weights[token] / weights[among].sum()
        found.append(p)
    return torch.stack(found)


def rewards(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(len(legal_rows()), generator=generator, dtype=torch.float64)


def gradient(value: torch.Tensor, net: Any) -> torch.Tensor:
    found = torch.autograd.grad(value, list(net.parameters()))
    return torch.cat([g.flatten() for g in found])


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))
