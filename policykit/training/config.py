"""Training files: one strict reader for all kinds, and the values that it makes of them."""

from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.policy.checked import Entries, Leaf
from policykit.policy.files import read_text_file
from policykit.profiles.documents import checked
from policykit.training.table import Record, records_for


@dataclass(frozen=True, slots=True)
class Steps:
    """How long, and how often something is done. ``batch`` is of all processes together; None is never."""

    n_steps: int
    batch: int = 8
    micro_batch: int = 8
    seed: int = 0
    log_every: int = 1
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    keep: int = 2


@dataclass(frozen=True, slots=True)
class Data:
    """Files of rows, and what a row may be long in tokens."""

    train: Path
    held_out: Path | None = None
    max_tokens: int = 1024
    drop_too_long: bool = False


@dataclass(frozen=True, slots=True)
class Optimizer:
    """AdamW; ``rate`` is the highest."""

    rate: float = 1e-4
    schedule: str = "linear"
    warmup: int = 0
    weight_decay: float = 0.0
    clip: float = 1.0


@dataclass(frozen=True, slots=True)
class Lora:
    """The adapter that is trained; no ``modules`` are all linear layers but the output's."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guards:
    """Limits of a run. ``explosion`` is in multiples of the recent median loss, ``max_kl`` in nat per completion."""

    max_loss: float | None = None
    explosion: float = 10.0
    max_kl: float = 50.0


@dataclass(frozen=True, slots=True)
class PlanSource:
    """A plan's file, or what it is compiled from."""

    file: Path | None = None
    policies: tuple[Path, ...] = ()
    grammar: Path | None = None
    context: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_named(self) -> bool:
        return bool(self.file or self.policies or self.grammar)


@dataclass(frozen=True, slots=True)
class Config:
    """A training file whose form is right. ``section`` is the kind's own, None where the file has none."""

    kind: str
    name: str
    model: str
    adapters: tuple[Path, ...]
    plan: PlanSource
    data: Data
    folder: Path
    steps: Steps
    optimizer: Optimizer
    lora: Lora
    guards: Guards
    section: Entries | None
    entries: Entries
    text: str

    def place(self, *names: str) -> Place:
        """The place of a field, by its names from the root; of the nearest thing around it where it is not there."""
        found, place = self.entries, self.entries.place
        for name in names:
            place = found.keys.get(name, place)
            inner = found.entries(name)
            if inner is None:
                break
            found = inner
        return place


_DATA, _STEPS, _OPTIMIZER, _LORA, _GUARDS = Data(Path()), Steps(1), Optimizer(), Lora(), Guards()
"""What is used where a file does not say."""


def load_config(path: Path, kind: str, settings: tuple[Record, ...]) -> Config:
    """The training file of a kind. Raises PolicyError with everything that is wrong with it."""
    diagnostics: list[Diagnostic] = []
    text = read_text_file(path, diagnostics)
    records = records_for(kind, settings)
    entries = None if text is None else checked(text, str(path), "training", records, diagnostics)
    if entries is None or text is None:
        raise PolicyError(diagnostics)
    return config_of(entries, path.parent, kind, settings[0].name, text)


def config_of(entries: Entries, folder: Path, kind: str, section: str, text: str) -> Config:
    """The configuration of fields that have passed the table; paths are from ``folder``. Raises PolicyError."""
    diagnostics: list[Diagnostic] = []
    config = _lowered(entries, folder, kind, section, text)
    _check(config, diagnostics)
    if diagnostics:
        raise PolicyError(diagnostics)
    return config


def _lowered(entries: Entries, folder: Path, kind: str, section: str, text: str) -> Config:
    run, data = entries.entries("run"), entries.entries("data")
    assert run is not None, "the field table asks for it"
    assert data is not None, "the field table asks for it"
    held_out = data.text("heldOut")
    model = entries.text("model") or ""
    is_folder = model != "embedded" and (folder / model / "config.json").is_file()
    return Config(
        kind=kind,
        name=entries.text("name") or "",
        model=normpath(folder / model) if is_folder else model,
        adapters=tuple(_path(folder, leaf) for leaf in entries.leaves("adapters")),
        plan=_plan(entries, folder),
        data=Data(
            train=folder / (data.text("train") or ""),
            held_out=folder / held_out if held_out else None,
            max_tokens=_whole(data, "maxTokens", _DATA.max_tokens),
            drop_too_long=data.text("tooLong") == "drop",
        ),
        folder=folder / (run.text("folder") or ""),
        steps=_steps(run),
        optimizer=_optimizer(entries.entries("optimizer")),
        lora=_lora(entries.entries("lora")),
        guards=_guards(entries.entries("guards")),
        section=entries.entries(section),
        entries=entries,
        text=text,
    )


