"""Which strings of symbols keep an automaton alive, against reading each of them by itself."""

import random

import numpy as np
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.automata import FOUND, run
from policykit.compile import lower
from policykit.constraint import PolicyMachine
from policykit.constraint.openings import Openings
from policykit.ir.plan import Level
from tests.laws.languages import LEAVES, TEXT_CHARACTERS, ruleset
from tests.laws.worlds import policies, vocabulary

WORDS = vocabulary(random.Random(3), ["ab ba", "aé1"])


@settings(max_examples=15, deadline=None)
@given(
    ruleset(LEAVES),
    st.lists(st.text(TEXT_CHARACTERS, max_size=4), max_size=6),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_answers_are_those_of_reading_every_string(
    rules: list[dict[str, object]], texts: list[str], rng: random.Random, may_end: bool
) -> None:
    plan = pk.compile(policies(rules))
    machine = PolicyMachine(lower([r for r in plan.spec.rules if r.level is Level.DECODE]), WORDS)
    for i, unit in enumerate(machine.reader.epoch.units):
        symbols = [c for c, own_symbol in enumerate(unit.symbol_list) if own_symbol < unit.automaton.n_symbols]
        options = [tuple(rng.choices(symbols, k=rng.randint(0, 3))) for _ in range(70)]
        openings = Openings(unit, options, 2, may_end=may_end)
        states = [FOUND, unit.automaton.start]
        states += [run(unit.automaton, unit.automaton.start, machine.reader.binding.symbols_of(t)[i]) for t in texts]
        for state in rng.sample(states, len(states)):
            after = [run(unit.automaton, state, own(unit.symbol_list, option)) for option in options]
            alive = [at != FOUND and not (may_end and unit.automaton.end_found(at)) for at in after]
            assert openings.bits(state) == sum(1 << k for k, is_alive in enumerate(alive) if is_alive)
        rows = openings.rows(np.array(states, np.int32))
        assert [int.from_bytes(row.tobytes(), "little") for row in rows] == [openings.bits(state) for state in states]


def own(symbols: list[int], option: tuple[int, ...]) -> list[int]:
    return [symbols[c] for c in option if symbols[c] >= 0]
