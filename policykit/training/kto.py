"""Kahneman-Tversky optimisation: completions that are desirable or not, without pairs."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.engines.encoding import Encoded, batch_of, encode
from policykit.policy.checked import Json
from policykit.training.config import Config
from policykit.training.dpo import kl_along
from policykit.training.encoding import Fitting, completion_logits, token_logps
from policykit.training.judging import Judge
from policykit.training.kinds.kind import Job, Start
from policykit.training.models import Trained, load_trained
from policykit.training.offline import Offline, Sums, Terms, adapter_off
from policykit.training.pairing import ENDS
from policykit.training.preferences import kto_loss
from policykit.training.rows import Row, Rows


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `kto`."""

    beta: float = 0.1
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """``mismatched`` is the prompt with the completion of the next row, from which the KL is estimated: a property of
    the row, so that the estimate of a batch does not depend on how it is cut."""

    encoded: Encoded
    mismatched: Encoded
    is_desirable: bool
    weight: float


@dataclass(frozen=True, slots=True)
class Kto:
    """The objective."""

    trained: Trained
    settings: Settings

    def denominators(self, example: Example) -> tuple[float]:
        return (example.weight,)

    def constants(self, model: Any, examples: Sequence[Example]) -> Sums:
        """The mean log-ratio to the reference of mismatched pairs: z₀ where it is not below 0."""
        logps, ref, _ = self._log_probs(model, [example.mismatched for example in examples])
        return {"mismatched": (float((logps - ref).sum()), float(len(examples)))}

    def terms(self, model: Any, examples: Sequence[Example], constants: dict[str, float]) -> Terms:
        logps, ref, kl = self._log_probs(model, [example.encoded for example in examples])
        is_desirable = torch.tensor([example.is_desirable for example in examples], device=logps.device)
        weights = torch.tensor([example.weight for example in examples], dtype=logps.dtype, device=logps.device)
        z0 = torch.tensor(constants["mismatched"], dtype=logps.dtype, device=logps.device)
        losses = kto_loss(
            logps, ref, is_desirable, z0, beta=self.settings.beta,
            desirable_weight=self.settings.desirable_weight, undesirable_weight=self.settings.undesirable_weight,
        )  # fmt: skip
        n = float(len(examples))
        ratios = (logps - ref).detach()
        right = torch.where(is_desirable, ratios, -ratios) > 0
        sums: Sums = {"accuracy": (float(right.sum()), n), "kl": (float(kl.sum()), n)}
        for name, chosen in (("gain desirable", is_desirable), ("gain undesirable", ~is_desirable)):
            sums[name] = float(ratios[chosen].sum()), float(chosen.sum()) or 1e-9
        return Terms((weights * losses).sum()[None], sums)

    def _log_probs(self, model: Any, rows: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probabilities of completions by the model and by its reference, and the KL along them, [B] each."""
        batch = batch_of(rows, self.trained.pad_id, next(self.trained.model.parameters()).device)
        with torch.no_grad(), adapter_off(model):
            reference = completion_logits(model, batch)
        logits = completion_logits(model, batch)
        kl = kl_along(logits.detach(), reference, batch.is_real)
        return token_logps(logits, batch).sum(-1), token_logps(reference, batch).sum(-1), kl


def prepare(start: Start) -> Job:
    """Read the section, label and encode every row."""
    settings = _settings(start.config)
    found: list[Diagnostic] = []
    trained = load_trained(start.config)
    fitting = Fitting(start.config, trained.model)
    judge = Judge(start.plan) if start.plan else None
    train, held_out = (list(_examples(rows, trained, judge, fitting, found)) for rows in (start.train, start.held_out))
    if found:
        raise PolicyError(found[:20])
    fitting.check(len(train))
    facts: dict[str, Json] = {
        "trainable parameters": trained.n_trainable,
        "desirable": sum(example.is_desirable for example in train),
        "undesirable": sum(not example.is_desirable for example in train),
        "rows that were dropped for their length": fitting.n_dropped,
    }
    if not facts["desirable"] or not facts["undesirable"]:
        message = f"of the completions {facts['desirable']} are desirable and {facts['undesirable']} are not"
        raise PolicyError.of("PK781", message, start.config.place("data", "train"), "give some of each")
    told = cast("dict[str, Json]", asdict(settings))
    return Job(Offline(Kto(trained, settings), trained.model, train, held_out).run, told, facts)


def _settings(config: Config) -> Settings:
    section = config.section
    if section is None:
        return Settings()
    said = {name: section.number(name) for name in ("beta", "desirableWeight", "undesirableWeight")}
    beta, desirable, undesirable = (1.0 if value is None else value for value in said.values())
    return Settings(0.1 if said["beta"] is None else beta, desirable, undesirable)


def _examples(
    rows: Rows, trained: Trained, judge: Judge | None, fitting: Fitting, found: list[Diagnostic]
) -> Iterator[Example]:
    kept: list[tuple[Row, Encoded, bool]] = []
    for row in rows:
        try:
            for text, is_desirable, ends in _completions(row, judge):
                encoded = encode(trained.tokenizer, row.values["prompt"], text, ends=ends, place=row.place)
                if fitting.fits(row.place, encoded):
                    kept.append((row, encoded, is_desirable))
        except PolicyError as error:
            found.extend(error.diagnostics)
    for i, (row, encoded, is_desirable) in enumerate(kept):
        mismatched = next((one for one in _mismatched(kept, i) if fitting.is_read(one)), None)
        if mismatched is None:
            message = "the model has no room for the prompt with any other row's completion, which the loss needs"
            found.append(Diagnostic("PK782", message, row.place, "leave the row out, or give rows that are shorter"))
            continue
        yield Example(encoded, mismatched, is_desirable, row.number("weight", 1.0))


def _mismatched(kept: Sequence[tuple[Row, Encoded, bool]], i: int) -> Iterator[Encoded]:
    """A prompt with the completions of other rows, from the next one on; with its own where there is no other row."""
    following = (kept[(i + j) % len(kept)] for j in range(1, len(kept)))
    others = (encoded for row, encoded, _ in following if row is not kept[i][0])
    yield _with_completion(kept[i][1], next(others, kept[i][1]))
    for other in others:
        yield _with_completion(kept[i][1], other)


def _with_completion(prompt: Encoded, other: Encoded) -> Encoded:
    ids = (*prompt.token_ids[: prompt.n_prompt], *other.completion_ids)
    return Encoded(ids, prompt.n_prompt, other.spans)


def _completions(row: Row, judge: Judge | None) -> list[tuple[str, bool, bool]]:
    """(text, whether it is desirable, whether it ends) of a row: one, or both sides of a pair.

    Both sides of a pair that break the plan are undesirable, and so is any completion that does.
    """
    named = [name for name in ("completion", "chosen", "rejected") if row.values.get(name) is not None]
    if named == ["completion"]:
        label = row.values.get("desirable")
        is_clean = judge is None or judge.cost(row.text("completion"), row) == 0
        if label is None and judge is None:
            help = "give every row `desirable`, or name a plan that judges them"
            raise PolicyError.of("PK781", "nothing says whether the completion is desirable", row.place, help)
        if label is True and not is_clean:
            message = "the completion is said to be desirable, and breaks the plan"
            raise PolicyError.of("PK781", message, row.place, "leave the row out, or say `desirable: false`")
        ends = row.values.get("finish", ENDS) == ENDS
        return [(row.text("completion"), label is not False and is_clean, ends)]
    if named != ["chosen", "rejected"]:
        message = f"the row has {' and '.join(f'`{n}`' for n in named) or 'no completion'}"
        raise PolicyError.of("PK781", message, row.place, "give `completion`, or `chosen` and `rejected`")
    is_clean = judge is None or judge.cost(row.text("chosen"), row) == 0
    ends = [row.values.get(f"{side}_finish", ENDS) == ENDS for side in named]
    return [(row.text("chosen"), is_clean, ends[0]), (row.text("rejected"), False, ends[1])]