def _path(folder: Path, leaf: Leaf) -> Path:
    return folder / str(leaf.value)


def _plan(entries: Entries, folder: Path) -> PlanSource:
    file, grammar, context = entries.leaf("plan"), entries.leaf("grammar"), entries.entries("context")
    named = {name: context.text(name) or "" for name in context.fields} if context else {}
    policies = tuple(_path(folder, leaf) for leaf in entries.leaves("policies"))
    return PlanSource(file and _path(folder, file), policies, grammar and _path(folder, grammar), named)


def _steps(run: Entries) -> Steps:
    batch = _whole(run, "batch", _STEPS.batch)
    return Steps(
        n_steps=_whole(run, "steps", 1),
        batch=batch,
        micro_batch=_whole(run, "microBatch", batch),
        seed=_whole(run, "seed", _STEPS.seed),
        log_every=_whole(run, "logEvery", _STEPS.log_every),
        evaluate_every=_whole(run, "evaluateEvery", 0) or None,
        checkpoint_every=_whole(run, "checkpointEvery", 0) or None,
        keep=_whole(run, "keep", _STEPS.keep),
    )


def _optimizer(entries: Entries | None) -> Optimizer:
    if entries is None:
        return _OPTIMIZER
    return Optimizer(
        rate=_number(entries, "rate", _OPTIMIZER.rate),
        schedule=entries.text("schedule") or _OPTIMIZER.schedule,
        warmup=_whole(entries, "warmup", _OPTIMIZER.warmup),
        weight_decay=_number(entries, "weightDecay", _OPTIMIZER.weight_decay),
        clip=_number(entries, "clip", _OPTIMIZER.clip),
    )


def _lora(entries: Entries | None) -> Lora:
    if entries is None:
        return _LORA
    rank = _whole(entries, "rank", _LORA.rank)
    modules = tuple(str(leaf.value) for leaf in entries.leaves("modules"))
    return Lora(rank, _number(entries, "alpha", 2.0 * rank), _number(entries, "dropout", _LORA.dropout), modules)


def _guards(entries: Entries | None) -> Guards:
    if entries is None:
        return _GUARDS
    explosion, max_kl = _number(entries, "explosion", _GUARDS.explosion), _number(entries, "maxKl", _GUARDS.max_kl)
    return Guards(entries.number("maxLoss"), explosion, max_kl)


def _whole(entries: Entries, name: str, default: int) -> int:
    number = entries.number(name)
    return default if number is None else int(number)


def _number(entries: Entries, name: str, default: float) -> float:
    number = entries.number(name)
    return default if number is None else number


def _check(config: Config, diagnostics: list[Diagnostic]) -> None:
    """What the field table cannot say."""

    def complain(message: str, help: str, *at: str) -> None:
        diagnostics.append(Diagnostic("PK780", message, config.place(*at), help))

    source, steps = config.plan, config.steps
    if source.file and (source.policies or source.grammar or source.context):
        complain("`plan` was compiled for its own policies, grammar and context", "keep `plan`, or the others", "plan")
    if source.context and not source.policies:
        complain("`context` has no effect without `policies`", "name the policies, or remove it", "context")
    if steps.micro_batch > steps.batch:
        help = "raise `batch`, or lower `microBatch`"
        complain(f"`microBatch` is {steps.micro_batch}, and a batch has {steps.batch} rows", help, "run", "microBatch")
    if config.optimizer.warmup > steps.n_steps:
        message = f"`warmup` is {config.optimizer.warmup}, and the run has {steps.n_steps} steps"
        complain(message, "warm up for less", "optimizer", "warmup")
    if config.data.held_out is None and steps.evaluate_every is not None:
        complain("there are no held-out rows to evaluate on", "name them: `data.heldOut`", "run", "evaluateEvery")
