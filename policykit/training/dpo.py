"""Direct preference optimisation and its kin: sigmoid (DPO), IPO, ORPO and SimPO over one objective on pairs."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.engines.encoding import Encoded, batch_of
from policykit.policy.checked import Entries, Json
from policykit.training.config import Config
from policykit.training.encoding import Fitting, completion_logits, token_logps
from policykit.training.judging import Judge
from policykit.training.kinds.kind import Job, Start
from policykit.training.models import Trained, load_trained
from policykit.training.offline import Offline, Sums, Terms, adapter_off
from policykit.training.pairing import check_left, judged_pairs, unjudged
from policykit.training.preferences import dpo_loss, ipo_loss, orpo_loss, simpo_loss
from policykit.training.rows import Rows

REFERENCE_FREE = ("orpo", "simpo")


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `dpo`. ``margin`` is per unit of cost by which the rejected side exceeds the chosen."""

    loss: str = "sigmoid"
    beta: float = 0.1
    gamma: float = 1.0
    label_smoothing: float = 0.0
    margin: float = 0.0
    relabel: bool = False
    ties: str = "drop"
    both_bad: str = "drop"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two encoded completions of one prompt; ``smoothing`` is ½ for a tie."""

    chosen: Encoded
    rejected: Encoded
    margin: float = 0.0
    smoothing: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Preferences:
    """The objective. Log-probabilities of DPO and IPO are sums over tokens, those of ORPO and SimPO means."""

    trained: Trained
    settings: Settings

    def denominators(self, example: Pair) -> tuple[float]:
        return (example.weight,)

    def constants(self, model: Any, examples: Sequence[Pair]) -> Sums:
        return {}

    def terms(self, model: Any, examples: Sequence[Pair], constants: dict[str, float]) -> Terms:
        device = next(self.trained.model.parameters()).device
        rows = [pair.chosen for pair in examples] + [pair.rejected for pair in examples]
        batch = batch_of(rows, self.trained.pad_id, device)
        has_reference = self.settings.loss not in REFERENCE_FREE
        reference: torch.Tensor | None = None
        if has_reference:
            with torch.no_grad(), adapter_off(model):
                reference = completion_logits(model, batch)
        logits = completion_logits(model, batch)
        scale = torch.ones_like(batch.is_real[:, 0], dtype=logits.dtype) if has_reference else batch.is_real.sum(-1)
        logps = token_logps(logits, batch).sum(-1) / scale
        ref = torch.zeros_like(logps) if reference is None else token_logps(reference, batch).sum(-1)
        n = len(examples)
        losses = pair_losses(
            self.settings, logps[:n], logps[n:], ref[:n], ref[n:],
            margin=_column([pair.margin for pair in examples], logps),
            smoothing=_column([pair.smoothing for pair in examples], logps),
        )  # fmt: skip
        weights = _column([pair.weight for pair in examples], logps)
        gains = ((logps[:n] - logps[n:]) - (ref[:n] - ref[n:])).detach()
        ordered = _column([float(pair.smoothing < 0.5) for pair in examples], logps)
        sums: Sums = {
            "accuracy": (float(((gains > 0) * ordered).sum()), float(ordered.sum()) or 1e-9),
            "gain": (float((gains * ordered).sum()), float(ordered.sum()) or 1e-9),
            "chosen": (float(logps[:n].detach().sum()), float(n)),
            "rejected": (float(logps[n:].detach().sum()), float(n)),
        }
        if reference is not None:
            sums["kl"] = (float(kl_along(logits.detach(), reference, batch.is_real).sum()), 2.0 * n)
        return Terms((weights * losses).sum()[None], sums)


def _column(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def pair_losses(
    settings: Settings,
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    *,
    margin: torch.Tensor,
    smoothing: torch.Tensor,
) -> torch.Tensor:
    """The loss that the settings name, of log-probabilities [B] each; ORPO's likelihood term is the chosen side's."""
    match settings.loss:
        case "ipo":
            return ipo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=settings.beta)
        case "orpo":
            return orpo_loss(chosen, rejected, -chosen, beta=settings.beta)
        case "simpo":
            return simpo_loss(chosen, rejected, beta=settings.beta, gamma=settings.gamma)
        case _:
            return dpo_loss(
                chosen, rejected, ref_chosen, ref_rejected,
                beta=settings.beta, margin=margin, label_smoothing=smoothing,
            )  # fmt: skip


def kl_along(logits: torch.Tensor, reference: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """Σ_t KL(π(·|s_t) ‖ π_ref(·|s_t)) along given completions, [B], in nat, of logits [B, T, V]."""
    logp, ref = logits.float().log_softmax(-1), reference.float().log_softmax(-1)
    return torch.where(is_real, (logp.exp() * (logp - ref)).sum(-1), 0.0).sum(-1)


def prepare(start: Start) -> Job:
    """Read the section, judge and encode every pair."""
    found: list[Diagnostic] = []
    settings = settings_from(start.config, found)
    judged = start.plan is not None or all("chosen_cost" in row.values for row in start.train)
    found.extend(unjudged(settings, start.config, judged))
    if found:
        raise PolicyError(found)
    trained = load_trained(start.config)
    fitting, counts = Fitting(start.config, trained.model), Counter[str]()
    judge = Judge(start.plan) if start.plan else None
    train, held_out = (
        list(_pairs(rows, trained, settings, judge, fitting, counts, found)) for rows in (start.train, start.held_out)
    )
    if found:
        raise PolicyError(found[:20])
    fitting.check(len(train))
    check_left(len(train), counts, start.config)
    facts: dict[str, Json] = {"trainable parameters": trained.n_trainable, "pairs": len(train)}
    facts |= {f"{name} (all rows)": n for name, n in sorted(counts.items())}
    facts["rows that were dropped for their length"] = fitting.n_dropped
    objective = Preferences(trained, settings)
    return Job(Offline(objective, trained.model, train, held_out).run, cast("dict[str, Json]", asdict(settings)), facts)


def settings_from(config: Config, found: list[Diagnostic]) -> Settings:
    """The section's settings, with a diagnostic (PK780) for each that the chosen loss does not read."""
    section = config.section
    if section is None:
        return Settings()
    loss = section.text("loss") or "sigmoid"
    readers = {"gamma": ("simpo",), "labelSmoothing": ("sigmoid",), "margin": ("sigmoid",), "ties": ("sigmoid",)}
    for name, losses in readers.items():
        if name in section.keys and loss not in losses and section.text(name) != "drop":
            message = f"`{name}` has no effect on the loss `{loss}`"
            found.append(Diagnostic("PK780", message, section.keys[name], f"remove it, or use `{losses[0]}`"))
    usual = Settings()
    return Settings(
        loss=loss,
        beta=_number(section, "beta", 2.0 if loss == "simpo" else usual.beta),
        gamma=_number(section, "gamma", usual.gamma),
        label_smoothing=_number(section, "labelSmoothing", 0.0),
        margin=_number(section, "margin", 0.0),
        relabel=section.flag("relabel"),
        ties=section.text("ties") or usual.ties,
        both_bad=section.text("bothBad") or usual.both_bad,
    )


def _number(section: Entries, name: str, default: float) -> float:
    value = section.number(name)
    return default if value is None else value


def _pairs(
    rows: Rows,
    trained: Trained,
    settings: Settings,
    judge: Judge | None,
    fitting: Fitting,
    counts: Counter[str],
    found: list[Diagnostic],
) -> Iterator[Pair]:
    for one in judged_pairs(rows, judge, settings, counts, found):
        chosen, rejected = one.encoded(trained.tokenizer)
        if fitting.fits(one.row.place, chosen, rejected):
            yield Pair(chosen, rejected, one.margin, one.smoothing, one.weight)
