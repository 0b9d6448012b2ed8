"""What users of phrase bans ask for, on any engine with the small Llama whose every text can be listed."""

import re
import sys
from pathlib import Path

import policykit as pk
from policykit.decoding import Auto, Block, Budget, Ending, Engine, Exact, Sampled, Settings, Strategy, sample
from policykit.ir.document import PolicySet
from tests.decoding.test_phrase_bans import Showing
from tests.decoding.worlds import POLICY

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # benchmarks are scripts beside each other, no package
import listed_llama

PIECES, SEED, LENGTH = "abc\n", 7, 7
DEAD = r"b\n[abc\n]{3}"
"""Behind a line that ends in b two letters may come, and then only the end."""
LEAST = 6
HARD = r"\n\n|\nb|\nc|\na[abc]|aa"
"""Most second lines are illegal from their start on."""


def plan_of(rule: str) -> pk.Plan:
    return pk.compile(PolicySet((pk.parse_document(POLICY % rule, "toy.policy.yaml"),)))


def long_enough(text: str) -> str | None:
    return None if len(text) >= LEAST else "too short"


def went_back(found: Sampled) -> bool:
    """Whether an attempt from within the text failed, and a later one began before it and passed."""
    failed = [at for at, attempt in enumerate(found.attempts) if attempt.kept and not attempt.is_accepted]
    return bool(failed) and found.attempts[-1].kept < found.attempts[failed[0]].kept


def check_far_back(engine: Engine) -> None:
    """A short line that ends in b leads nowhere: what follows is banned, and the end comes too soon. What is taken up
    there goes back before it, and every sampling ends with a text that is legal, within the budget."""
    plan = plan_of(DEAD)
    constraint = plan.constraint(engine.vocabulary)
    strategies: list[Strategy] = [Block(1), Block(), Auto(1), Exact()]
    n_back = 0
    for strategy in strategies:
        for seed in range(15):
            settings = Settings(LENGTH, seed=seed, budget=Budget(n_attempts=80), min_legal_mass=0.0)
            found = sample(
                engine, listed_llama.PROMPT, plan, strategy,
                settings=settings, constraint=constraint, checks=[long_enough],
            )  # fmt: skip
            assert found.ending is Ending.ACCEPTED
            (answer,) = found.answers
            assert len(answer.raw) >= LEAST
            assert not re.search(DEAD, answer.raw)
            n_back += went_back(found)
    assert n_back > 0, "or nothing was taken up where nothing good can follow"


def check_takes_nothing_back(engine: Engine) -> None:
    """Whatever fails afterwards; and where nothing good can follow, that is the outcome, not another beginning."""
    plan = plan_of(HARD)
    constraint = plan.constraint(engine.vocabulary)
    n_shown, endings = 0, set[Ending]()
    for seed in range(60):
        showing = Showing(engine)
        settings = Settings(LENGTH, seed=seed, budget=Budget(n_attempts=200), min_legal_mass=0.0)
        found = sample(
            showing, listed_llama.PROMPT, plan, Block(1, 0.3), checks=[long_enough],
            settings=settings, constraint=constraint, floor=lambda showing=showing: len(showing.shown),
        )  # fmt: skip
        assert showing.retracted == []
        endings.add(found.ending)
        n_shown += bool(showing.shown) and len(found.attempts) > 1
        for answer in found.answers:
            assert answer.token_ids[: len(showing.shown)] == showing.shown
            assert not re.search(HARD, answer.raw)
    assert n_shown > 3, "or nothing was shown before a failure"
    assert endings <= {Ending.ACCEPTED, Ending.NO_LEGAL_MASS}
