"""The report of one evaluation: what a reader wants first stands first."""

from collections.abc import Mapping, Sequence

from policykit.charts import Interval, histogram, intervals
from policykit.evaluation.judging import Agreement, Verification
from policykit.evaluation.pages import Page, Plot, Section, Table
from policykit.evaluation.results import Results, Row
from policykit.evaluation.statistics import Estimate, Rate, Spread

PLAN, SECOND = "the plan", "the second verifier"


def page_of(
    results: Results,
    rows: Sequence[Row],
    taxes: Sequence[float] = (),
    margins: Sequence[float] = (),
    exceeded: Sequence[str] = (),
    limit: float | None = None,
) -> Page:
    """The report; ``exceeded`` are the reasons why the run does not keep its ``limit``."""
    made = results.made
    who = " + ".join(name for name in (made.model, made.adapter) if name) or "Answers from a file"
    sections = [
        _summary(results, exceeded, limit),
        _violations(results, limit),
        *([_second(results.second, results.agreement)] if results.second and results.agreement else []),
        *_errors(results),
        *_task(results),
        *_model(results, rows, taxes, margins),
        _made(results),
    ]
    return Page(f"{who}, on {made.data}", tuple(sections))


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}".replace("%", " %")


def rate_words(rate: Rate | None) -> str:
    """`2.00 % (12 of 600; 1.04 % to 3.47 %)`."""
    if rate is None or not rate.n:
        return "–"
    return f"{percent(rate.value)} ({rate.k} of {rate.n}; {percent(rate.low)} to {percent(rate.high)})"


def estimate_words(estimate: Estimate | None, digits: int = 3) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def _summary(results: Results, exceeded: Sequence[str], limit: float | None) -> Section:
    first, second = results.first, results.second
    rows = [("violations", rate_words(first.whole))]
    if second is not None:
        rows.append((f"violations, {SECOND}", rate_words(second.whole)))
    rows.append(("accepted by rejection", rate_words(results.attempts or first.accepted)))
    if results.n_unanswered:
        rows.append(("prompts without an answer", str(results.n_unanswered)))
    if results.ended is not None:
        rows.append(("ended by themselves", rate_words(results.ended)))
    if results.tokens is not None:
        rows.append(("tokens of an answer, mean", f"{results.tokens.mean:.1f}"))
    if results.n_drawn and first.accepted.k:
        rows.append(("tokens drawn per accepted answer", f"{results.n_drawn / first.accepted.k:.1f}"))
    rows += _task_rows(results)
    if results.divergence is not None:
        rows.append(("KL from base, nat per token", f"{results.divergence.per_token:.4f}"))
    if results.mask_tax is not None:
        rows.append(("mask tax, nat per text", estimate_words(results.mask_tax.mean)))
    said: list[str] = []
    if limit is not None:
        verdict = "is not kept: " + "; ".join(exceeded) if exceeded else "is kept"
        said.append(f"The limit of {percent(limit)} violations, on the upper bound, {verdict}.")
    return Section("Summary", (*said, Table(("", ""), tuple(rows))))


def _task_rows(results: Results) -> list[tuple[str, str]]:
    task = results.task
    rows: list[tuple[str, str]] = []
    if task.exact_match is not None:
        rows += [("exact match", estimate_words(task.exact_match)), ("F1", estimate_words(task.f1))]
    if task.valid is not None:
        rows.append(("valid by the schema", rate_words(task.valid)))
    if task.citations is not None:
        rows.append(("citations, precision", estimate_words(task.citations.precision)))
        rows.append(("citations, recall", estimate_words(task.citations.recall)))
    return rows


def rule_plot(title: str, verifications: Mapping[str, Verification], limit: float | None = None) -> str:
    """One row for all rules together and one for each rule, with the bounds of each verification."""
    rows: dict[str, dict[str, Interval]] = {}
    for name, one in verifications.items():
        rows.setdefault("any rule", {})[name] = _interval(one.whole)
        for rule in one.by_rule:
            rows.setdefault(rule.rule, {})[name] = _interval(rule.rate)
    return intervals(title, list(rows.items()), "share of texts, with exact bounds", limit=limit)


def _interval(rate: Rate) -> Interval:
    return Interval(rate.low, rate.value if rate.value is not None else rate.low, rate.high)


def _violations(results: Results, limit: float | None) -> Section:
    first = results.first
    table = Table(
        ("rule", "violations", "not applicable", "errored"),
        (
            ("any rule", rate_words(first.whole), "", str(first.n_errored)),
            *(
                (
                    f"{rule.rule} (shadow)" if rule.is_shadow else rule.rule,
                    rate_words(rule.rate),
                    str(rule.n_not_applicable),
                    str(rule.n_errored),
                )
                for rule in first.by_rule
            ),
        ),
    )
    plot = Plot("violations", "Violations by rule", rule_plot("Violations by rule", {PLAN: first}, limit))
    parts: list[str | Table | Plot] = [plot, table]
    if results.by_cohort:
        parts.append(
            Table(("cohort", "violations"), tuple((name, rate_words(one)) for name, one in results.by_cohort.items()))
        )
    return Section("Violations", tuple(parts))


