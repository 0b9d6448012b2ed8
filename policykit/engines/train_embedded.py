"""Train the embedded model: the same folder, byte for byte, from the same seed on the same machine.

    python -m policykit.engines.train_embedded --out policykit/embedded/model

About four minutes on two idle cores. A tokenizer is trained first, then a narrow Llama with a loss on completions
only, then free samples are scored by a list of phrases that shares nothing with the shipped policies.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from policykit.embedded.corpus import Chat, example
from policykit.engines.embedded_evaluation import evaluate
from policykit.engines.embedded_tokenizer import ASSISTANT, END, END_ID, PAD_ID, USER, train_tokenizer

IGNORED = -100  # cross_entropy's label for a position without loss
POOL = 1024  # examples that are sorted by length together, so that batches hold little padding


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, besides the corpus.

    ``initializer_std`` is four times the usual one: a narrow model with tied embeddings starts too flat otherwise.
    """

    seed: int = 7
    n_steps: int = 2600
    n_tokens: int = 1024  # per batch, padding included
    learning_rate: float = 3e-3
    vocab_size: int = 2048
    hidden_size: int = 128
    n_layers: int = 4
    n_heads: int = 4
    feed_forward: int = 352
    initializer_std: float = 0.08


@dataclass(frozen=True, slots=True)
class Batch:
    """``token_ids`` and ``labels``, int64 [B, T]; ``labels`` are shifted, and IGNORED where there is no loss."""

    token_ids: torch.Tensor
    labels: torch.Tensor


def encode(chat: Chat, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """The token ids of a chat, and its labels: IGNORED on the prompt and on what a grammar will have forced."""
    prompt: list[int] = tokenizer.encode(f"{USER}{chat.prompt}{ASSISTANT}", add_special_tokens=False)
    completion = tokenizer(f"{chat.completion}{END}", add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = completion["input_ids"]
    learned = [
        token if start >= chat.forced_chars else IGNORED
        for token, (start, _) in zip(ids, completion["offset_mapping"], strict=True)
    ]
    return prompt + ids, [IGNORED] * len(prompt) + learned


def batches(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """Endless batches of at most ``n_tokens`` positions, examples of like length together."""
    rng = Random(recipe.seed)
    while True:
        pool = sorted((encode(example(rng), tokenizer) for _ in range(POOL)), key=lambda pair: len(pair[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for pair in pool:
            if (len(groups[-1]) + 1) * len(pair[0]) > recipe.n_tokens:
                groups.append([])
            groups[-1].append(pair)
        rng.shuffle(groups)
        yield from (_batch(group) for group in groups)


def _batch(group: list[tuple[list[int], list[int]]]) -> Batch:
    # Padding stands on the right, where causal attention keeps it from every real token: no attention mask.
    width = max(len(ids) for ids, _ in group)
    ids = torch.tensor([row + [PAD_ID] * (width - len(row)) for row, _ in group])
    labels = torch.tensor([row[1:] + [IGNORED] * (width + 1 - len(row)) for _, row in group])
    return Batch(ids, labels)


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained model, its weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.feed_forward,
        num_hidden_layers=recipe.n_layers,
        num_attention_heads=recipe.n_heads,
        num_key_value_heads=recipe.n_heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=recipe.initializer_std,
        bos_token_id=None,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
    )
    return LlamaForCausalLM(config)


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy in nats over the labelled positions. The head runs on those positions only."""
    hidden = model.model(input_ids=batch.token_ids).last_hidden_state
    is_labelled = batch.labels != IGNORED
    return cross_entropy(model.lm_head(hidden[is_labelled]), batch.labels[is_labelled])


def train(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, console: Console) -> LlamaForCausalLM:
    """The trained model. AdamW under a one-cycle rate; no dropout, so the seed decides everything."""
    model = new_model(recipe, tokenizer)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.n_steps, pct_start=0.1
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    source, n_tokens, start = batches(recipe, tokenizer), 0, perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=recipe.n_steps)
        for step in range(1, recipe.n_steps + 1):
            batch = next(source)
            loss = loss_of(model, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            n_tokens += batch.token_ids.numel()
            rate = n_tokens / (perf_counter() - start)
            progress.update(task, advance=1, description=f"loss {loss.item():.3f}, {rate:,.0f} tokens/s")
            if step % 200 == 0 or step == recipe.n_steps:
                console.print(f"step {step:5d}  loss {loss.item():.3f}  {rate:,.0f} tokens/s")
    model.eval()
    return model


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the folder that ``from_pretrained`` reads: weights as bfloat16, the tokenizer, generation settings."""
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=128,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
    )
    cast(Any, model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers 5 writes a class name and a list that version 4 does not read; both read these.
    path = folder / "tokenizer_config.json"
    settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
    settings.pop("backend", None)
    settings["additional_special_tokens"] = settings.pop("extra_special_tokens", [USER, ASSISTANT])
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def weights_digest(model: LlamaForCausalLM) -> str:
    """SHA-256 over every parameter's name and bytes: equal exactly when two trainings agree."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().float().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--steps", type=int, default=Recipe().n_steps)
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--threads", type=int, default=1, help="one is often fastest for so small a model")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console = Console()
    recipe = Recipe(seed=arguments.seed, n_steps=arguments.steps)
    tokenizer = train_tokenizer(recipe.seed, recipe.vocab_size)
    start = perf_counter()
    model = train(recipe, tokenizer, console)
    console.print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {perf_counter() - start:.0f} s")
    save(model, tokenizer, arguments.out)
    console.print(f"{sum(f.stat().st_size for f in arguments.out.iterdir()):,} bytes in {arguments.out}")
    evaluate(model, tokenizer, console)


if __name__ == "__main__":
    main()
