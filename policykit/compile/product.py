"""Whether a grammar and the policies can trap generation together, and the same grammar without the traps.

Each alone always has a way on; `WORD (":" " guaranteed returns" | ";" " fine")` under a policy that forbids
`guaranteed returns` has none after `:`. The answer is a theorem, a grammar without the traps, or "not decided".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from policykit.automata import Automaton, Pattern
from policykit.automata.nfa import build
from policykit.compile.chart import Chart
from policykit.compile.deadends import accepted, never_traps
from policykit.compile.emit import emit
from policykit.compile.escape import finds
from policykit.compile.indexed import IndexedCfg, index
from policykit.compile.lexeme import classes_read, determinise, written_out
from policykit.compile.lexing import lexing_clash
from policykit.compile.survey import Survey
from policykit.compile.symbols import STEPS_PER_STATE, Budget, JointSymbols, OverBudget, PolicyStates, join_symbols
from policykit.compile.words import Words
from policykit.ir.grammar import Cfg
from policykit.ir.lark import lark_string
from policykit.ir.regex import Chars, Concat, Empty, Regex
from policykit.text import view

PAIRS_PER_STATE = 10
"""Pairs of places in terminals that the check of the lexer may compare, per product state of the budget."""


@dataclass(frozen=True, slots=True)
class Safe:
    """Whatever grammar and policies both let begin can be finished. ``n_states`` were tabulated."""

    n_states: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """``lark`` is a grammar (llguidance's Lark dialect) of exactly the texts of the original in which no policy finds
    anything; masked with both grammars and the policies, generation can always finish."""

    lark: str
    n_states: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """No text of the grammar passes the policies."""

    n_states: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nothing is claimed; ``why`` is for the plan."""

    why: str


ProductResult: TypeAlias = Safe | Trimmed | Nothing | Undecided


def analyse(cfg: Cfg, automata: Sequence[Automaton], budget: int = 20_000) -> ProductResult:
    """What grammar and policies allow together.

    ``automata`` forbid what they find in the whole text, each on its own view; their framing symbols are not used.
    ``budget`` bounds the product states: policy states and places in terminals together, and grammar items and calls
    with a policy state.
    """
    texts = listed(cfg)
    if texts is not None:
        return _of_list(texts, automata, budget)
    if sum(written_out(terminal.regex) for terminal in cfg.terminals) > PAIRS_PER_STATE * budget:
        return Undecided(f"the terminals alone are over the budget of {budget} states")
    places, spots, items = Budget(budget), Budget(budget), Budget(budget)
    try:
        found = _lexed(cfg, automata, budget)
        if isinstance(found, Undecided):
            return found
        grammar, symbols = found
        words = Words(grammar, symbols, PolicyStates(automata, symbols, places), places)
        if _surveyed(words, spots):
            return Safe(places.spent + spots.spent)
        chart = Chart(words, items)
    except OverBudget:
        return Undecided(f"grammar and rules together are over the budget of {budget} states")
    n_states = places.spent + items.spent
    ends = accepted(chart, words.policies.may_end)
    if not ends:
        return Nothing(n_states)
    if never_traps(chart, words.policies.may_end):
        return Safe(n_states)
    return Trimmed(emit(chart, ends, symbols), n_states)


def listed(cfg: Cfg) -> tuple[str, ...] | None:
    """The texts of a grammar that only lists some, each as one terminal; None of any other."""
    literals = {terminal.name: _literal(terminal.regex) for terminal in cfg.terminals}
    texts: list[str] = []
    for production in cfg.productions:
        is_one = production.head == cfg.start and len(production.body) == 1 and production.body[0].is_terminal
        text = literals.get(production.body[0].name) if is_one else None
        if text is None:
            return None
        texts.append(text)
    return tuple(texts)


def _literal(regex: Regex) -> str | None:
    """The one text of an expression that is a row of characters."""
    match regex:
        case Empty():
            return ""
        case Concat(items):
            parts = [part for item in items if (part := _literal(item)) is not None]
            return "".join(parts) if len(parts) == len(items) else None
        case Chars(literal=((low, high),), on_view=()) if low == high:
            return chr(low)
        case _:
            return None


def _of_list(texts: Sequence[str], automata: Sequence[Automaton], budget: int) -> ProductResult:
    """Of a list no table is needed: each text passes or does not, and what begins one that passes can be finished."""
    n_states = sum(map(len, texts)) + 1
    if n_states * max(len(automata), 1) > STEPS_PER_STATE * budget:
        return Undecided(f"the listed texts are over the budget of {STEPS_PER_STATE * budget} steps")
    passing = [text for text in texts if not any(finds(automaton, None, text) for automaton in automata)]
    if len(passing) == len(texts):
        return Safe(n_states)
    if not passing:
        return Nothing(n_states)
    return Trimmed(f"start: {' | '.join(map(lark_string, passing))}\n", n_states)


def _surveyed(words: Words, budget: Budget) -> bool:
    """Whether the quick proof succeeds. Raises OverBudget only for places, which every analysis needs."""
    try:
        return Survey(words, budget).never_traps()
    except OverBudget:
        if budget.spent > budget.limit:
            return False
        raise


def _lexed(cfg: Cfg, automata: Sequence[Automaton], budget: int) -> tuple[IndexedCfg, JointSymbols] | Undecided:
    """The grammar over joint symbols, if its texts have one reading as lexemes. Raises OverBudget."""
    nfas = [build(view("raw"), Pattern(terminal.regex)) for terminal in cfg.terminals]
    for terminal, nfa in zip(cfg.terminals, nfas, strict=True):
        if any(nfa.gated):
            return Undecided(f"terminal `{terminal.name}` asserts something about its neighbours")
    symbols = join_symbols([nfa.alphabet for nfa in nfas], [classes_read(nfa) for nfa in nfas], automata)
    lexemes = [
        determinise(terminal.name, nfa, classes, budget)
        for terminal, nfa, classes in zip(cfg.terminals, nfas, symbols.classes, strict=True)
    ]
    grammar = index(cfg, lexemes)
    clash = lexing_clash(grammar, Budget(PAIRS_PER_STATE * budget))
    if clash is not None:
        what = f"`{clash.ended}` may go on as `{clash.longer}` where it should end"
        return Undecided(f"the longest match reads the grammar in another way: {what}")
    return grammar, symbols
