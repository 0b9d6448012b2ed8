"""Reward models: a language model whose last state is read as a number, and a plan's costs beside it.

The body and its head are transformers' classes for sequence classification with one label, so that a folder of full
weights is one that other tools load; without the features of a plan, and without the temperature.
"""
# torch, transformers and PEFT leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from policykit.adapters.reward import RewardModelFile, check_reward_file, check_weights, read_reward_file
from policykit.decoding import Answer, Finish
from policykit.diagnostics import Place, PolicyError
from policykit.engines.encoding import Encoded, batch_of, encode
from policykit.engines.transformers import load_model, usual_device
from policykit.plan import Plan
from policykit.policy.checked import Json
from policykit.rewards import CostModel
from policykit.rewards.trl import Rewards, Term, text_of

BATCH = 32


class RewardNet(torch.nn.Module):
    """Rewards [B] of texts: the head's number at the last token, and Σ w·φ of features φ, both 0 before training.

    The head is in single precision, whatever the body is in: a half one tells rewards of 4 apart by 1/32. With
    ``in_one_dtype`` it is as precise as the body, for FSDP shards parameters of one type together. Rewards are float32
    in both cases, and where a wrapper casts the parameters.

    ``classifier`` is a model for sequence classification with one label, or PEFT's wrapper of one.
    """

    def __init__(self, classifier: Any, n_features: int = 0, *, in_one_dtype: bool = False) -> None:
        super().__init__()
        self.classifier = classifier
        first = next(classifier.parameters())
        dtype = first.dtype if in_one_dtype else torch.float32
        self._inner().score.to(dtype)
        self._no_split_modules = getattr(self._inner(), "_no_split_modules", None)
        """The layers that FSDP shards one by one, as transformers' own classes name them."""
        to: dict[str, Any] = {"device": first.device, "dtype": dtype}
        self.features = torch.nn.Linear(n_features, 1, bias=False, **to) if n_features else None
        if self.features is not None:
            torch.nn.init.zeros_(self.features.weight)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """``input_ids`` and ``attention_mask`` are int64 [B, W], padded on the right; ``features`` float [B, K]."""
        # Not the class's own forward: it takes the last token that is no padding, and an end of text may be padding.
        model = self._inner()
        body: Any = getattr(model, model.base_model_prefix)
        states = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        last = attention_mask.sum(-1) - 1
        rewards = _numbers(model.score, states[torch.arange(len(last), device=states.device), last])
        if self.features is None:
            return rewards
        assert features is not None, "a net with features is given some"
        return rewards + _numbers(self.features, features)

    def _inner(self) -> Any:
        is_wrapped = hasattr(self.classifier, "get_base_model")
        return self.classifier.get_base_model() if is_wrapped else self.classifier

    def feature_weights(self) -> list[float]:
        """w, one for each feature."""
        return [] if self.features is None else [float(w) for w in self.features.weight[0].detach().cpu()]

    def save_pretrained(self, folder: str, state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
        """The classifier as its own class saves it. Weights of features are not here, but in `reward_model.json`."""
        prefix, state = "classifier.", None
        if state_dict is not None:
            state = {name.removeprefix(prefix): x for name, x in state_dict.items() if name.startswith(prefix)}
        self.classifier.save_pretrained(folder, state_dict=state, max_shard_size="10TB")


def _numbers(linear: Any, rows: torch.Tensor) -> torch.Tensor:
    """Float32 [B] of a layer with one output. What wraps a net for several processes may have cast its parameters."""
    return linear(rows.to(next(linear.parameters()).dtype))[:, 0].float()


def classifier_of(model: Any, pad_id: int) -> Any:
    """The body of a causal language model under a new head with one output, 0 for every text.

    Raises PolicyError (PK786) for a model whose family has no such class.
    """
    from transformers import AutoModelForSequenceClassification

    config = copy.deepcopy(model.config)
    config.num_labels, config.pad_token_id = 1, pad_id
    body = getattr(model, model.base_model_prefix)
    try:
        with torch.device("meta"):
            classifier: Any = AutoModelForSequenceClassification.from_config(config)
        hidden_size = classifier.score.in_features
    except (ValueError, AttributeError) as error:
        message = f"a model of the type `{model.config.model_type}` cannot be made a reward model"
        raise PolicyError.of("PK786", message, help="use a decoder that transformers can classify with") from error
    setattr(classifier, classifier.base_model_prefix, body)
    device = next(body.parameters()).device
    classifier.score = torch.nn.Linear(hidden_size, 1, bias=False, device=device)
    torch.nn.init.zeros_(classifier.score.weight)
    return classifier


@dataclass(frozen=True, slots=True)
class Text:
    """A completion of a prompt (text or messages), whether it came to an end, and its costs by group of rules."""

    prompt: Json
    completion: str
    ends: bool = True
    costs: Mapping[str, float] | None = None


def features_of(kind: str, names: Sequence[str], costs: Mapping[str, float]) -> tuple[float, ...]:
    """φ of a text: its costs in the order of ``names``, or for `verdicts` 1 where there is one."""
    return tuple(float(costs[name] > 0) if kind == "verdicts" else float(costs[name]) for name in names)


class RewardModel:
    """A reward model to use: rewards in log-odds, and as a term of other rewards."""

    def __init__(self, net: RewardNet, tokenizer: Any, file: RewardModelFile, plan: Plan | None) -> None:
        self.net, self.tokenizer, self.file, self.plan = net.eval(), tokenizer, file, plan
        self._costs = CostModel(plan) if plan is not None and file.features != "none" else None

    @classmethod
    def load(cls, folder: str | Path, plan: Plan | None = None, device: str | None = None) -> "RewardModel":
        """The reward model of a local folder, for use under ``plan``; features need one.

        Raises PolicyError: PK786 for a folder that holds none, and for another bundle or plan than it was trained
        under; PK450 and PK451 for the model that it is an adapter of.
        """
        path = Path(folder)
        file = read_reward_file(path)
        check_reward_file(file, plan, path)
        check_weights(path, file)
        try:
            classifier, tokenizer = _full(path, device) if file.is_full else _adapted(path, file, device)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            help = "train it again, or put its files back"
            raise PolicyError.of(
                "PK786", f"the reward model cannot be loaded: {reason}", Place(str(path)), help
            ) from error
        _check_vocabulary(classifier, tokenizer, path)
        net = RewardNet(classifier, len(file.weights))
        if net.features is not None:
            with torch.no_grad():
                net.features.weight.copy_(torch.tensor([list(file.weights.values())]))
        return cls(net, tokenizer, file, plan)

    def rewards(self, texts: Sequence[Text]) -> list[float]:
        """The reward of each text, divided by the temperature: a difference is the log-odds of a preference."""
        pad = self.tokenizer.pad_token_id
        pad_id = int(self.tokenizer.eos_token_id if pad is None else pad)
        found: list[float] = []
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            encoded = [encode(self.tokenizer, one.prompt, one.completion, ends=one.ends) for one in part]
            features = [self._features(one) for one in part]
            with torch.no_grad():
                found += rewards_of(self.net, self.net, encoded, features, pad_id).tolist()
        return [reward / self.file.temperature for reward in found]

    def _features(self, one: Text) -> tuple[float, ...]:
        if self._costs is None:
            return ()
        assert one.costs is not None, "features are of costs"
        return features_of(self.file.features, tuple(self.file.weights), one.costs)

    def term(self, eos_ids: Sequence[int] = ()) -> Term:
        """The rewards as a function of TRL's contract: None for a completion that the plan could not judge.

        ``eos_ids`` are the ends of text of the model that writes, by which `completion_ids` tell a completion that
        ended from one that was cut; without them all are taken to have ended.
        """

        def reward_model(prompts: Sequence[object], completions: Sequence[object], **columns: Any) -> Rewards:
            ids = cast("Sequence[Sequence[int]] | None", columns.get("completion_ids")) if eos_ids else None
            facts = cast("Sequence[Mapping[str, object] | None] | None", columns.get("facts"))
            texts: list[Text | None] = []
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
                ends = ids is None or (len(ids[i]) > 0 and ids[i][-1] in eos_ids)
                costs = self._costs_of(text_of(completion), facts[i] if facts else None)
                is_lost = self._costs is not None and costs is None
                texts.append(None if is_lost else Text(cast("Json", prompt), text_of(completion), ends, costs))
            known = iter(self.rewards([text for text in texts if text is not None]))
            return [None if text is None else next(known) for text in texts]

        return reward_model

    def _costs_of(self, text: str, facts: Mapping[str, object] | None) -> Mapping[str, float] | None:
        if self._costs is None or self.plan is None:
            return None
        costs = self._costs.of(self.plan.verify(text, facts))
        return None if costs.errors else costs.by_group

    def best(self) -> Callable[[str, Answer], float]:
        """What :class:`policykit.decoding.Best` asks of an answer to a prompt: the reward of what the model wrote.

        Features are those of the answer's verdict. Raises PolicyError (PK762) for the verdict of another plan.
        """

        return lambda prompt, answer: self.of_answers(prompt, (answer,))[0]

    def of_answers(self, prompt: Json, answers: Sequence[Answer]) -> list[float]:
        """The reward of what the model wrote in each answer to a prompt (text or messages); -inf where a rule that is a
        feature could not be judged. Raises PolicyError as :meth:`best`."""
        costs = [None if self._costs is None else self._costs.of(answer.verdict) for answer in answers]
        known = [
            Text(prompt, answer.raw, answer.finish is Finish.END, cost.by_group if cost else None)
            for answer, cost in zip(answers, costs, strict=True)
            if not (cost and cost.errors)
        ]
        rewards = iter(self.rewards(known))
        return [float("-inf") if cost and cost.errors else next(rewards) for cost in costs]


def rewards_of(
    net: RewardNet, call: Any, texts: Sequence[Encoded], features: Sequence[Sequence[float]], pad_id: int
) -> torch.Tensor:
    """Rewards [B] by the net, called through ``call``, which may be what wraps it for several processes."""
    device = next(net.parameters()).device
    batch = batch_of(texts, pad_id, device)
    phi = None if net.features is None else torch.tensor([list(row) for row in features], device=device)
    return call(batch.input_ids, batch.attention_mask, phi)


def _check_vocabulary(classifier: Any, tokenizer: Any, folder: Path) -> None:
    """Raises PolicyError (PK786) for a tokenizer with tokens that the model does not have: it is of another."""
    n_known = int(classifier.get_input_embeddings().num_embeddings)
    most = max(tokenizer.get_vocab().values(), default=-1)
    if most >= n_known:
        message = f"the reward model has {n_known} tokens, and its tokenizer one of the number {most}"
        raise PolicyError.of("PK786", message, Place(str(folder)), "put the tokenizer of its own model there")


def _full(folder: Path, device: str | None) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    target = device or usual_device()
    dtype: Any = torch.float32 if target == "cpu" else "auto"
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, dtype=dtype
    )
    return model.to(target), tokenizer


def _adapted(folder: Path, file: RewardModelFile, device: str | None) -> tuple[Any, Any]:
    from peft import PeftModel

    model, any_tokenizer = load_model(file.base, device)
    for path in file.merged:
        model = cast("Any", PeftModel.from_pretrained(model, path)).merge_and_unload()
    tokenizer: Any = any_tokenizer
    pad = tokenizer.pad_token_id
    classifier = classifier_of(model, int(tokenizer.eos_token_id if pad is None else pad))
    adapted: Any = PeftModel.from_pretrained(classifier, str(folder), local_files_only=True)
    return adapted, tokenizer
