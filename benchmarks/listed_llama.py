"""A real model, in a folder that any engine loads, whose every text can be listed.

A Llama of random weights over bytes. One dimension of its hidden state is the same at every place, and the rows of its
head for all tokens but the pieces and the end of text lie against it: they have no mass, so that the texts of a few
tokens are few. What the others have comes from attention to the whole text so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|end|>"
PROMPT = "p"
_SIZE = 32
_WIDTH = 64


def write(folder: Path, pieces: str, *, seed: int = 0, sharpness: float = 1.5) -> None:
    """Write model and tokenizer; ``pieces`` are the characters, each a byte, that it writes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, END])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
    live = [tokenizer.encode(piece)[0] for piece in pieces] + [vocabulary[END]]
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=_WIDTH, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=_SIZE, max_position_embeddings=64,
        tie_word_embeddings=False, bos_token_id=None, eos_token_id=vocabulary[END], pad_token_id=vocabulary[END],
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0.0, 0.3)
        model.model.embed_tokens.weight[:, 0] = 4.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        head = model.lm_head.weight
        head[:] = 0.0
        head[:, 0] = -200.0
        head[live] = torch.randn(len(live), _WIDTH) * sharpness / _WIDTH**0.5
        head[live, 0] = 0.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Listed:
    """The model of a folder, computed from the start for every text: the oracle."""

    folder: Path
    pieces: str
    max_length: int

    @cached_property
    def _model(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float64)

    @cached_property
    def _prompt(self) -> list[int]:
        return list(AutoTokenizer.from_pretrained(self.folder).encode(PROMPT))

    @cached_property
    def live(self) -> tuple[int, ...]:
        """Token ids of the pieces, and of the end of text."""
        tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)
        return (*(tokenizer.encode(piece)[0] for piece in self.pieces), tokenizer.eos_token_id)

    def text_of(self, token_ids: tuple[int, ...]) -> str:
        return "".join(self.pieces[self.live.index(i)] for i in token_ids if i != self.live[-1])

    def texts(self) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every text (the end of text included where it has one) with its log-probability."""
        pending: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        while pending:
            going = [one for one in pending if len(one[0]) < self.max_length and one[0][-1:] != self.live[-1:]]
            yield from (one for one in pending if one not in going)
            if not going:
                return
            ids = torch.tensor([[*self._prompt, *text] for text, _ in going])
            with torch.inference_mode():
                logps = torch.log_softmax(self._model(input_ids=ids).logits[:, -1], -1)
            pending = [
                ((*text, token), logp + float(logps[row, token]))
                for row, (text, logp) in enumerate(going)
                for token in self.live
            ]
