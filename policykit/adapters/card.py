"""The model card of an adapter or a reward model: YAML front matter for machines, and the same for people."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from policykit.adapters.reward import FILE, PLOT as RELIABILITY, RewardModelFile, read_reward_file, reward_digest
from policykit.charts import Line, lines
from policykit.plan.pins import DataPin, Pins, read_pins, write_pins, write_whole

README, PLOT = "README.md", "lambda.svg"


def write_card(folder: Path, pins: Pins) -> None:
    """Write `README.md`, and `lambda.svg` where weights were moved. The same pins give the same bytes."""
    reward = read_reward_file(folder) if (folder / FILE).is_file() else None
    base = reward.base if reward else _base_of_adapter(folder)
    plot = _plot(pins)
    if plot is not None:
        write_whole(folder / PLOT, plot)
    digest = reward_digest(folder) if reward else None
    write_whole(folder / README, card(pins, folder.name, base, reward, digest))


def _base_of_adapter(folder: Path) -> str:
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    return str(config.get("base_model_name_or_path") or "")


def update_evaluation(folder: Path, found: Mapping[str, float | int | str]) -> None:
    """Add numbers of an evaluation to the pins of an adapter that has some, and write its card anew."""
    pins = read_pins(folder)
    if pins is not None:
        changed = replace(pins, evaluation={**pins.evaluation, **found})
        write_pins(folder, changed)
        write_card(folder, changed)


def card(pins: Pins, name: str, base: str, reward: RewardModelFile | None = None, digest: str | None = None) -> str:
    """The text of an adapter's card, or of a reward model's with the ``digest`` that profiles name. Its front matter is
    JSON, which is YAML, one field a line."""
    about: dict[str, object] = {
        "bundle_digest": pins.bundle_digest,
        "plan_digest": pins.plan_digest,
        "policies": list(pins.policies),
        "stages": list(pins.stages),
        "data": [_data(one) for one in pins.data],
        "parents": [{"name": name, "bundle_digest": digest} for name, digest in pins.parents],
        "weights": _last_weights(pins),
        "evaluation": dict(pins.evaluation),
    }
    is_full = reward is not None and reward.is_full
    front = {
        "base_model": base,
        "library_name": "transformers" if is_full else "peft",
        "pipeline_tag": "text-classification" if reward else "text-generation",
        "tags": [*([] if is_full else ["lora"]), *(["reward-model"] if reward else []), "policykit"],
        "policykit": about,
    }
    lines_of_front = [f"{field}: {json.dumps(value, ensure_ascii=False)}" for field, value in front.items()]
    return "\n".join(["---", *lines_of_front, "---", "", f"# {name}", "", *_body(pins, base, reward, digest), ""])


def _body(pins: Pins, base: str, reward: RewardModelFile | None, digest: str | None) -> list[str]:
    if reward is None:
        out = [f"A LoRA adapter of `{base}`, trained under the policies that are to be enforced where it serves.", ""]
    else:
        what = "all weights" if reward.is_full else "an adapter"
        out = [f"A reward model on `{base}` ({what}), trained under the policies that its rewards serve.", ""]
    out += ["| | |", "| --- | --- |", f"| bundle | `{pins.bundle_digest}` |", f"| plan | `{pins.plan_digest}` |"]
    out += [f"| policy | `{name}` |" for name in pins.policies]
    out += [f"| stage | {name} |" for name in pins.stages]
    out += [f"| data | `{one.name}`, `{one.digest}`{_rows(one)} |" for one in pins.data]
    out += [f"| part | `{name}`, of `{digest}` |" for name, digest in pins.parents]
    if digest is not None:
        out.append(f"| reward model | `{digest}` |")
    if reward is not None:
        out += _reward(reward)
    if pins.evaluation:
        out += ["", "## Evaluation", "", "| | |", "| --- | --- |"]
        out += [f"| {name} | {_number(value)} |" for name, value in pins.evaluation.items()]
    if pins.weights:
        out += ["", "## Weights of costs", "", f"![λ by step]({PLOT})", "", "| group | last λ |", "| --- | --- |"]
        out += [f"| {group} | {value:.4g} |" for group, value in _last_weights(pins).items()]
    return out


def _reward(reward: RewardModelFile) -> list[str]:
    """How rewards are to be read."""
    out = ["", "## Rewards", ""]
    if reward.is_calibrated:
        out += [
            f"Rewards are divided by the temperature {reward.temperature:.4g}, which was fitted on held-out pairs: a "
            "difference is the log-odds of a preference.",
            "",
            f"![share predicted right, by confidence]({RELIABILITY})",
        ]
    else:
        out += ["Rewards are not calibrated: there were no held-out pairs, or on them it is no better than chance."]
    if reward.weights:
        value = "its cost, 0 to 1" if reward.features == "costs" else "1 where it is broken"
        out += ["", f"| rule | reward of breaking it ({value}) |", "| --- | --- |"]
        out += [f"| {name} | {weight / reward.temperature:.4g} |" for name, weight in reward.weights.items()]
    return out


def _data(pin: DataPin) -> dict[str, object]:
    against = {"rows that break the plan": pin.n_breaking, "rows not judged": pin.n_unjudged}
    told = {name: n for name, n in against.items() if n is not None}
    return {"name": pin.name, "digest": pin.digest, "rows": pin.n_rows, **told}


def _rows(pin: DataPin) -> str:
    told = "" if pin.n_rows is None else f", {pin.n_rows} rows"
    told += f", of which **{pin.n_breaking} break the plan**" if pin.n_breaking else ""
    return told + (f", of which **{pin.n_unjudged} could not be judged**" if pin.n_unjudged else "")


def _number(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_weights(pins: Pins) -> dict[str, float]:
    return {weight.group: weight.value for weight in pins.weights}


def _plot(pins: Pins) -> str | None:
    groups = list(dict.fromkeys(weight.group for weight in pins.weights))
    series = [
        Line(group, tuple((float(w.step), w.value) for w in pins.weights if w.group == group)) for group in groups
    ]
    return lines("λ by step", series, "step") if series else None
