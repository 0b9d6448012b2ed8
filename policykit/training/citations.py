"""Citations in completions, in the form that the plan's own rules demand: training cannot mean another."""

from collections.abc import Iterator
from dataclasses import dataclass

from policykit.automata import compile_finder
from policykit.compile.citations import demanded as demanded_by
from policykit.diagnostics import Diagnostic, Place
from policykit.ir.citations import Mark
from policykit.plan import Plan
from policykit.policy.checked import Entries, Json
from policykit.policy.citations import check_form, mark_of, marked
from policykit.text import view


@dataclass(frozen=True, slots=True)
class Citations:
    """How citations are written, what one weighs that the row's sources list, and how hard any other is unlearned."""

    marks: tuple[Mark, ...]
    weight: float = 1.0
    unsupported: float = 1.0

    def spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where citations stand, and their ids."""
        for mark in self.marks:
            finder = compile_finder(marked(mark, Place("")), view("raw"))
            for found in finder.findall(text):
                yield found.start, found.end, mark.id_of(text[found.start : found.end])

    def told(self) -> Json:
        """As JSON values."""
        marks: list[Json] = [{"format": mark.form, "id": mark.id_source} for mark in self.marks]
        return {"marks": marks, "weight": self.weight, "unsupported": self.unsupported}


def citations_from(entries: Entries, plan: Plan | None, found: list[Diagnostic]) -> Citations:
    """What a training file says. The form is the plan's; the file says one only where no rule of the plan does.

    Appends PK140 for a form that cannot be told from the text, PK780 for none, and for another one than the plan's.
    """
    weight, unsupported = entries.number("weight"), entries.number("unsupported")
    demanded = {(mark.form, mark.id_source): mark for mark in demanded_by(plan.spec.rules if plan else ())}
    says = [name for name in ("format", "id") if name in entries.keys]
    if not says and not demanded:
        help = "write it as `format`, or name policies with a rule that demands citations"
        found.append(Diagnostic("PK780", "nothing says how a citation is written", entries.place, help))
    if says:
        check_form(entries, found)
        own = mark_of(entries)
        if demanded and (own.form, own.id_source) not in demanded:
            forms = ", ".join(f"`{form}` with the id `{id}`" for form, id in demanded)
            message = f"the plan's rules demand other citations: {forms}"
            help = "leave `format` and `id` out: the plan says them"
            found.append(Diagnostic("PK780", message, entries.keys[says[0]], help))
        demanded = {(own.form, own.id_source): own}
    weights = (1.0 if number is None else number for number in (weight, unsupported))
    return Citations(tuple(demanded.values()), *weights)
