"""Hugging Face transformers: a logits processor that holds a constraint, and generation on any local or hub model.

Departures from ``generate``: text is decoded from the vocabulary's bytes, never by ``tokenizer.decode``, so that it is
the text that the constraint has seen; assisted decoding is not claimed.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import codecs
import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BatchEncoding,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from policykit import embedded
from policykit.constraint import Outcome, Vocabulary
from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.engines.rows import ConstraintRows, TokenConstraint, TokenVocabulary, unpacked


class PolicyLogitsProcessor(LogitsProcessor):
    """Masks the scores of ``model.generate`` so that no row leaves the constraint.

    For greedy decoding and sampling, any batch, left padding and ``num_return_sequences``. ``prompt_length`` is the
    padded width of the prompts, by default the width at the first call. ``prefixes`` prime the constraint with text
    that the model is to continue: one for all rows, or one per prompt. A row that has ended may only be padded.

    ``beam_search=True`` follows reordered rows, and gives hypotheses outside the constraint the score minus infinity;
    ``generate`` still returns such a hypothesis where it has no better one, so look at its `outcome`.

    Where nothing legal can follow, a row ends, and its `outcome` is a dead end. Raises InternalError for a row in which
    nothing is allowed at all, and for a token that was chosen against the mask.
    """

    def __init__(
        self,
        constraint: TokenConstraint,
        prompt_length: int | None = None,
        *,
        prefixes: Sequence[bytes] = (b"",),
        pad_id: int | None = None,
        beam_search: bool = False,
    ) -> None:
        self._size = constraint.vocabulary.size
        self._rows = ConstraintRows(constraint, prefixes, pad_id=pad_id, keeps_lost_rows=beam_search)
        self._given_length = prompt_length
        self._prompt: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """``scores`` [B, W] with every forbidden token at minus infinity; ``input_ids`` is int64 [B, T]."""
        if scores.shape[1] < self._size:
            raise InternalError(f"the model scores {scores.shape[1]} tokens, the vocabulary has {self._size}")
        start = self._prompt_length(input_ids)
        written = input_ids[:, start:].cpu().numpy()
        allowed = torch.from_numpy(unpacked(self._rows.masks(written), self._size, scores.shape[1]))
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))

    def outcome(self, token_ids: Sequence[int], prefix: bytes = b"") -> Outcome | None:
        """How a text of these tokens (the prompt left out) stands; None if it leaves the constraint."""
        return self._rows.outcome(token_ids, prefix)

    def _prompt_length(self, input_ids: torch.Tensor) -> int:
        prompt = self._prompt
        if prompt is None or not torch.equal(input_ids[:, : prompt.shape[1]], prompt):
            # Other prompts: another call of `generate`.
            length = input_ids.shape[1] if self._given_length is None else self._given_length
            self._prompt = prompt = input_ids[:, :length].clone()
            self._rows.forget()
        return prompt.shape[1]


class FinishReason(StrEnum):
    """Why a generation stopped: at an end of text, because it was cut, or because nothing legal could follow."""

    END = "end"
    LENGTH = "length"
    DEAD_END = "dead_end"


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model wrote. ``token_ids`` hold the end token, if there is one, and no padding.

    ``text`` is the tokens' bytes as UTF-8: a code point that a cut left unfinished is dropped, and invalid bytes
    (only an unconstrained model writes them) are U+FFFD.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason

    @property
    def finished(self) -> bool:
        """Whether the model came to an end by itself."""
        return self.finish_reason is FinishReason.END


def load_model(path_or_id: str | Path, device: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model, ready to generate, and its tokenizer. `embedded` names the model that ships with the package.

    On the CPU weights are float32. Raises PolicyError (PK450 no such folder, PK451 not to be had from the hub, PK453
    another model's tokenizer).
    """
    name = _source(str(path_or_id))
    is_folder = Path(name).is_dir()
    target = device or usual_device()
    dtype: Any = torch.float32 if target == "cpu" else "auto"
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(name, local_files_only=is_folder)
        model: Any = AutoModelForCausalLM.from_pretrained(name, local_files_only=is_folder, dtype=dtype)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        help = "pass a local folder, `embedded`, or a hub id; HF_HUB_OFFLINE=1 keeps transformers from fetching"
        raise PolicyError.of("PK451", f"cannot load the model `{path_or_id}`: {reason}", None, help) from error
    _check_tokenizer(model, tokenizer, path_or_id)
    return model.to(target).eval(), tokenizer


def _check_tokenizer(model: Any, tokenizer: Any, named: str | Path) -> None:
    """Raises PolicyError (PK453) where the tokenizer has ids that the model has no scores for: it could not read them,
    and what a mask leaves open might be among them."""
    head = model.get_output_embeddings()
    n_scores = int(head.weight.shape[0] if head is not None else model.config.get_text_config().vocab_size)
    known: dict[str, int] = tokenizer.get_vocab()
    beyond = sorted((id, token) for token, id in known.items() if id >= n_scores)
    if beyond:
        told = ", ".join(f"`{token}` ({id})" for id, token in beyond[:3]) + (", …" if len(beyond) > 3 else "")
        message = f"the tokenizer of `{named}` has tokens that the model does not score, which has {n_scores}: {told}"
        help = "save the model with `model.resize_token_embeddings(len(tokenizer))`, or give it its own tokenizer"
        raise PolicyError.of("PK453", message, None, help)


