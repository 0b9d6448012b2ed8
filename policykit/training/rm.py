"""Training reward models: the loss of Bradley and Terry on pairs, and the calibration of what comes out of it."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch

from policykit.adapters.reward import PLOT, RewardModelFile, write_reward_file
from policykit.adapters.reward_model import RewardNet, classifier_of, features_of, rewards_of
from policykit.charts import Line, lines
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.engines.encoding import Encoded
from policykit.policy.checked import Entries, Json
from policykit.training.calibration import Calibration, calibrate
from policykit.training.config import Config
from policykit.training.encoding import Fitting
from policykit.training.judging import Judge
from policykit.training.kinds.kind import Job, Start
from policykit.training.kinds.rm import OUTPUT
from policykit.training.models import Trained, load_merged, sharding, with_lora
from policykit.training.offline import Offline, Sums, Terms
from policykit.training.pairing import check_left, judged_pairs, unjudged
from policykit.training.preferences import bradley_terry_loss
from policykit.training.rows import Row, Rows
from policykit.training.runs.folder import write
from policykit.training.runs.run import Run

AGREEMENT = "policy/agreement/"
WEIGHT = "policy/weight/"


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `rm`. ``margin`` is per unit of cost; ``head_rate`` is in multiples of the optimizer's rate."""

    loss: str = "bradley-terry"
    label_smoothing: float = 0.0
    margin: float = 0.0
    relabel: bool = False
    ties: str = "drop"
    both_bad: str = "drop"
    centre: float = 0.01
    features: str = "none"
    weights: str = "lora"
    head_rate: float = 10.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two encoded completions, the better one first, with the costs of each by rule. ``half`` is that of its
    prompt."""

    chosen: Encoded
    rejected: Encoded
    costs: tuple[Mapping[str, float], Mapping[str, float]]
    features: tuple[tuple[float, ...], tuple[float, ...]]
    margin: float
    smoothing: float
    weight: float
    half: int


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """The objective. ``names`` are of the features."""

    net: RewardNet
    settings: Settings
    names: tuple[str, ...]
    pad_id: int

    def denominators(self, example: Pair) -> tuple[float]:
        return (example.weight,)

    def constants(self, model: Any, examples: Sequence[Pair]) -> Sums:
        return {}

    def rewards(self, model: Any, examples: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the chosen sides and of the rejected, [B] each."""
        texts = [pair.chosen for pair in examples] + [pair.rejected for pair in examples]
        features = [pair.features[0] for pair in examples] + [pair.features[1] for pair in examples]
        found = rewards_of(self.net, model, texts, features, self.pad_id)
        return found[: len(examples)], found[len(examples) :]

    def terms(self, model: Any, examples: Sequence[Pair], constants: dict[str, float]) -> Terms:
        chosen, rejected = self.rewards(model, examples)
        margin, smoothing, weights = (
            torch.tensor(values, dtype=chosen.dtype, device=chosen.device)
            for values in ([p.margin for p in examples], [p.smoothing for p in examples], [p.weight for p in examples])
        )
        losses = bradley_terry_loss(
            chosen, rejected, margin=margin, label_smoothing=smoothing, centre=self.settings.centre
        )
        gaps, ordered = (chosen - rejected).detach(), (smoothing < 0.5).to(chosen.dtype)
        right = (gaps > 0) + 0.5 * (gaps == 0)
        n, n_ordered = float(len(examples)), float(ordered.sum()) or 1e-9
        sums: Sums = {
            "accuracy": (float((right * ordered).sum()), n_ordered),
            "margin": (float((gaps * ordered).sum()), n_ordered),
            "chosen": (float(chosen.detach().sum()), n),
            "rejected": (float(rejected.detach().sum()), n),
        }
        for name, weight in zip(self.names, self.net.feature_weights(), strict=True):
            sums[WEIGHT + name] = weight * n, n
        return Terms((weights * losses).sum()[None], sums)


