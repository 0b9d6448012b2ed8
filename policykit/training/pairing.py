"""From rows to pairs that are learned from: what a verifier says of both sides, and what ties and bad pairs come to."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.engines.encoding import Encoded, encode
from policykit.training.config import Config
from policykit.training.judging import Judge
from policykit.training.pairs import Outcome, pairs_of, preference
from policykit.training.rows import Row, Rows

ENDS = "end"


class PairSettings(Protocol):
    """How pairs are read. ``margin`` is per unit of cost by which the rejected side exceeds the chosen."""

    @property
    def margin(self) -> float: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def relabel(self) -> bool: ...
    @property
    def ties(self) -> str: ...
    @property
    def both_bad(self) -> str: ...


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two completions of a row's prompt, the better one first. ``smoothing`` is ½ for a tie; ``costs`` are of each side
    by group of rules, empty where no plan judges; ``ends`` says which of them came to an end."""

    row: Row
    chosen: str
    rejected: str
    ends: tuple[bool, bool]
    margin: float
    smoothing: float
    costs: tuple[Mapping[str, float], Mapping[str, float]]

    @property
    def weight(self) -> float:
        return self.row.number("weight", 1.0)

    def encoded(self, tokenizer: Any) -> tuple[Encoded, Encoded]:
        """The tokens of both."""
        prompt = self.row.values["prompt"]
        return (
            encode(tokenizer, prompt, self.chosen, ends=self.ends[0], place=self.row.place),
            encode(tokenizer, prompt, self.rejected, ends=self.ends[1], place=self.row.place),
        )


def judged_pairs(
    rows: Rows, judge: Judge | None, settings: PairSettings, counts: Counter[str], found: list[Diagnostic]
) -> Iterator[JudgedPair]:
    """The pairs of all rows, but for those that are dropped; ``counts`` gets what each came to, and ``found`` a
    diagnostic (PK781) for every row that cannot be used."""
    for row in rows:
        try:
            for chosen, rejected in _texts(row, judge, counts):
                pair = _pair(row, chosen, rejected, settings, judge, counts)
                if pair is not None:
                    yield pair
        except PolicyError as error:
            found.extend(error.diagnostics)


def unjudged(settings: PairSettings, config: Config, judged: bool) -> Iterator[Diagnostic]:
    """PK780 for settings that need costs where there are none."""
    if not judged and (settings.relabel or settings.margin):
        at = "relabel" if settings.relabel else "margin"
        message = f"`{at}` has no effect without costs"
        help = "name `policies` or a `plan`, or give rows `chosen_cost` and `rejected_cost`"
        yield Diagnostic("PK780", message, config.place(config.kind, at), help)


def check_left(n_pairs: int, counts: Counter[str], config: Config) -> None:
    """Raises PolicyError (PK781) where no pair is left."""
    if not n_pairs:
        told = ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "there are none"
        message = f"no pair is left to learn from: {told}"
        raise PolicyError.of("PK781", message, config.place("data", "train"), "give pairs that differ")


def _texts(row: Row, judge: Judge | None, counts: Counter[str]) -> list[tuple[str, str]]:
    """The pairs of texts in a row: one, or those that a verifier makes of its candidates."""
    named = [name for name in ("chosen", "rejected", "candidates") if row.values.get(name) is not None]
    if named == ["candidates"] and judge is not None:
        texts = cast("list[str]", row.values["candidates"])
        costs = [judge.cost(text, row) for text in texts]
        made = pairs_of(costs)
        if not made:
            counts[Outcome.BOTH_BAD if costs and costs[0] > 0 else Outcome.TIE] += 1
        return [(texts[i], texts[j]) for i, j in made]
    if named != ["chosen", "rejected"]:
        message = f"the row has {' and '.join(f'`{n}`' for n in named) or 'no completions'}"
        help = "give `chosen` and `rejected`, or `candidates` and a plan that judges them"
        raise PolicyError.of("PK781", message, row.place, help)
    if row.text("chosen") == row.text("rejected"):
        message = "`chosen` and `rejected` are the same text"
        raise PolicyError.of("PK781", message, row.place, "leave the row out")
    return [(row.text("chosen"), row.text("rejected"))]


def _pair(
    row: Row, chosen: str, rejected: str, settings: PairSettings, judge: Judge | None, counts: Counter[str]
) -> JudgedPair | None:
    """The pair as it is learned from; None for one that is dropped. Raises PolicyError (PK781) for a contradiction."""
    said = preference(
        *_costs(row, chosen, rejected, judge), is_tie=row.values.get("tie") is True, relabels=settings.relabel
    )
    counts[said.outcome] += 1
    if said.outcome is Outcome.CONTRADICTION:
        message = "the chosen completion breaks the plan, and the rejected one does not"
        raise PolicyError.of("PK781", message, row.place, "leave the row out, or say `relabel: true`")
    if said.outcome is Outcome.TIE and settings.ties == "drop":
        return None
    if said.outcome is Outcome.BOTH_BAD and settings.both_bad == "drop":
        return None
    sides = [_side(row, text, side, judge) for text, side in ((chosen, "chosen"), (rejected, "rejected"))]
    if said.outcome is Outcome.SWAPPED:
        sides.reverse()
    (first, first_ends, first_costs), (second, second_ends, second_costs) = sides
    smoothing = 0.5 if said.outcome is Outcome.TIE else settings.label_smoothing
    costs = (first_costs, second_costs)
    return JudgedPair(row, first, second, (first_ends, second_ends), settings.margin * said.gap, smoothing, costs)


def _side(row: Row, text: str, side: str, judge: Judge | None) -> tuple[str, bool, Mapping[str, float]]:
    ends = row.values.get(f"{side}_finish", ENDS) == ENDS
    return text, ends, {} if judge is None else judge.costs(text, row)


def _costs(row: Row, chosen: str, rejected: str, judge: Judge | None) -> tuple[float | None, float | None]:
    if judge is not None:
        return judge.cost(chosen, row), judge.cost(rejected, row)
    if "chosen_cost" in row.values and "rejected_cost" in row.values:
        return row.number("chosen_cost"), row.number("rejected_cost")
    return None, None
