"""transformers after several prompts at once: one forward pass for all texts that go on by a token.

Rows of a step share one padded key-value cache. While the same rows go on it grows in place; where one leaves or joins,
what each has is put together anew. Of texts that left, the last ones of each prompt are kept, so that going back costs
one token.
"""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from policykit.decoding.steps import Logps
from policykit.decoding.together import Key
from policykit.diagnostics import PolicyError

N_KEPT = 4
"""Texts of one prompt, besides those under way, whose keys and values are kept."""
Layers = tuple[tuple[torch.Tensor, torch.Tensor], ...]
"""Keys and values of one row, [1, heads, positions, width] for each layer."""


@dataclass(slots=True)
class _Held:
    """Token ids of one row, and what was computed for them."""

    token_ids: tuple[int, ...]
    layers: Layers


@dataclass(slots=True)
class _Rows:
    """The rows of the last step: their tokens, how much padding stands before each, and the cache of all of them."""

    keys: list[int]
    token_ids: list[tuple[int, ...]]
    pads: list[int]
    cache: Any

    def held(self, row: int) -> _Held:
        """One row's own, without the padding."""
        pad = self.pads[row]
        cut = tuple(
            (layer.keys[row : row + 1, :, pad:].clone(), layer.values[row : row + 1, :, pad:].clone())
            for layer in self.cache.layers
        )
        return _Held(self.token_ids[row], cut)


