"""What users of phrase bans ask for: go back far enough, ban as many phrases as they like, take back nothing shown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

import policykit as pk
from policykit.constraint import Constraint, Vocabulary
from policykit.decoding import (
    Ask,
    Auto,
    Block,
    Budget,
    Draw,
    Ending,
    Engine,
    Exact,
    Reject,
    Session,
    Settings,
    StepSession,
    Strategy,
    TableModel,
    sample,
)
from policykit.decoding.blocks import block_starts
from policykit.decoding.steps import Logps
from policykit.ir.document import PolicySet
from policykit.plan import Plan

from .worlds import World

GOING_BACK: list[Strategy] = [Exact(), Block(), Block(1, 0.0), Auto(1)]
PIECES = ("Hello. ", "Good day. ", "We ", "You ", "offer ", "can ", "guaranteed ", "returns.", "lose.", "wait.")
PAIRS = re.compile(r"(?=\b([a-z]{2,} [a-z]{2,})\b)")
NEXT: Mapping[str, Mapping[str, float]] = {
    "": {"Hello. ": 0.97, "Good day. ": 0.03},
    "Hello. ": {"We ": 1.0},  # the sentence before already leads nowhere else
    "Hello. We ": {"offer ": 1.0},
    "Hello. We offer ": {"guaranteed ": 1.0},
    "Hello. We offer guaranteed ": {"returns.": 1.0},
    "Good day. ": {"We ": 0.98, "You ": 0.02},
    "Good day. We ": {"offer ": 1.0},  # here the start of the sentence forces the phrase
    "Good day. We offer ": {"guaranteed ": 1.0},
    "Good day. We offer guaranteed ": {"returns.": 1.0},
    "Good day. You ": {"can ": 1.0},
    "Good day. You can ": {"wait.": 1.0},
}


@dataclass(frozen=True)
class Script:
    """A model that writes what a table says; behind a text that is not in it, the end."""

    sees_distributions: bool = True

    @property
    def vocabulary(self) -> Vocabulary:
        tokens = [piece.encode() for piece in PIECES]
        return Vocabulary.from_tokens([*tokens, b""], [len(tokens)], allow_incomplete=True)

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
        return StepSession(_Scripted(), constraint)


class _Scripted:
    n_prefilled = 0

    def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
        found = []
        for text in texts:
            following = NEXT.get("".join(PIECES[i] for i in text), {})
            p = np.zeros(len(PIECES) + 1)
            p[-1] = 1.0 - sum(following.values())
            for piece, share in following.items():
                p[PIECES.index(piece)] = share
            with np.errstate(divide="ignore"):
                found.append(np.log(np.clip(p, 0.0, 1.0)))
        return found


def plan_of(phrases: Sequence[str]) -> pk.Plan:
    listed = ", ".join(phrases)
    text = f"""\
