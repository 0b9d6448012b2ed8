"""The one door to a language model: loaded when a command needs it, refused by name where torch is not installed."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, cast

from policykit import embedded
from policykit.constraint import Vocabulary
from policykit.diagnostics import Diagnostic, PolicyError

if TYPE_CHECKING:
    from policykit.constraint import Constraint
    from policykit.decoding import BatchEngine, Engine
    from policykit.engines.sampling import TransformersEngine
    from policykit.engines.transformers import Generation
    from policykit.plan import Plan

ENGINES = ("transformers", "vllm")
_EXTRA = ("torch", "transformers", "safetensors", "peft", "trl", "accelerate", "datasets")


class NotInstalled(Exception):
    """Something optional that a command needs is not installed; ``diagnostic`` says what to install."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


class Recorder(Protocol):
    """Looks at the scores of every step, ``scores`` [B, V], and returns them as they are."""

    def __call__(self, input_ids: object, scores: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: greedily, or from the whole distribution at a temperature."""

    max_new_tokens: int
    greedy: bool
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The generations of one batch and the seconds that they took together."""

    generations: "tuple[Generation, ...]"
    seconds: float

    @property
    def n_tokens(self) -> int:
        return sum(len(generation.token_ids) for generation in self.generations)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model with its tokenizer and its vocabulary."""

    name: str
    model: Any
    tokenizer: Any
    vocabulary: Vocabulary

    @property
    def n_parameters(self) -> int:
        return int(self.model.num_parameters())

    def engine(self) -> "TransformersEngine":
        """The model as decoding strategies draw from it."""
        from policykit.engines.sampling import TransformersEngine

        return TransformersEngine(self.model, self.tokenizer, self.vocabulary)

    def write(
        self,
        prompts: Sequence[str],
        constraint: "Constraint | None",
        sampling: Sampling,
        recorders: Sequence[Recorder] = (),
    ) -> Batch:
        """One generation per prompt, in one batch. ``constraint`` None leaves the model free."""
        from policykit.engines import transformers as engine

        started = perf_counter()
        generations = engine.generate(
            self.model,
            self.tokenizer,
            prompts,
            constraint,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=not sampling.greedy,
            temperature=sampling.temperature,
            seed=sampling.seed,
            processors=recorders,  # pyright: ignore[reportArgumentType] # transformers calls them, no more
        )
        return Batch(tuple(generations), perf_counter() - started)


def quieten() -> None:
    """Keep transformers from saying things about weights that are not about the user's input."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    loaded: Any = sys.modules.get("transformers")
    if loaded is not None:  # it has read the environment already
        loaded.utils.logging.disable_progress_bar()


@contextmanager
def needing(what: str, extra: str) -> Generator[None]:
    """Turns a missing package of an extra into NotInstalled, for imports that stand inside."""
    quieten()
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _EXTRA:
            raise
        message = f"{what} needs `{error.name}`, which is not installed"
        raise NotInstalled(Diagnostic("PK555", message, help=f"pip install 'policykit[{extra}]'")) from error


def add_model_arguments(parser: ArgumentParser) -> None:
    """Which model writes, and with which adapter."""
    parser.add_argument("--model", default=embedded.NAME, help="a model folder, a hub id, or `embedded` (default)")
    parser.add_argument(
        "--adapter", type=Path, metavar="FOLDER", help="a LoRA adapter of the model, trained under the same policies"
    )


def load_language_model(name: str) -> LanguageModel:
    """The model of a folder, a hub id, or `embedded`. Raises NotInstalled, or PolicyError if there is none."""
    with needing("generating text", "transformers"):
        from policykit.engines import transformers as engine
    model, tokenizer = engine.load_model(name)
    any_tokenizer: Any = tokenizer  # its attributes are made at run time: no checker knows them
    return LanguageModel(name, model, tokenizer, Vocabulary.from_tokenizer(any_tokenizer))


def load_adapted_model(name: str, adapter: Path | None, plan: "Plan") -> LanguageModel:
    """The same with the adapter of a folder, if any, which was trained under the plan. Raises as that, and PolicyError
    for an adapter that does not fit the plan (PK842) or the model (PK843)."""
    if adapter is None:
        return load_language_model(name)
    with needing("an adapter", "train"):
        from policykit.adapters.loading import load_trained_under
    found = load_trained_under(plan, name, adapter)
    return LanguageModel(found.name, found.model, found.tokenizer, found.vocabulary)


def load_engine(name: str, kind: str, adapter: Path | None, plan: "Plan") -> "Engine":
    """A model as decoding strategies draw from it, on one of ``ENGINES``. Raises NotInstalled, or PolicyError."""
    if kind == ENGINES[0]:
        return load_adapted_model(name, adapter, plan).engine()
    if adapter is not None:
        help = "use `--engine transformers`, or serve the adapter by a profile"
        raise PolicyError.of("PK550", "`--adapter` is for transformers alone", help=help)
    if find_spec("vllm") is None:
        help = "pip install vllm, or use `--engine transformers`"
        raise NotInstalled(Diagnostic("PK555", "vLLM is not installed here", help=help))
    from policykit.engines.vllm.sampling import VllmEngine

    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    return VllmEngine.load(str(embedded.model_path()) if name == embedded.NAME else name)


def together(engine: "Engine") -> "BatchEngine":
    """The engine, where it draws for several prompts at once. Raises PolicyError (PK471)."""
    if not hasattr(engine, "open_all"):
        message = "the engine draws for one prompt after the other"
        raise PolicyError.of("PK471", message, help="leave out `--batch`, or use `--engine transformers`")
    return cast("BatchEngine", engine)
