"""Every text that a small speller can write, against an oracle that shares no code with what it judges.

A case is (grammar, policy, text). The constraint writes the text in random tokens; it must come to an accepting end
exactly if the oracle finds the text legal. Beside that the reachable states are explored from the start, over about
twelve tokens: where liveness is proved, each must lead to an end.
"""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

import policykit as pk
from tests.laws import oracle
from tests.laws.languages import FORMULAS, FREE, LANGUAGES, LEAVES, Language, Rules, rule, ruleset, schemas
from tests.laws.worlds import World, allowed, bytewise, likely_texts, make_world, phrases_of, tokenised
from tests.length import at_length

SPELLER = "ab1A é-Ж"
ENDINGS = '"}]bЖz. ꙮ☃\n'
"""Characters that are tried, beside the speller's, to bring a text to an end."""


def texts_to_judge(world: World, n: int) -> list[str]:
    """Every short text of three characters of the speller where there is no grammar; samples and near misses."""
    rng = world.rng
    texts = likely_texts(world, n)
    if world.language.spec is None:
        few = rng.sample(SPELLER, 3)
        short = ["".join(t) for k in range(5) for t in itertools.product(few, repeat=k)]
        texts += rng.sample(short, n)
    return list(dict.fromkeys(texts))


def is_written(world: World, ids: list[int]) -> bool:
    """Whether the constraint takes all tokens and then the end of text."""
    state = world.constraint.start()
    return all(state.accept(i) for i in ids) and state.accepting and state.accept(world.vocabulary.eos_ids[0])


