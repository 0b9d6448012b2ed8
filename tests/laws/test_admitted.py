"""`default: block` in the mask: a text can be written exactly if an allow rule admits it and no rule blocks it."""

import json
import random
import re
from itertools import product

import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from tests.laws.languages import Rules
from tests.laws.worlds import allowed as allowed_ids, bytewise, vocabulary
from tests.length import at_length

ALPHABET = "ab -_"
LONGEST = 6
JUDGED = 3
TEXTS = ["".join(chars) for n in range(LONGEST + 1) for chars in product(ALPHABET, repeat=n)]
ALLOWED = ("a", "ab", "a b", "b a b", "ba", "aa bb", "a-?b{1,3}", "(a|b) ?(a|b)", "[ab]{2,4}", "a{0,2}b", "b( a){1,2}")
BLOCKED = ("ab", "b a", "aa", "bb?", "a b", "^b", "a$", r"\bb\b", "aba")
SEPARATED = re.compile("[ _-]+")
"""An underscore separates the words of a phrase and is a word character of an expression."""


def is_phrase(pattern: str) -> bool:
    return not re.search(r"[\[\](){}?|^$\\*+]", pattern)


def is_allowed(pattern: str, text: str) -> bool:
    """Phrases as words between runs of separators, expressions by Python's own matcher."""
    if is_phrase(pattern):
        return SEPARATED.split(text) == pattern.split(" ") and bool(text)
    return re.fullmatch(pattern, text) is not None


def is_blocked(pattern: str, text: str) -> bool:
    if is_phrase(pattern):
        body = "[ _-]+".join(pattern.split(" "))
        return re.search(rf"(?<![ab]){body}(?![ab])", text) is not None
    return re.search(pattern, text) is not None


def matching(patterns: list[str]) -> dict[str, list[str]]:
    phrases = [p for p in patterns if is_phrase(p)]
    regexes = [p for p in patterns if not is_phrase(p)]
    return {name: found for name, found in (("phrases", phrases), ("regex", regexes)) if found}


def compiled(allowed: list[str], blocked: list[str]) -> pk.Plan:
    rules: Rules = [{"id": "allowed", "match": matching(allowed), "action": {"allow": {}}}]
    if blocked:
        rules.append({"id": "blocked", "match": matching(blocked), "action": {"block": {}}})
    metadata = {"name": "laws/admitted", "version": "1.0.0", "owner": "laws@example.org", "why": "to be tried"}
    head = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "default": "block"}
    document = pk.parse_document(json.dumps({**head, "rules": rules}), "admitted.policy.yaml")
    return pk.compile(PolicySet((document,)))


def language(allowed: list[str], blocked: list[str]) -> frozenset[str]:
    """All admitted texts over the alphabet; none of these languages has a longer one."""
    return frozenset(
        text
        for text in TEXTS
        if any(is_allowed(p, text) for p in allowed) and not any(is_blocked(p, text) for p in blocked)
    )


def drawn(rng: random.Random) -> tuple[list[str], list[str]]:
    allowed = rng.sample(ALLOWED, rng.randint(1, 3))
    blocked = rng.sample(BLOCKED, rng.choice([0, 0, 1, 1, 2]))
    return allowed, [p for p in blocked if p not in allowed]


def check_spelled(plan: pk.Plan, admitted: frozenset[str], rng: random.Random) -> int:
    """Every prefix of every text over the alphabet, token by token: open exactly if an admitted text goes on from it.

    What is judged is so much shorter than the texts that any admitted continuation is among them."""
    tokens = vocabulary(rng, sorted(admitted))
    constraint = plan.constraint(tokens)
    prefixes = {text[:n] for text in admitted for n in range(len(text) + 1)}
    pieces = [i for i, t in enumerate(tokens.tokens) if t and all(chr(b) in ALPHABET for b in t)]
    n_judged = 0
    todo = [("", constraint.start())]
    while todo:
        text, state = todo.pop()
        assert state.accepting == (text in admitted), text
        row = set(allowed_ids(state, tokens))
        assert row, f"nothing may follow {text!r}"
        for i in pieces:
            longer = text + tokens.tokens[i].decode()
            if len(longer) > JUDGED:
                continue
            n_judged += 1
            assert (i in row) == (longer in prefixes), (text, longer)
            if i in row:
                after = state.copy()
                assert after.accept(i)
                todo.append((longer, after))
    return n_judged


def one(seed: int) -> int:
    rng = random.Random(seed)
    allowed, blocked = drawn(rng)
    admitted = language(allowed, blocked)
    if not admitted:
        with pytest.raises(pk.PolicyError) as caught:
            compiled(allowed, blocked)
        assert [d.code for d in caught.value.diagnostics] == ["PK307"]
        assert caught.value.diagnostics[0].related, "both places are shown"
        return 1
    plan = compiled(allowed, blocked)
    (row,) = [row for row in plan.enforcements if row.name == "laws/admitted#default"]
    assert row.level is pk.Level.DECODE
    assert plan.liveness.kind is pk.LivenessKind.ADMITTED
    for text in rng.sample(TEXTS, 100) + sorted(admitted)[:50]:
        assert (plan.verify(text).decision is pk.Decision.ALLOW) == (text in admitted), text
    return check_spelled(plan, admitted, rng)


@pytest.mark.parametrize("seed", range(12))
def test_the_mask_admits_what_the_rules_admit(seed: int) -> None:
    assert one(seed) > 0


@pytest.mark.slow
def test_the_mask_admits_what_the_rules_admit_at_length() -> None:
    assert sum(one(seed) for seed in range(100, 100 + at_length(60, 24))) > at_length(10_000, 4_000)


def test_a_prefix_that_is_no_part_of_the_output_is_not_read() -> None:
    plan = compiled(["ab"], [])
    tokens = vocabulary(random.Random(1), ["ab"])
    constraint = plan.constraint(tokens)
    outside = constraint.start(b"xyz")
    assert outside.accept(tokens.tokens.index(b"a"))
    inside = constraint.start(b"a", prefix_in_grammar=True)
    assert not inside.accept(tokens.tokens.index(b"a"))
    assert inside.accept(tokens.tokens.index(b"b"))
    assert constraint.start(b"x", prefix_in_grammar=True).outcome is pk.Outcome.DEAD_END


def test_invisible_characters_do_not_make_another_text() -> None:
    plan = compiled(["ab"], [])
    assert plan.verify("AB\u200b").decision is pk.Decision.ALLOW
    tokens = vocabulary(random.Random(2), ["\u200bA\uff22\u200b"])
    state = plan.constraint(tokens).start()
    for i in bytewise(tokens, "A\u200b\uff22\u200b".encode()):
        assert state.accept(i)
    assert state.accepting


def test_what_reads_facts_or_several_views_stays_with_the_verifier() -> None:
    guard = {"id": "g", "match": {"phrases": ["ok"]}, "when": "user.id == 'u1'", "action": {"allow": {}}}
    views = {"id": "v", "match": {"phrases": ["ok"], "views": ["raw", "compat"]}, "action": {"allow": {}}}
    metadata = {"name": "laws/admitted", "version": "1.0.0", "owner": "laws@example.org", "why": "to be tried"}
    head = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "default": "block"}
    for rule in (guard, views):
        document = pk.parse_document(json.dumps({**head, "rules": [rule]}), "admitted.policy.yaml")
        (row,) = pk.compile(PolicySet((document,))).enforcements
        assert row.level is pk.Level.OUTPUT