class CachedBatch:
    """Log-probabilities after texts of several prompts (token ids). ``n_forwards`` counts passes of the model."""

    def __init__(
        self, model: Any, prompts: Sequence[tuple[int, ...]], size: int, temperature: float, cache_name: str
    ) -> None:
        self._model, self._prompts, self._size = model, list(prompts), size
        self._temperature, self._cache_name = temperature, cache_name
        self._rows: _Rows | None = None
        self._kept: dict[int, list[_Held]] = {}
        self._prefilled: Counter[int] = Counter()
        self.n_forwards = 0

    def n_prefilled(self, prompt: int) -> int:
        return self._prefilled[prompt]

    def logps(self, texts: Sequence[Key]) -> list[Logps]:
        """Equal texts are computed once."""
        wanted = list(dict.fromkeys((prompt, self._prompts[prompt] + text) for prompt, text in texts))
        rows = self._gone_on(wanted) or self._put_together(wanted)
        found = dict(zip(wanted, self._step(rows, wanted), strict=True))
        self._rows = rows
        return [found[prompt, self._prompts[prompt] + text] for prompt, text in texts]

    def _gone_on(self, wanted: list[tuple[int, tuple[int, ...]]]) -> _Rows | None:
        """The rows of the last step, those that stay; None where one is asked for that is not one of them."""
        rows = self._rows
        if rows is None:
            return None
        at = {(key, ids): i for i, (key, ids) in enumerate(zip(rows.keys, rows.token_ids, strict=True))}
        stay = [at.get((prompt, whole[:-1])) for prompt, whole in wanted]
        if None in stay or len(set(stay)) < len(stay):
            return None
        chosen = [i for i in stay if i is not None]
        if chosen != list(range(len(rows.keys))):
            self._keep(rows, [i for i in range(len(rows.keys)) if i not in chosen])
            rows.cache.batch_select_indices(torch.tensor(chosen, device=self._model.device))
        return _Rows(
            [prompt for prompt, _ in wanted], [whole[:-1] for _, whole in wanted], [rows.pads[i] for i in chosen],
            rows.cache,
        )  # fmt: skip

    def _put_together(self, wanted: list[tuple[int, tuple[int, ...]]]) -> _Rows:
        """A cache of all texts but for their last token, from what is kept and what has to be computed."""
        if self._rows is not None:
            self._keep(self._rows, range(len(self._rows.keys)))
        held = [self._nearest(prompt, whole[:-1]) for prompt, whole in wanted]
        new = [i for i, one in enumerate(held) if one is None and len(wanted[i][1]) > 1]
        for i, one in zip(new, self._prefill([wanted[i][1][:-1] for i in new]), strict=True):
            held[i] = one
            self._prefilled[wanted[i][0]] += len(one.token_ids)
        for i, (prompt, whole) in enumerate(wanted):
            one = held[i]
            if one is not None and len(one.token_ids) < len(whole) - 1:
                self._prefilled[prompt] += len(whole) - 1 - len(one.token_ids)
                held[i] = self._extended(one, whole[:-1])
        return self._stacked(wanted, held)

    def _nearest(self, prompt: int, text: tuple[int, ...]) -> _Held | None:
        """What is kept of the longest beginning of a text."""
        best, n_best = None, 0
        for kept in self._kept.get(prompt, ()):
            n = _n_common(kept.token_ids, text)
            if n > n_best:
                best, n_best = kept, n
        if best is None:
            return None
        cut = tuple((keys[:, :, :n_best], values[:, :, :n_best]) for keys, values in best.layers)
        return _Held(text[:n_best], cut)

    def _prefill(self, texts: list[tuple[int, ...]]) -> list[_Held]:
        """Texts of which nothing is kept, in one padded pass."""
        if not texts:
            return []
        width = max(map(len, texts))
        pads = [width - len(text) for text in texts]
        cache = self._cache()
        ids = [[0] * pad + list(text) for pad, text in zip(pads, texts, strict=True)]
        self._forward(ids, pads, cache)
        rows = _Rows([0] * len(texts), texts, pads, cache)
        return [rows.held(i) for i in range(len(texts))]

    def _extended(self, held: _Held, text: tuple[int, ...]) -> _Held:
        cache = self._cache()
        for i, (keys, values) in enumerate(held.layers):
            cache.update(keys.clone(), values.clone(), i)
        self._forward([list(text[len(held.token_ids) :])], [0], cache)
        return _Held(text, tuple((layer.keys, layer.values) for layer in cache.layers))

    def _stacked(self, wanted: list[tuple[int, tuple[int, ...]]], held: Sequence[_Held | None]) -> _Rows:
        lengths = [len(whole) - 1 for _, whole in wanted]
        width = max(lengths)
        pads = [width - length for length in lengths]
        cache = self._cache()
        some = next((one for one in held if one is not None), None)
        for layer in range(len(some.layers) if some is not None else 0):
            keys = torch.cat([_padded(one, some, layer, 0, pad) for one, pad in zip(held, pads, strict=True)])
            values = torch.cat([_padded(one, some, layer, 1, pad) for one, pad in zip(held, pads, strict=True)])
            cache.update(keys, values, layer)
        return _Rows([prompt for prompt, _ in wanted], [whole[:-1] for _, whole in wanted], pads, cache)

    def _step(self, rows: _Rows, wanted: list[tuple[int, tuple[int, ...]]]) -> list[Logps]:
        logits = self._forward([[whole[-1]] for _, whole in wanted], rows.pads, rows.cache)
        rows.token_ids = [whole for _, whole in wanted]
        scores = logits[:, : self._size].double() / self._temperature
        found: Any = torch.log_softmax(scores, -1).cpu().numpy()
        return list(found)

    def _forward(self, ids: list[list[int]], pads: list[int], cache: Any) -> Any:
        """One pass over new tokens [B, T] behind what the cache holds; logits of the last place [B, V]."""
        self.n_forwards += 1
        device, before = self._model.device, cache.get_seq_length()
        total = before + len(ids[0])
        at = torch.arange(total, device=device)[None]
        pad = torch.tensor(pads, device=device)[:, None]
        is_real = (at >= pad).long()
        positions = (at - pad).clamp(min=0)[:, before:]
        with torch.inference_mode():
            out = self._model(
                input_ids=torch.tensor(ids, device=device), attention_mask=is_real, position_ids=positions,
                use_cache=True, logits_to_keep=1, **{self._cache_name: cache},
            )  # fmt: skip
        return out.logits[:, -1]

    def _cache(self) -> Any:
        return whole_cache(self._model)

    def _keep(self, rows: _Rows, which: Sequence[int]) -> None:
        for row in which:
            kept = self._kept.setdefault(rows.keys[row], [])
            kept.append(rows.held(row))
            del kept[:-N_KEPT]


def whole_cache(model: Any) -> Any:
    """An empty cache that keeps every position of every layer, so that any beginning can be cut out of it.

    One that is made by the model's config keeps the end of a sliding window alone: what is cut out of that is of other
    positions. Attention to the window is the mask's, which the model makes. Raises PolicyError (PK471) for a model with
    states of which no beginning can be cut out.
    """
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if others := sorted(kind for kind in kinds if not kind.endswith("_attention") or kind == "linear_attention"):
        message = f"the model has layers `{others[0]}`, whose state cannot be taken back to an earlier place"
        raise PolicyError.of("PK471", message, help="serve the model on vLLM, or use `mask` with `policykit generate`")
    return DynamicCache()


def _padded(one: _Held | None, like: _Held | None, layer: int, which: int, pad: int) -> torch.Tensor:
    """Keys or values of a row with ``pad`` empty positions before them."""
    assert like is not None
    if one is None:
        shape = like.layers[layer][which]
        return shape.new_zeros((1, shape.shape[1], pad, shape.shape[3]))
    tensor = one.layers[layer][which]
    empty = tensor.new_zeros((1, tensor.shape[1], pad, tensor.shape[3]))
    return torch.cat([empty, tensor], dim=2)


def _n_common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    n = min(len(one), len(other))
    return next((i for i in range(n) if one[i] != other[i]), n)
