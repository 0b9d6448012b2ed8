"""The model card of an adapter: YAML front matter for machines, and the same for people, with λ as a plot."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from policykit.charts import Line, lines
from policykit.plan.pins import Pins, read_pins, write_pins, write_whole

README, PLOT = "README.md", "lambda.svg"


def write_card(folder: Path, pins: Pins) -> None:
    """Write `README.md`, and `lambda.svg` where weights were moved. The same pins give the same bytes."""
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    base = config.get("base_model_name_or_path")
    plot = _plot(pins)
    if plot is not None:
        write_whole(folder / PLOT, plot)
    write_whole(folder / README, card(pins, folder.name, str(base or "")))


def update_evaluation(folder: Path, found: Mapping[str, float | int | str]) -> None:
    """Add numbers of an evaluation to the pins of an adapter that has some, and write its card anew."""
    pins = read_pins(folder)
    if pins is not None:
        changed = replace(pins, evaluation={**pins.evaluation, **found})
        write_pins(folder, changed)
        write_card(folder, changed)


def card(pins: Pins, name: str, base: str) -> str:
    """The card's text. Its front matter is JSON, which is YAML, one field a line."""
    about: dict[str, object] = {
        "bundle_digest": pins.bundle_digest,
        "plan_digest": pins.plan_digest,
        "policies": list(pins.policies),
        "stages": list(pins.stages),
        "data": [{"name": one.name, "digest": one.digest, "rows": one.n_rows} for one in pins.data],
        "parents": [{"name": name, "bundle_digest": digest} for name, digest in pins.parents],
        "weights": _last_weights(pins),
        "evaluation": dict(pins.evaluation),
    }
    front = {
        "base_model": base,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "policykit"],
        "policykit": about,
    }
    lines_of_front = [f"{field}: {json.dumps(value, ensure_ascii=False)}" for field, value in front.items()]
    return "\n".join(["---", *lines_of_front, "---", "", f"# {name}", "", *_body(pins, base), ""])


def _body(pins: Pins, base: str) -> list[str]:
    out = [f"A LoRA adapter of `{base}`, trained under the policies that are to be enforced where it serves.", ""]
    out += ["| | |", "| --- | --- |", f"| bundle | `{pins.bundle_digest}` |", f"| plan | `{pins.plan_digest}` |"]
    out += [f"| policy | `{name}` |" for name in pins.policies]
    out += [f"| stage | {name} |" for name in pins.stages]
    out += [f"| data | `{one.name}`, `{one.digest}`{_rows(one.n_rows)} |" for one in pins.data]
    out += [f"| part | `{name}`, of `{digest}` |" for name, digest in pins.parents]
    if pins.evaluation:
        out += ["", "## Evaluation", "", "| | |", "| --- | --- |"]
        out += [f"| {name} | {_number(value)} |" for name, value in pins.evaluation.items()]
    if pins.weights:
        out += ["", "## Weights of costs", "", f"![λ by step]({PLOT})", "", "| group | last λ |", "| --- | --- |"]
        out += [f"| {group} | {value:.4g} |" for group, value in _last_weights(pins).items()]
    return out


def _rows(n_rows: int | None) -> str:
    return "" if n_rows is None else f", {n_rows} rows"


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
