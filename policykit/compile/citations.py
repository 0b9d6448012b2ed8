"""Demands for citations when compiling: where they cannot be met, and a text that meets them."""

from collections.abc import Iterable, Sequence

from policykit.automata import RegexAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.compile.escape import shortest_matches
from policykit.compile.resolve import leaves, sources
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.ir.citations import Mark
from policykit.ir.document import Chains, Uncited
from policykit.ir.plan import ResolvedRule
from policykit.text import view


def check_citations(rules: Iterable[ResolvedRule], is_json: bool) -> None:
    """Raises PolicyError (PK142) for rules that demand citations of an output that is JSON by its grammar."""
    wrong = [rule for rule in rules if is_json and _uncited(rule)]  # rules on sources never stand alone
    help = "keep the rule out of this profile's scope, or demand a list of sources in the schema"
    if wrong:
        raise PolicyError(
            Diagnostic("PK142", f"rule `{rule.rule_id}` demands citations of an output that is JSON", rule.place, help)
            for rule in wrong
        )


def marks_of(rules: Sequence[ResolvedRule]) -> tuple[str, ...]:
    """A shortest citation of each form that the rules demand."""
    marks = dict.fromkeys(part.mark for rule in rules for part in _uncited(rule))
    found = (next(shortest_matches(RegexAutomaton(build(view("raw"), Pattern(mark.regex)))), None) for mark in marks)
    return tuple(mark for mark in found if mark is not None)


def demanded(rules: Iterable[ResolvedRule]) -> tuple[Mark, ...]:
    """How citations are written by the rules that demand them or name their sources, each form with its ids once."""
    found = [
        mark
        for rule in rules
        for mark in (*(part.mark for part in _uncited(rule)), *(one.mark for one in sources(rule.matcher)))
    ]
    return tuple({(mark.form, mark.id_source): mark for mark in found}.values())


def _uncited(rule: ResolvedRule) -> list[Uncited]:
    chains = [chain for leaf in leaves(rule.matcher) if isinstance(leaf, Chains) for chain in leaf.chains]
    return [part for chain in chains for part in chain.parts if isinstance(part, Uncited)]
