"""What a reward model is, beside its weights: what it is made of, which plan its features are of, how it is calibrated.

Nothing here needs torch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, cast

from policykit.diagnostics import Place, PolicyError
from policykit.plan import Plan
from policykit.plan.pins import CONFIG, FILE as PINS, WEIGHTS, WHOLE

FILE = "reward_model.json"
FORMAT = "policykit.reward-model/v1"
PLOT = "reliability.svg"
_ABOUT = ("README.md", PLOT, "lambda.svg", PINS)
"""What says something of the model, and may be written anew beside it; no reward depends on it."""


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
    """SHA-256 of every file below a reward model's folder, by path and content, but its card, plots and pins: rewards
    depend on nothing else but, for an adapter, on the model that it belongs to. Which files are read is for other
    libraries to say, and no list of ours would be whole.

    Raises PolicyError (PK786) for a folder without a reward model, or with what is not to be covered.
    """
    check_weights(folder, read_reward_file(folder))
    parts = sorted(path for path in _parts(folder, folder) if path.as_posix() not in _ABOUT)
    found = [f"{path.as_posix()} {_digest(folder / path)}\n" for path in parts]
    return f"sha256:{sha256(''.join(found).encode()).hexdigest()}"


def _parts(folder: Path, below: Path) -> Iterator[Path]:
    """The files, as paths from ``folder``. Raises PolicyError (PK786) for what is no file, as a link to a folder is
    none, and for names by which two folders could look like one."""
    for path in below.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _parts(folder, path)
        elif not path.is_file() or not path.name.isprintable():
            message = f"the reward model's folder has a part that no digest covers: `{path.name!a}`"
            raise PolicyError.of("PK786", message, Place(str(below)), "put files with plain names there, and no links")
        else:
            yield path.relative_to(folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def check_weights(folder: Path, found: RewardModelFile) -> None:
    """Raises PolicyError (PK786) for a folder whose weights are not where they belong: what other libraries would load
    in their stead is not what was trained."""
    weights = WHOLE if found.is_full else WEIGHTS
    place = Place(str(folder))
    if not (folder / weights).is_file():
        message = f"the reward model has no weights: `{weights}` is missing"
        raise PolicyError.of("PK786", message, place, "train it again, or put its files back")
    if found.is_full and (folder / CONFIG).exists():
        message = f"the folder holds all weights of a reward model, and an adapter of another model: `{CONFIG}`"
        raise PolicyError.of("PK786", message, place, "take the adapter's files out")


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