def prepare(start: Start) -> Job:
    """Read the section, judge and encode every pair, and put a head on the model."""
    found: list[Diagnostic] = []
    config, settings = start.config, settings_from(start.config)
    has_costs = start.plan is not None or all("chosen_cost" in row.values for row in start.train)
    found.extend(unjudged(settings, config, has_costs))
    if settings.features != "none" and start.plan is None:
        help = "name `policies` or a `plan`"
        found.append(Diagnostic("PK780", "`features` are those of a plan", config.place("rm", "features"), help))
    if settings.weights == "full" and config.entries.entries("lora") is not None:
        message = "`lora` has no effect where all weights are trained"
        found.append(Diagnostic("PK780", message, config.place("lora"), "remove it, or say `weights: lora`"))
    if found:
        raise PolicyError(found)
    trained = load_merged(config)
    judge = Judge(start.plan) if start.plan else None
    names = judge.names if judge and settings.features != "none" else ()
    fitting, counts = Fitting(config, trained.model), Counter[str]()
    train, held_out = (
        list(_pairs(rows, trained, settings, names, judge, fitting, counts, found))
        for rows in (start.train, start.held_out)
    )
    if found:
        raise PolicyError(found[:20])
    fitting.check(len(train))
    check_left(len(train), counts, config)
    net = _net(trained, config, settings, len(names))
    objective = BradleyTerry(net, settings, names, trained.pad_id)
    finish = Finish(objective, trained, start, judge.names if judge else (), held_out)
    facts: dict[str, Json] = {
        "trainable parameters": sum(p.numel() for p in net.parameters() if p.requires_grad),
        "features": len(names),
        "pairs": len(train),
        **{f"{name} (all rows)": n for name, n in sorted(counts.items())},
        "rows that were dropped for their length": fitting.n_dropped,
    }

    def rate_of(name: str) -> float:
        return settings.head_rate if name.startswith("features.") or ".score." in name else 1.0

    offline = Offline(objective, net, train, held_out, rate_of, finish, OUTPUT)
    return Job(offline.run, cast("dict[str, Json]", asdict(settings)), facts)


def settings_from(config: Config) -> Settings:
    """The section's settings."""
    section = config.section
    if section is None:
        return Settings()
    usual, head = Settings(), section.number("headRate")
    return Settings(
        loss=section.text("loss") or usual.loss,
        label_smoothing=_number(section, "labelSmoothing", usual.label_smoothing),
        margin=_number(section, "margin", usual.margin),
        relabel=section.flag("relabel"),
        ties=section.text("ties") or usual.ties,
        both_bad=section.text("bothBad") or usual.both_bad,
        centre=_number(section, "centre", usual.centre),
        features=section.text("features") or usual.features,
        weights=section.text("weights") or usual.weights,
        head_rate=usual.head_rate if head is None else head / config.optimizer.rate,
    )


def _number(section: Entries, name: str, default: float) -> float:
    value = section.number(name)
    return default if value is None else value


def _net(trained: Trained, config: Config, settings: Settings, n_features: int) -> RewardNet:
    classifier = classifier_of(trained.model, trained.pad_id)
    if settings.weights == "lora":
        return RewardNet(with_lora(classifier, config, "SEQ_CLS"), n_features)
    # Of what is trained, FSDP wants one type; adapters and heads are float32 both.
    return RewardNet(classifier.requires_grad_(True), n_features, in_one_dtype=bool(sharding()))


def _pairs(
    rows: Rows,
    trained: Trained,
    settings: Settings,
    names: tuple[str, ...],
    judge: Judge | None,
    fitting: Fitting,
    counts: Counter[str],
    found: list[Diagnostic],
) -> Iterator[Pair]:
    # Pairs of one prompt depend on each other: they are in one half.
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(_prompt_of(row) for row in rows))}
    for one in judged_pairs(rows, judge, settings, counts, found):
        chosen, rejected = one.encoded(trained.tokenizer)
        if fitting.fits(one.row.place, chosen, rejected):
            first, second = (features_of(settings.features, names, costs) for costs in one.costs)
            half = prompts[_prompt_of(one.row)] % 2
            yield Pair(chosen, rejected, one.costs, (first, second), one.margin, one.smoothing, one.weight, half)