def _second(second: Verification, both: Agreement) -> Section:
    said = (
        f"The same texts, judged by {', '.join(second.policies)}. Texts that only it finds fault with are those that "
        "evade the plan."
    )
    cases = Table(
        ("", f"{SECOND} finds fault", "finds none"),
        (
            ("the plan finds fault", str(both.n_both), str(both.n_first_only)),
            ("finds none", str(both.n_second_only), str(both.n_neither)),
        ),
    )
    plot = Plot("second", "Second verifier", rule_plot("Violations by rule, second verifier", {SECOND: second}))
    parts: list[str | Table | Plot] = [said, plot, cases]
    if both.disagreements:
        rows = ((one.example, ", ".join(one.first) or "–", ", ".join(one.second) or "–") for one in both.disagreements)
        parts.append(Table(("differ on", PLAN, SECOND), tuple(rows)))
    return Section("Second verifier", tuple(parts))


def _errors(results: Results) -> list[Section]:
    found = [(name, one) for name, one in ((PLAN, results.first), (SECOND, results.second)) if one and one.n_errors]
    if not found:
        return []
    said = "These checks could not run. Their texts count neither as violations nor as passed."
    rows = tuple((name, e.example, e.rule, e.message) for name, one in found for e in one.errors)
    counts = ", ".join(f"{name}: {one.n_errors}" for name, one in found)
    return [Section("Checks that could not run", (said, counts, Table(("by", "example", "rule", "why"), rows)))]


def _task(results: Results) -> list[Section]:
    rows = _task_rows(results)
    if not rows:
        return []
    citations = results.task.citations
    said = "Means over texts, with the bounds of a bootstrap over texts; exact match and F1 as SQuAD defines them."
    if citations is not None:
        counts = f"{citations.n_right} of {citations.n_cited} citations are right, {citations.n_wanted} were wanted."
        said = f"{said} {counts}"
    return [Section("Task", (said, Table(("", ""), tuple(rows))))]


def _spread_row(name: str, one: Spread) -> tuple[str, ...]:
    return (name, str(one.n), *(f"{v:.3f}" for v in (one.mean, one.q05, one.q25, one.median, one.q75, one.q95)))


SPREAD = ("", "n", "mean", "5 %", "25 %", "median", "75 %", "95 %")


def _model(results: Results, rows: Sequence[Row], taxes: Sequence[float], margins: Sequence[float]) -> list[Section]:
    sections: list[Section] = []
    if (kl := results.divergence) is not None:
        values = [row.kl for row in rows if row.kl is not None]
        plot = Plot("kl", "KL from base", histogram("KL from base, summed over a text", {"texts": values}, "nat"))
        said = f"From {kl.base}: {kl.per_token:.4f} nat per token over {kl.n_tokens} tokens, exact at every position."
        sections.append(Section("KL from base", (said, plot, Table(SPREAD, (_spread_row("per text", kl.per_text),)))))
    if (tax := results.mask_tax) is not None:
        title = "Mask tax of texts that were written under the mask"
        plot = Plot("mask-tax", "Mask tax", histogram(title, {"texts": list(taxes)}, "nat"))
        said = f"What the mask takes from the model, over {tax.n} texts: {estimate_words(tax.mean)} nat a text."
        sections.append(Section("Mask tax", (said, plot, Table(SPREAD, (_spread_row("per text", tax.per_text),)))))
    if (found := results.margins) is not None:
        title = "Implicit reward margins of preference pairs"
        plot = Plot(
            "margins", "Margins", histogram(title, {"pairs": list(margins)}, f"margin at β = {found.beta}", at=0)
        )
        said = f"From {found.base}, on {found.data}: right on {rate_words(found.correct)}."
        table = (_spread_row("all", found.all), *(_spread_row(name, one) for name, one in found.by_cohort.items()))
        sections.append(Section("Preference margins", (said, plot, Table(SPREAD, table))))
    return sections


def _made(results: Results) -> Section:
    made, first = results.made, results.first
    rows = [
        ("model", made.model or "–"), ("model's digest", made.model_digest or "–"), ("adapter", made.adapter or "–"),
        ("adapter trained under the bundle", made.adapter_bundle_digest or "–"),
        ("data", f"{made.data}, {made.n_prompts} prompts"), ("data's digest", made.data_digest),
        ("plan", first.plan_digest), ("bundle", first.bundle_digest), ("policies", ", ".join(first.policies) or "–"),
    ]  # fmt: skip
    if results.second is not None:
        rows += [("second plan", results.second.plan_digest), ("second policies", ", ".join(results.second.policies))]
    rows += [(name, str(value)) for name, value in made.settings.items()]
    rows += [(name, str(value)) for name, value in made.machine.items()]
    rows.append(("seconds", f"{made.seconds:.1f}"))
    return Section("How it was made", (Table(("", ""), tuple(rows)),))
