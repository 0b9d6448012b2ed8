"""One evaluation from its job to its folder."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policykit.evaluation.limits import limits_exceeded
from policykit.evaluation.machine import folder_digest, machine
from policykit.evaluation.measure import Job, measure
from policykit.evaluation.pages import save_page
from policykit.evaluation.report import page_of
from policykit.evaluation.results import Made, Results, save
from policykit.evaluation.writing import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The results, and why they do not keep the limit; empty where they do, or where there is none."""

    results: Results
    exceeded: tuple[str, ...]

    def numbers(self) -> dict[str, float | int | str]:
        """What a model card says about it."""
        found = self.results
        rates: dict[str, float | int | str] = {"texts": found.n_texts, "data": found.made.data_digest}
        for name, one in (("violations", found.first), ("violations, second verifier", found.second)):
            if one is not None and one.whole.value is not None:
                rates |= {name: one.whole.value, f"{name}, at most": one.whole.high}
                rates |= {f"{name}, checks that could not run": one.n_errors} if one.n_errors else {}
        means = {
            "F1": found.task.f1,
            "exact match": found.task.exact_match,
            "mask tax, nat per text": found.mask_tax and found.mask_tax.mean,
        }
        rates |= {name: one.value for name, one in means.items() if one is not None}
        rates |= {"KL from base, nat per token": found.divergence.per_token} if found.divergence else {}
        return rates


def evaluate(
    job: Job,
    folder: Path | None,
    *,
    model: str | None = None,
    adapter: Path | None = None,
    limit: float | None = None,
    progress: Progress = no_progress,
) -> Evaluated:
    """Measure, and write results, answers and both reports to ``folder`` if there is one."""
    started, found_on = time.perf_counter(), machine()
    measured = measure(job, progress)
    made = _made(job, model, adapter, found_on, time.perf_counter() - started)
    results = measured.results(made)
    exceeded = limits_exceeded(results, limit) if limit is not None else ()
    if folder is not None:
        save(folder, results, measured.rows)
        save_page(folder, page_of(results, measured.rows, measured.taxes, measured.margins, exceeded, limit))
    return Evaluated(results, exceeded)


def _made(job: Job, model: str | None, adapter: Path | None, found_on: Mapping[str, Any], seconds: float) -> Made:
    """What the results were made of, for whoever makes them again."""
    loaded, settings = job.model, job.settings
    folder = Path(str(loaded.model.name_or_path)) if loaded is not None else None
    of_adapter = adapter or (Path(model) if model and (Path(model) / "adapter_config.json").is_file() else None)
    device = {"device": str(loaded.model.device)} if loaded is not None else {}
    drawn = {
        "decoding": settings.decoding,
        "temperature": settings.temperature,
        "max_new_tokens": settings.max_new_tokens,
        "seed": settings.seed,
        "batch_size": settings.batch_size,
        "masked": settings.n_masked,
    }
    return Made(
        model=model,
        model_digest=folder_digest(folder) if folder is not None else None,
        adapter=of_adapter.name if of_adapter else None,
        adapter_bundle_digest=loaded.pins.bundle_digest if loaded is not None and loaded.pins else None,
        data=job.data.name,
        data_digest=job.data.digest,
        n_prompts=len(job.data.examples),
        settings={**(drawn if loaded is not None else {}), "confidence": job.confidence},
        machine={**found_on, **device},
        seconds=round(seconds, 2),
    )