def _prompt_of(row: Row) -> str:
    return json.dumps(row.values["prompt"], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Finish:
    """What is left to do when the last step is done: rewards of held-out pairs, their calibration, and the files that
    say what the model is. ``rules`` are all that the plan judges by."""

    objective: BradleyTerry
    trained: Trained
    start: Start
    rules: tuple[str, ...]
    held_out: Sequence[Pair]

    def __call__(self, run: Run, model: Any) -> None:
        """Every process scores all pairs, so that none waits for another; the first writes."""
        size = run.config.steps.micro_batch
        pairs = [pair for pair in self.held_out if pair.smoothing < 0.5]
        gaps: list[float] = []
        for begin in range(0, len(pairs), size):
            chosen, rejected = self.objective.rewards(model, pairs[begin : begin + size])
            gaps += (chosen - rejected).double().tolist()
        found = calibrate(gaps, [pair.half for pair in pairs])
        numbers = {**_numbers(found), **agreement(self.rules, pairs, gaps)}
        if numbers:
            run.log_held_out(run.config.steps.n_steps, numbers)
        if run.is_main:
            self._write(run.folder.path, found, numbers)

    def _write(self, folder: Path, found: Calibration | None, numbers: Mapping[str, float]) -> None:
        config, plan = self.start.config, self.start.plan
        output, net = folder / OUTPUT, self.objective.net
        temperature = found.temperature if found else None
        is_full = self.objective.settings.weights == "full"
        output.mkdir(parents=True, exist_ok=True)
        write_reward_file(
            output,
            RewardModelFile(
                base=_absolute(config.model),
                merged=tuple(_absolute(str(path)) for path in config.adapters),
                is_full=is_full,
                bundle_digest=plan.bundle_digest if plan else None,
                plan_digest=plan.digest if plan else None,
                features=self.objective.settings.features,
                weights=dict(zip(self.objective.names, net.feature_weights(), strict=True)),
                temperature=temperature or 1.0,
                is_calibrated=temperature is not None,
                evaluation=numbers,
            ),
        )
        if is_full:
            self.trained.tokenizer.save_pretrained(str(output))
        if found is not None:
            for place in (output / PLOT, folder / "plots" / PLOT):
                write(place, reliability(found))


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _numbers(found: Calibration | None) -> dict[str, float]:
    """A calibration as metrics; names that end in `calibrated` are cross-fitted, and absent where that is not to be
    had."""
    if found is None:
        return {}
    numbers = {
        "accuracy": found.accuracy,
        "calibration/nll": found.nll_before,
        "calibration/error": found.error_before,
        "calibration/temperature": found.temperature,
        "calibration/nll calibrated": found.nll_after,
        "calibration/error calibrated": found.error_after,
    }
    return {"pairs": float(found.n_pairs)} | {name: x for name, x in numbers.items() if x is not None}


def agreement(rules: Sequence[str], pairs: Sequence[Pair], gaps: Sequence[float]) -> dict[str, float]:
    """For each rule, of the pairs whose sides it prices differently, the share in which the cheaper side has the higher
    reward (equal rewards are half); nothing for a rule without such pairs. ``gaps`` are r_chosen − r_rejected."""
    found: dict[str, float] = {}
    for rule in rules:
        signed = [
            gap if chosen[rule] < rejected[rule] else -gap
            for gap, (chosen, rejected) in zip(gaps, (pair.costs for pair in pairs), strict=True)
            if chosen[rule] != rejected[rule]
        ]
        if signed:
            found[AGREEMENT + rule] = sum((x > 0) + 0.5 * (x == 0) for x in signed) / len(signed)
            found[f"{AGREEMENT}{rule}/pairs"] = float(len(signed))
    return found


def reliability(found: Calibration) -> str:
    """The share of pairs that are predicted right, over the confidence of the prediction, as SVG."""
    series = [Line("what is predicted", ((0.5, 0.5), (1.0, 1.0)))]
    for name, bins in (("before", found.before), ("calibrated", found.after or ())):
        if bins:
            series.append(Line(name, tuple((one.confidence, one.accuracy) for one in bins)))
    return lines("reliability", series, "confidence")