apiVersion: policykit/v1
kind: Policy
metadata: {{name: bans, version: 1.0.0, owner: team@example.org, why: phrases}}
rules: [{{id: banned, match: {{phrases: [{listed}]}}, action: {{block: {{message: no}}}}}}]
tests: [{{name: t, given: {{output: "-"}}, expect: {{decision: allow, rules: []}}}}]
"""
    return pk.compile(PolicySet((pk.parse_document(text, "bans.policy.yaml"),)))


@pytest.mark.parametrize("strategy", GOING_BACK, ids=lambda one: f"{one.name}-{getattr(one, 'n_failures', '')}")
def test_where_a_sentence_forces_the_phrase_the_one_before_is_taken_back(strategy: Strategy) -> None:
    """The only legal text is two choices of the model away, each of them before the sentence that fails."""
    plan = plan_of(["guaranteed returns"])
    constraint = plan.constraint(Script().vocabulary)
    n_attempts = []
    for seed in range(20):
        settings = Settings(12, seed=seed, budget=Budget(n_attempts=None), min_legal_mass=0.0)
        found = sample(Script(), "p", plan, strategy, settings=settings, constraint=constraint)
        assert found.ending is Ending.ACCEPTED
        assert [answer.raw for answer in found.answers] == ["Good day. You can wait."]
        n_attempts.append(len(found.attempts))
        if n_attempts[-1] == 3:
            assert found.legal_mass_bound == pytest.approx(0.03 * 0.02)
    assert max(n_attempts) == 3, "each failure proves all of what it went through bad"


def test_little_legal_mass_is_said_instead_of_looked_for() -> None:
    settings = Settings(12, min_legal_mass=0.01)
    found = sample(Script(), "p", plan_of(["guaranteed returns"]), Block(), settings=settings)
    assert found.ending is Ending.NO_LEGAL_MASS
    assert found.legal_mass_bound == pytest.approx(0.03 * 0.02)
    assert not found.answers


@pytest.mark.slow
def test_ten_thousand_phrases_are_held_on_a_real_model() -> None:
    pytest.importorskip("torch")
    from policykit.engines.sampling import TransformersEngine
    from policykit.engines.transformers import load_model

    check_ten_thousand(TransformersEngine.of(*load_model("embedded")))


def check_ten_thousand(engine: Engine) -> None:
    """Ten thousand phrases, of which forty are words that the embedded model does say."""
    prompt, free = "My card was charged twice.", plan_of(["zzzz zzzz"])
    said = sample(engine, prompt, free, Reject(), n=10, settings=Settings(32)).answers
    pairs = PAIRS.findall(" | ".join(answer.raw.lower() for answer in said))
    words = sorted({word for pair in pairs for word in pair.split()})
    rng = Random(0)
    others = {f"{rng.choice(words)} {rng.choice(words)}x{rng.randrange(10**6)}" for _ in range(12_000)}
    own = rng.sample(sorted(set(pairs)), 40)
    phrases = [*own, *sorted(others)[: 10_000 - len(own)]]
    assert len(set(phrases)) == 10_000
    plan = plan_of(phrases)
    constraint = plan.constraint(engine.vocabulary)
    settings = Settings(32, seed=1, budget=Budget(n_tokens=1500))
    found = sample(engine, prompt, plan, Block(), n=4, settings=settings, constraint=constraint)
    assert found.answers
    assert sum(found.reasons.values()) > 0, "or nothing was held"
    for answer in found.answers:
        assert not set(phrases) & set(PAIRS.findall(f"{answer.raw} ".lower()))


HARD = r"\. b|\. c|\. a[abc]|aa"
"""Most second sentences are illegal from their start on."""
SENTENCES = World("ba|ca", TableModel(("a", "b", "c", ". "), max_length=6, seed=20, sharpness=2.0))


@dataclass
class Showing:
    """Shows, as a stream does, what lies before the last whole sentence of what is being drawn."""

    model: Engine
    shown: tuple[int, ...] = ()
    retracted: list[tuple[int, ...]] = field(default_factory=list)
    sees_distributions: bool = True
    n_prefilled: int = 0
    n_requests: int = 0
    _session: Session | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> "Showing":
        self._session = self.model.open(prompt, plan, constraint, temperature)
        return self

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        assert self._session is not None
        draws = self._session.draw(asks, rng)
        for ask, draw in zip(asks, draws, strict=True):
            text = (*ask.prefix, *draw.token_ids)
            if text[: len(self.shown)] != self.shown:
                self.retracted.append(text)
            pieces = [self.vocabulary.tokens[token] for token in text]
            starts = [start for start in block_starts(pieces) if start < len(pieces)]
            if len(starts) > 1 and starts[-2] > len(self.shown):
                self.shown = text[: starts[-2]]
        return draws


def test_what_is_shown_is_never_taken_back() -> None:
    """Whatever fails afterwards; and where nothing good can follow, that is the outcome, not another beginning."""
    n_shown = 0
    endings = set()
    for banned in ("ba|ca", "ba|ca|bb|cc", HARD):
        world = World(banned, SENTENCES.model)
        for seed in range(150):
            engine = Showing(world.model)
            settings = Settings(6, seed=seed, min_legal_mass=0.0)
            found = sample(
                engine, "p", world.plan, Block(1, 0.3),
                settings=settings, constraint=world.constraint, floor=lambda engine=engine: len(engine.shown),
            )  # fmt: skip
            assert engine.retracted == []
            endings.add(found.ending)
            n_shown += bool(engine.shown) and len(found.attempts) > 1
            for answer in found.answers:
                assert answer.token_ids[: len(engine.shown)] == engine.shown
                assert world.is_legal(answer.token_ids)
    assert n_shown > 20, "or nothing was shown before a failure"
    assert endings <= {Ending.ACCEPTED, Ending.NO_LEGAL_MASS}


def test_the_measure_sees_a_retraction() -> None:
    """Planted: without the floor some texts begin anew before what was shown."""
    world, n = World(HARD, SENTENCES.model), 0
    for seed in range(60):
        engine = Showing(world.model)
        settings = Settings(6, seed=seed, min_legal_mass=0.0)
        sample(engine, "p", world.plan, Block(1, 0.3), settings=settings, constraint=world.constraint)
        n += bool(engine.retracted)
    assert n > 0