def usual_device() -> str:
    """Where a model is loaded to if nothing is said: each of several processes has a GPU of its own, by the variable
    `LOCAL_RANK` that launchers set."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"


def _plain(model: PreTrainedModel) -> Any:
    """The same model, without settings of sampling: those of its folder would hold wherever a call says nothing.

    PEFT's wrapper either goes by the settings of the model that it wraps, or writes its own into it, which others may
    hold: that one is copied, too.
    """
    is_wrapped = hasattr(model, "get_base_model")
    plain: Any = _apart(model, *(("base_model", "model") if is_wrapped else ()))
    for one in (plain, *((plain.get_base_model(),) if is_wrapped else ())):
        one.generation_config = GenerationConfig()
    return plain


def _apart(module: Any, *names: str) -> Any:
    """A copy with attributes of its own, and so of the modules inside it by these names; it shares all the others."""
    copied: Any = copy.copy(module)
    if names and names[0] in module._modules:
        inner = _apart(module._modules[names[0]], *names[1:])
        copied.__dict__["_modules"] = {**module._modules, names[0]: inner}
    return copied


def _source(named: str) -> str:
    """The folder that was named, else the hub id. What can only be a path and is no folder is refused."""
    folder = embedded.model_path() if named == embedded.NAME else Path(named).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise PolicyError.of("PK450", "the folder holds no model: `config.json` is missing", Place(str(folder)))
        return str(folder)
    if folder.is_absolute() or named.startswith(".") or named.count("/") > 1:
        raise PolicyError.of("PK450", f"there is no model folder `{named}`", None, "check the path to the folder")
    return named


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    constraint: TokenConstraint | None = None,
    *,
    max_new_tokens: int = 256,
    do_sample: bool = True,
    temperature: float = 1.0,
    seed: int = 0,
    chat: bool | None = None,
    processors: Sequence[LogitsProcessor] = (),
) -> list[Generation]:
    """One generation per prompt, all in one batch; the same seed and batch give the same texts.

    ``chat`` puts prompts into the tokenizer's chat template, by default where it has one. ``processors`` run after
    the constraint. Sampling is from the whole (masked) distribution: no top-k, no top-p, and none of the settings that
    a model's folder brings along (`generation_config.json`). The global random state is
    left as it was. Raises PolicyError (PK4xx) for a tokenizer that cannot be constrained, InternalError as
    `PolicyLogitsProcessor` does.
    """
    if not prompts:
        return []
    vocabulary: TokenVocabulary = (
        constraint.vocabulary if constraint else Vocabulary.from_tokenizer(cast(Any, tokenizer))
    )
    ends = list(vocabulary.eos_ids)
    pad_id = cast("int | None", cast(Any, tokenizer).pad_token_id)
    pad_id = ends[0] if pad_id is None else pad_id
    inputs = _encoded(tokenizer, prompts, chat, pad_id).to(model.device)
    width = int(inputs["input_ids"].shape[1])
    mask = PolicyLogitsProcessor(constraint, width, pad_id=pad_id) if constraint else None
    sampling: dict[str, Any] = {"temperature": temperature} if do_sample else {"temperature": 1.0}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode():
        torch.manual_seed(seed)
        rows: Any = _plain(model).generate(
            **inputs,
            **sampling,
            do_sample=do_sample,
            top_k=0 if do_sample else 50,
            top_p=1.0,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=pad_id,
            logits_processor=LogitsProcessorList([*([mask] if mask else []), *processors]),
        )
    return [_generation(row, vocabulary, mask) for row in cast(list[list[int]], rows[:, width:].tolist())]


def _encoded(tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], chat: bool | None, pad_id: int) -> Any:
    """The prompts padded on the left, int64 [B, T], without touching the tokenizer's own settings."""
    in_template = tokenizer.chat_template is not None if chat is None else chat
    texts = [_in_chat(tokenizer, prompt) for prompt in prompts] if in_template else list(prompts)
    call = cast(Any, tokenizer)
    rows: list[list[int]] = call(texts, add_special_tokens=not in_template)["input_ids"]
    width = max(1, *(len(row) for row in rows))
    ids = torch.tensor([[pad_id] * (width - len(row)) + row for row in rows])
    is_real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return BatchEncoding({"input_ids": ids, "attention_mask": is_real})


def _in_chat(tokenizer: PreTrainedTokenizerFast, prompt: str) -> str:
    messages = [{"role": "user", "content": prompt}]
    return cast(str, cast(Any, tokenizer).apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _generation(row: Sequence[int], vocabulary: TokenVocabulary, mask: PolicyLogitsProcessor | None) -> Generation:
    ends = frozenset(vocabulary.eos_ids)
    at = next((i for i, token in enumerate(row) if token in ends), None)
    ids = tuple(row if at is None else row[: at + 1])
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(vocabulary.decode(ids), final=at is not None)
    reason = FinishReason.LENGTH if at is None else FinishReason.END
    # The last token of a row that was cut has not been through the mask's own bookkeeping yet.
    match mask.outcome(ids) if mask else Outcome.RUNNING:
        case None:
            raise InternalError(f"the engine wrote a text outside the constraint: {text!r}")
        case Outcome.DEAD_END:
            reason = FinishReason.DEAD_END
        case _:
            pass
    return Generation(text, ids, reason)
