"""Supervised fine-tuning on completions: weighted by what the grammar makes of their parts, and kept to its form."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from policykit.constraint import Constraint
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.engines.encoding import Encoded, batch_of, encode
from policykit.plan import Plan
from policykit.policy.checked import Entries, Json
from policykit.training.citations import Citations, citations_from
from policykit.training.encoding import Fitting, completion_logits, positions_of, token_logps
from policykit.training.kinds.kind import Job, Start
from policykit.training.likelihood import token_nll, unlikelihood, weighted_sums
from policykit.training.masked import masked_log_probs
from policykit.training.models import Trained, load_trained
from policykit.training.offline import Offline, Sums, Terms
from policykit.training.replay import replay_masks
from policykit.training.replies import Replies, distinct_prompts
from policykit.training.rows import Row, Rows
from policykit.training.screening import How, Screening, how_of
from policykit.training.segments import Segment, character_weights, segments_from, token_means


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `sft`. ``schema_penalty`` is in loss per nat of −log Z of a completion. ``replies`` prompts are
    answered for the rates of violations, of at most ``max_new_tokens`` each. ``violations`` is what becomes of rows
    that break the plan."""

    label_smoothing: float = 0.0
    schema_penalty: float = 0.0
    citations: Citations | None = None
    replies: int = 64
    max_new_tokens: int = 128
    violations: How = "refuse"


@dataclass(frozen=True, slots=True)
class Example:
    """A row: ``weights`` and ``against`` are of each token, the row's own weight in them; ``weight`` is that alone."""

    encoded: Encoded
    weights: tuple[float, ...]
    against: tuple[float, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Sft:
    """The objective: two terms, the weighted likelihood of tokens and the mask tax −Σ log Z of completions."""

    trained: Trained
    settings: Settings
    constraint: Constraint | None

    def denominators(self, example: Example) -> tuple[float, float]:
        return sum(example.weights) + sum(example.against), example.weight

    def constants(self, model: Any, examples: Sequence[Example]) -> Sums:
        return {}

    def terms(self, model: Any, examples: Sequence[Example], constants: dict[str, float]) -> Terms:
        device = next(self.trained.model.parameters()).device
        batch = batch_of([example.encoded for example in examples], self.trained.pad_id, device)
        logits = completion_logits(model, batch)
        logps = token_logps(logits, batch)
        nll = token_nll(logits, batch.token_ids, label_smoothing=self.settings.label_smoothing)
        nll = torch.where(batch.is_real, nll, 0.0)
        weights, against = (_padded(x, logps) for x in ([e.weights for e in examples], [e.against for e in examples]))
        likelihood = weighted_sums(nll, torch.where(batch.is_real, unlikelihood(logps), 0.0), weights, against).sum()
        n = float(batch.is_real.sum())
        right = (logits.argmax(-1) == batch.token_ids) & batch.is_real
        sums: Sums = {"nll": (float(-logps.detach().sum()), n), "accuracy": (float(right.sum()), n)}
        tax = self._tax(logits, examples, batch.token_ids)
        if self.constraint is not None:
            sums["mask_tax"] = (float(tax.detach().sum()), float(len(examples)))
        row_weights = torch.tensor([example.weight for example in examples], dtype=tax.dtype, device=tax.device)
        return Terms(torch.stack([likelihood, self.settings.schema_penalty * (row_weights * tax).sum()]), sums)

    def _tax(self, logits: torch.Tensor, examples: Sequence[Example], token_ids: torch.Tensor) -> torch.Tensor:
        """−Σ log Z of each row, [B]: how much of its mass the model puts outside the plan's masks on the way."""
        if self.constraint is None:
            return logits.new_zeros(len(examples))
        rows = [example.encoded.completion_ids for example in examples]
        masks = replay_masks(self.constraint, self.constraint.digest, rows)
        return masked_log_probs(logits, token_ids, masks).mask_tax


def _padded(rows: Sequence[Sequence[float]], like: torch.Tensor) -> torch.Tensor:
    width = like.shape[1]
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=like.dtype, device=like.device)


def prepare(start: Start) -> Job:
    """Read the section, encode every row, and check that the plan admits it where the penalty needs its masks."""
    section, config = start.config.section, start.config
    found: list[Diagnostic] = []
    settings = settings_from(section, start.plan, found)
    grammar = start.plan.spec.grammar if start.plan else None
    segments = segments_from(section.records("segments") if section else (), grammar, found)
    if settings.schema_penalty > 0 and start.plan is None:
        message = "`schemaPenalty` has no effect without a plan"
        found.append(
            Diagnostic("PK780", message, config.place("sft", "schemaPenalty"), "name a `grammar` or `policies`")
        )
    if section is not None and start.plan is None:
        for name in ("replies", "maxNewTokens", "violations"):
            if name in section.fields:
                message = f"`{name}` has no effect without a plan: nothing says what a violation is"
                found.append(Diagnostic("PK780", message, section.keys[name], "name `policies`, or remove it"))
    if found:
        raise PolicyError(found)
    trained = load_trained(config)
    penalised = start.plan is not None and settings.schema_penalty > 0
    constraint = start.plan.constraint(trained.vocabulary()) if start.plan and penalised else None
    fitting = Fitting(config, trained.model)
    screenings = [start.plan and Screening(start.plan, settings.violations) for _ in ("train", "heldOut")]
    train, held_out = (
        _examples(rows, trained, settings, segments, constraint, fitting, screening, found)
        for rows, screening in zip((start.train, start.held_out), screenings, strict=True)
    )
    told_of_rows = [
        one
        for name, screening in zip(("train", "heldOut"), screenings, strict=True)
        if screening
        for one in screening.diagnostics(config.place("data", name))
    ]
    refused = [one for one in told_of_rows if one.severity is Severity.ERROR]
    if found or refused:
        raise PolicyError([*refused, *found[:20]])
    fitting.check(len(train))
    _check_left(start, train, held_out)
    objective = Sft(trained, settings, constraint)
    facts: dict[str, Json] = {
        "trainable parameters": trained.n_trainable,
        "tokens": sum(len(example.weights) for example in train),
        "rows that were dropped": fitting.n_dropped,
    }
    screened = None
    if screenings[0] and screenings[1]:
        facts["rows that break the plan"] = screenings[0].n_left_out + screenings[0].screened().n_breaking
        screened = screenings[0].screened(), screenings[1].screened()
    told = cast("dict[str, Json]", asdict(settings))
    told["citations"] = settings.citations and settings.citations.told()
    told["segments"] = _told(section)
    measure = _replies(start, trained, settings)
    run = Offline(objective, trained.model, train, held_out, measure=measure).run
    return Job(run, told, facts, tuple(told_of_rows), screened)