def judge_texts(world: World, n: int) -> Counter[str]:
    found: Counter[str] = Counter()
    assert not world.plan.residue
    searches = world.constraint.liveness.kind is pk.LivenessKind.BOUNDED  # ahead of every token, which takes its time
    for text in texts_to_judge(world, n // 10 if searches else n):
        legal = world.is_legal(text)
        data = text.encode()
        ways = [tokenised(world.rng, world.vocabulary, data)]
        for ids in ways if searches else [*ways, bytewise(world.vocabulary, data)]:
            what = "a legal text is unreachable" if legal else "a forbidden text is admitted"
            assert is_written(world, ids) == legal, (what, text, world)
        found["legal" if legal else "forbidden"] += 1
    return found


@dataclass
class Explorer:
    """Walks the states over a few tokens and finds for each an ending."""

    world: World
    tokens: list[int]
    alive: set[bytes] = field(default_factory=set)

    def has_an_end(self, state: pk.State, data: bytes) -> bool:
        """By a text that the plan names, by one that the rules ask for, or by searching."""
        return any(self.ends_with(s, hint) for s in self.completed(state) for hint in self.hints) or self.ends(
            state, data, [400], 40
        )

    def completed(self, state: pk.State) -> list[pk.State]:
        """The state, and those after it in which an unfinished character has been completed."""
        found, last = [state], [state]
        for _ in range(3):
            following = [s.copy() for s in last for _ in range(2)]
            last = [s for s in following if s.accept(self.world.rng.choice(self.continuing(s) or [-1]))]
            found += last
        return found

    def continuing(self, state: pk.State) -> list[int]:
        tokens = self.world.vocabulary.tokens
        single = [i for i in allowed(state, self.world.vocabulary) if len(tokens[i]) == 1]
        return [i for i in single if tokens[i][0] & 0xC0 == 0x80]

    @cached_property
    def hints(self) -> list[str]:
        """Texts that free most rules, and with what a rule may ask for."""
        if self.world.language.spec is not None:
            return []
        return [self.world.plan.liveness.escape or "", "Ж", ". ", *(f". {p} " for p in phrases_of(self.world.rules))]

    def ends_with(self, state: pk.State, text: str) -> bool:
        following = state.copy()
        return all(following.accept(i) for i in bytewise(self.world.vocabulary, text.encode())) and following.accepting

    def explore(self, n_states: int, depth: int = 12) -> Counter[str]:
        world = self.world
        claims = world.constraint.liveness.kind is not pk.LivenessKind.BOUNDED
        todo = [(world.constraint.start(), b"")]
        counted: Counter[str] = Counter()
        while todo and counted["states"] < n_states:
            state, data = todo.pop(world.rng.randrange(len(todo)))
            counted["states"] += 1
            self.judge_end(state, data)
            here = set(allowed(state, world.vocabulary))
            if state.outcome is pk.Outcome.DEAD_END:
                assert not claims, ("a dead end", data, world)
                assert here == set(world.vocabulary.eos_ids)
                counted["dead ends"] += 1
                continue
            assert not claims or self.has_an_end(state, data), ("no way to an end", data, world)
            counted["co-accessible"] += claims
            for i in self.tokens if state.n_tokens < depth else ():
                following = state.copy()
                assert following.accept(i) == (i in here), ("row and accept differ", data, i, world)
                if i in here:
                    todo.append((following, data + world.vocabulary.tokens[i]))
        return counted

    def judge_end(self, state: pk.State, data: bytes) -> None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            assert not state.accepting
            return
        if oracle.knows(text):  # pieces of characters may join to others
            assert state.accepting == self.world.is_legal(text), (text, self.world)

    def ends(self, state: pk.State, data: bytes, budget: list[int], depth: int) -> bool:
        """Depth first, closing characters first; what was found alive before is alive."""
        if data in self.alive or state.accepting:
            self.alive.add(data)
            return True
        if not depth or not budget[0]:
            return False
        budget[0] -= 1
        vocabulary = self.world.vocabulary
        here = [i for i in allowed(state, vocabulary) if i not in vocabulary.special_ids]
        liked = {b: k for k, b in enumerate(ENDINGS.encode())}
        for i in sorted(here, key=lambda i: (liked.get(vocabulary.tokens[i][0], 99), len(vocabulary.tokens[i])))[:24]:
            following = state.copy()
            token = vocabulary.tokens[i]
            if following.accept(i) and self.ends(following, data + token, budget, depth - 1):
                self.alive.add(data)
                return True
        return False


def speller_tokens(world: World) -> list[int]:
    """About twelve ids: bytes and pieces that the speller's characters, JSON and the grammar's samples are made of."""
    liked = set(world.language.sample(world.rng).encode()) | set(world.rng.sample(SPELLER, 3)[0].encode()) | {0x61}
    fitting = [i for i, t in enumerate(world.vocabulary.tokens) if t and set(t) <= liked]
    return world.rng.sample(fitting, min(12, len(fitting)))


def conflicts_are_real(rules: Rules, language: Language, error: pk.PolicyError, seed: int) -> int:
    """A plan that is refused for want of a text: the oracle finds none either."""
    rng = random.Random(seed)
    codes = {d.code for d in error.diagnostics}
    assert codes <= {"PK305", "PK306", "PK307"}, error
    if "PK305" in codes:
        return 0
    texts = [language.sample(rng) for _ in range(40)]
    legal = [t for t in texts if language.has(t) and not oracle.breaks_a_rule(rules, t, language.is_json)]
    assert not legal, (legal[0], rules, language.name, error)
    return len(texts)


DRAWS = st.tuples(ruleset(LEAVES | FORMULAS), LANGUAGES, st.integers(0, 2**32))


def run(
    draws: st.SearchStrategy[tuple[Rules, Language, int]], n_worlds: int, n_texts: int, n_states: int
) -> Counter[str]:
    """Judge generated worlds, the same in every run."""
    counted: Counter[str] = Counter()

    @settings(
        max_examples=n_worlds, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(draws)
    def judge(draw: tuple[Rules, Language, int]) -> None:
        rules, language, seed = draw
        try:
            world = make_world(rules, language, seed)
        except pk.PolicyError as error:
            counted["refused"] += conflicts_are_real(rules, language, error, seed)
            return
        counted.update(judge_texts(world, n_texts))
        counted.update(Explorer(world, speller_tokens(world)).explore(n_states))
        counted["worlds"] += 1

    judge()
    return counted


def test_every_text_is_judged_as_the_oracle_does() -> None:
    counted = run(DRAWS, 44, 70, 12)
    assert counted["legal"] + counted["forbidden"] >= 1_500, counted
    assert min(counted["legal"], counted["forbidden"]) >= 200, counted


@pytest.mark.slow
def test_every_text_is_judged_as_the_oracle_does_at_length() -> None:
    n = at_length(250, 75)
    counted = run(DRAWS, n, 70, 40)
    assert counted["legal"] + counted["forbidden"] >= 40 * n, counted
    assert counted["co-accessible"] >= 12 * n, counted


IN_JSON = st.builds(
    lambda found, reading: [rule({"phrases": found, **reading})],
    st.lists(st.sampled_from(["ab", "a b", "é1", "b", "a", "1 a"]), min_size=1, max_size=3, unique=True),
    st.sampled_from([{}, {"join": "array"}, {"within": "text"}, {"exact": True}, {"views": ["unmarked"]}]),
)


def test_strings_of_json_are_judged_as_the_oracle_does() -> None:
    counted = run(st.tuples(IN_JSON, schemas(), st.integers(0, 2**32)), 16, 60, 10)
    assert counted["legal"] + counted["forbidden"] >= 150, counted


@pytest.mark.slow
def test_strings_of_json_are_judged_as_the_oracle_does_at_length() -> None:
    counted = run(st.tuples(IN_JSON, schemas(), st.integers(0, 2**32)), 150, 60, 30)
    assert counted["legal"] + counted["forbidden"] >= 1_500, counted


def test_the_speller_can_fail() -> None:
    """A planted violation: a judge that forbids one letter more than the policy."""
    world = make_world([rule({"phrases": ["ab"]})], FREE, 1)
    stricter = World([rule({"regex": ["b"]})], FREE, world.plan, world.vocabulary, world.constraint, world.rng)
    with pytest.raises(AssertionError, match="a forbidden text is admitted"):
        judge_texts(stricter, 60)
