"""What an evaluation found, as values; and as JSON, which is read back to compare runs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from policykit.diagnostics import Place, PolicyError
from policykit.evaluation.judging import Agreement, Verification
from policykit.evaluation.statistics import Estimate, Rate, Spread

FORMAT = "policykit.evaluation/v1"
RESULTS, ROWS, MARKDOWN, HTML = "results.json", "outputs.jsonl", "report.md", "report.html"


@dataclass(frozen=True, slots=True)
class Citations:
    """Precision and recall of citations: means over texts that cite, or should cite, and counts over all."""

    precision: Estimate | None
    recall: Estimate | None
    n_cited: int
    n_right: int
    n_wanted: int


@dataclass(frozen=True, slots=True)
class Task:
    """How well the task is done; None where the data say nothing about it. Bounds are of a bootstrap over texts."""

    exact_match: Estimate | None
    f1: Estimate | None
    valid: Rate | None
    citations: Citations | None


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(model ‖ base), exact at every position of the texts that the model wrote. ``per_token`` is the mean over all
    tokens; ``per_text`` sums a text's. In nats."""

    base: str
    n_tokens: int
    per_token: float
    per_text: Spread
    mean: Estimate


@dataclass(frozen=True, slots=True)
class MaskTax:
    """−Σ log Z of texts written under the mask, in nats: what the mask takes from the model; 0 where it never would
    have broken the plan."""

    n: int
    per_text: Spread
    mean: Estimate


@dataclass(frozen=True, slots=True)
class Margins:
    """The implicit reward margins of preference pairs; ``correct``: pairs whose margin is above 0."""

    base: str
    beta: float
    data: str
    all: Spread
    correct: Rate
    by_cohort: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Made:
    """What the results can be made again from."""

    model: str | None
    model_digest: str | None
    adapter: str | None
    adapter_bundle_digest: str | None
    data: str
    data_digest: str
    n_prompts: int
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that an evaluation found. ``n_unanswered`` prompts have no text, and are in no rate.

    ``attempts`` are those of a strategy of rejection, and ``first`` and ``second`` the two verifiers."""

    made: Made
    n_texts: int
    n_unanswered: int
    ended: Rate | None
    tokens: Spread | None
    n_drawn: int | None
    attempts: Rate | None
    first: Verification
    second: Verification | None
    agreement: Agreement | None
    by_cohort: Mapping[str, Rate]
    task: Task
    divergence: Divergence | None
    mask_tax: MaskTax | None
    margins: Margins | None


@dataclass(frozen=True, slots=True)
class Row:
    """One text with all that was found about it: a line of the outputs' file."""

    id: str
    prompt: str
    output: str | None
    ended_by: str
    n_tokens: int | None
    cohort: str | None
    outcome: str | None
    rules: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]
    second_outcome: str | None
    second_rules: tuple[str, ...]
    exact_match: float | None
    f1: float | None
    is_valid: bool | None
    cited: tuple[int, int, int] | None
    kl: float | None
    references: tuple[str, ...] = ()
    citations: tuple[str, ...] | None = None
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


def save(folder: Path, results: Results, rows: tuple[Row, ...]) -> None:
    """Write both files; the rows can be read as answers by another evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {"format": FORMAT, **asdict(results)}
    (folder / RESULTS).write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    lines = (json.dumps({k: v for k, v in asdict(row).items() if v is not None}, ensure_ascii=False) for row in rows)
    (folder / ROWS).write_text("".join(f"{line}\n" for line in lines), "utf-8")


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished evaluation, read from its folder; ``results`` is the JSON of a :class:`Results`."""

    name: str
    results: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]


def read(folder: Path) -> Saved:
    """Raises PolicyError (PK844): the folder holds no finished evaluation, or one of another format."""
    try:
        results: Any = json.loads((folder / RESULTS).read_text("utf-8"))
        # Not `splitlines`: a text may hold U+2028, which ends no line of JSON.
        rows = tuple(json.loads(line) for line in (folder / ROWS).read_text("utf-8").split("\n") if line)
        if not isinstance(results, dict) or cast("dict[str, Any]", results).get("format") != FORMAT:
            raise ValueError(f"`{RESULTS}` is not of the format `{FORMAT}`")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"the folder holds no evaluation: {reason}"
        raise PolicyError.of("PK844", message, Place(str(folder)), "make one with `policykit eval -o FOLDER`") from None
    return Saved(folder.name, cast("dict[str, Any]", results), rows)