def _check_left(start: Start, train: Sequence[Example], held_out: Sequence[Example]) -> None:
    """Raises PolicyError (PK787) where all rows of a file were left out."""
    for name, rows, left in (("train", start.train, train), ("heldOut", start.held_out, held_out)):
        if len(rows) and not left:
            message = f"of the {len(rows)} rows none is left that fits and keeps to the plan"
            place = start.config.place("data", name)
            raise PolicyError.of("PK787", message, place, "give completions as they are to be served")


def _replies(start: Start, trained: Trained, settings: Settings) -> Callable[[], dict[str, float]] | None:
    """What is asked of held-out prompts, or of the first rows' where none are held out."""
    if start.plan is None or not settings.replies:
        return None
    prompts = distinct_prompts(trained, start.held_out or start.train, settings.replies)
    most, positions = max(len(prompt.token_ids) for prompt in prompts), positions_of(trained.model)
    if positions is not None and most + settings.max_new_tokens > positions:
        message = f"a prompt has {most} tokens, and the model reads {positions} with `maxNewTokens` behind it"
        help = f"say `maxNewTokens` in `sft` (it is {settings.max_new_tokens}), or `replies: 0`"
        raise PolicyError.of("PK782", message, start.config.place("sft", "maxNewTokens"), help)
    return Replies(start.plan, trained, prompts, settings.max_new_tokens).rates


def _told(section: Entries | None) -> list[Json]:
    if section is None:
        return []
    return [{name: e.text(name) or e.number(name) for name in e.fields} for e in section.records("segments")]


def settings_from(section: Entries | None, plan: Plan | None, found: list[Diagnostic]) -> Settings:
    """The section's own settings."""
    if section is None:
        return Settings()
    entries = section.entries("citations")
    citations = None if entries is None else citations_from(entries, plan, found)
    replies, length = section.number("replies"), section.number("maxNewTokens")
    return Settings(
        section.number("labelSmoothing") or 0.0,
        section.number("schemaPenalty") or 0.0,
        citations,
        64 if replies is None else int(replies),
        128 if length is None else int(length),
        how_of(section.text("violations")),
    )


def _examples(
    rows: Rows,
    trained: Trained,
    settings: Settings,
    segments: Sequence[Segment],
    constraint: Constraint | None,
    fitting: Fitting,
    screening: Screening | None,
    found: list[Diagnostic],
) -> list[Example]:
    out: list[Example] = []
    for row in rows:
        try:
            encoded = encode(trained.tokenizer, row.values["prompt"], row.text("completion"), place=row.place)
            if not fitting.fits(row.place, encoded):
                continue
            example = example_of(row, encoded, settings, segments)
            if screening is not None and not screening.admits(row, _unlearned(row, settings)):
                continue
            out.append(example)
            if constraint is not None:
                replay_masks(constraint, constraint.digest, [encoded.completion_ids])
        except PolicyError as error:
            for one in error.diagnostics:
                is_placed = one.place is not None
                message = one.message if is_placed else f"the plan does not admit the completion: {one.message}"
                help = one.help if is_placed else "leave the row out, or train without `schemaPenalty`"
                found.append(Diagnostic("PK781", message, one.place or row.place, help))
    return out


def _unlearned(row: Row, settings: Settings) -> set[tuple[int, int]]:
    """Where a completion cites what is not in its `sources`, if that is made less likely and not more."""
    citations = settings.citations
    if citations is None or not citations.unsupported:
        return set()
    known = cast("list[str]", row.values.get("sources") or [])
    return {(start, end) for start, end, source in citations.spans(row.text("completion")) if source not in known}


def example_of(row: Row, encoded: Encoded, settings: Settings, segments: Sequence[Segment]) -> Example:
    """A row with the weight of each token. Raises PolicyError (PK781) for a row that has not what weights are made of.

    A citation that is in the row's `sources` has the weight of citations; one that is not is to be unlearned.
    """
    text = row.text("completion")
    weights = character_weights(text, segments, row.place)
    against = [0.0] * len(text)
    if settings.citations is not None:
        sources = row.values.get("sources")
        if sources is None:
            help = "list what the completion may cite: `sources`"
            raise PolicyError.of("PK781", "there is no column `sources`, which `citations` reads", row.place, help)
        for start, end, source in settings.citations.spans(text):
            is_supported = source in cast("list[str]", sources)
            weights[start:end] = [settings.citations.weight if is_supported else 0.0] * (end - start)
            against[start:end] = [0.0 if is_supported else settings.citations.unsupported] * (end - start)
    own = row.number("weight", 1.0)
    return Example(
        encoded,
        tuple(own * weight for weight in token_means(weights, encoded.spans, 1.0)),
        tuple(own * weight for weight in token_means(against, encoded.spans, 0.0)),
        own,
    )
