"""What a reward model is, beside its weights: what it is made of, which plan its features are of, how it is calibrated.

Nothing here needs torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from policykit.diagnostics import Place, PolicyError
from policykit.plan import Plan
from policykit.plan.pins import weights_of

FILE = "reward_model.json"
FORMAT = "policykit.reward-model/v1"
PLOT = "reliability.svg"
_READ = (
    "adapter_config.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
"""What is read beside the weights: texts under another tokenizer or template have other rewards."""


@dataclass(frozen=True, slots=True)
class RewardModelFile:
    """``base`` with the adapters ``merged`` into it is what training began with. ``is_full``: all weights were trained,
    and stand in the folder; else an adapter.

    The reward of a text is the head's number plus Σ w·φ, divided by ``temperature``: φ is the text's cost by each group
    of rules (``features`` is `costs`), or 1 where it has one (`verdicts`), and ``weights`` are w. A difference of
    rewards is then the log-odds of a preference. ``evaluation`` are numbers of held-out pairs.
    """

    base: str
    merged: tuple[str, ...]
    is_full: bool
    bundle_digest: str | None
    plan_digest: str | None
    features: str = "none"
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    temperature: float = 1.0
    is_calibrated: bool = False
    evaluation: Mapping[str, float] = field(default_factory=dict[str, float])


def write_reward_file(folder: Path, found: RewardModelFile) -> None:
    """Write `reward_model.json`."""
    text = json.dumps({"format": FORMAT, **asdict(found)}, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", "utf-8")


def read_reward_file(folder: Path) -> RewardModelFile:
    """Raises PolicyError (PK786) for a folder without a reward model, or with one that cannot be read."""
    path = folder / FILE
    if not path.is_file():
        message = f"the folder holds no reward model: `{FILE}` is missing"
        raise PolicyError.of("PK786", message, Place(str(folder)), "train one with `policykit train rm`")
    try:
        found = cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
        if found.pop("format") != FORMAT:
            raise ValueError(f"the format is not `{FORMAT}`")
        merged = tuple(map(str, found.pop("merged")))
        read = RewardModelFile(**found, merged=merged)
        if read.features not in ("none", "costs", "verdicts") or not 0 < float(read.temperature) < float("inf"):
            raise ValueError("its features or its temperature are none")
        if (read.features != "none") != bool({name: float(weight) for name, weight in read.weights.items()}):
            raise ValueError("its features and its weights do not go together")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"the reward model cannot be read: {error}"
        raise PolicyError.of("PK786", message, Place(str(path)), "train it again") from None
    return read


def reward_digest(folder: Path) -> str:
    """SHA-256 of all that the rewards of a folder depend on, but the model that an adapter belongs to: its parts by
    name and content, of which none has to be there."""
    parts = sorted({folder / FILE, weights_of(folder), *(folder / name for name in _READ)})
    found = [f"{path.name} {sha256(path.read_bytes()).hexdigest()}\n" for path in parts if path.is_file()]
    return f"sha256:{sha256(''.join(found).encode()).hexdigest()}"


def check_reward_file(found: RewardModelFile, plan: Plan | None, folder: Path) -> None:
    """Raises PolicyError (PK786) for a reward model of another bundle than the plan's; with features, for another plan,
    or none. A model that was trained without a plan goes with every one."""
    place = Place(str(folder))
    if found.features != "none" and plan is None:
        help = "name the plan that it was trained under"
        raise PolicyError.of("PK786", "the reward model has features of a plan, and there is none", place, help)
    if plan is None or found.bundle_digest is None:
        return
    if found.bundle_digest != plan.bundle_digest:
        message = f"the reward model is of the bundle {found.bundle_digest}, the plan is of {plan.bundle_digest}"
        raise PolicyError.of("PK786", message, place, "train it under the policies that are used")
    if found.features != "none" and found.plan_digest != plan.digest:
        message = f"the features of the reward model are of the plan {found.plan_digest}, not {plan.digest}"
        raise PolicyError.of("PK786", message, place, "compile the same grammar and context that it was trained under")
