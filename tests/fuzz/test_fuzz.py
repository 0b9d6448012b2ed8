"""Nothing that a person or a model writes may crash or hang: documents, conditions, expressions and texts, spoiled.

An outcome is a value or a `PolicyError`; everything else fails, with the number that makes the input again. At length
(`POLICYKIT_TESTS=full pytest -m slow`) more than 100,000 inputs are tried.
"""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import policykit as pk
from policykit.automata import parse_regex
from policykit.conditions import parse_condition
from policykit.diagnostics import Place
from policykit.ir.document import PolicySet
from tests.fuzz.mutations import mutated
from tests.length import at_length

DEADLINE_S = 20
"""Far above what anything takes here, also on a busy machine: what reaches it hangs."""
POLICIES = Path(__file__).parents[2] / "policies"

DOCUMENTS = (
    """apiVersion: policykit/v1
kind: Policy
metadata: {name: fuzz/one, version: 1.0.0, owner: a@example.org, why: to be spoiled}
rules:
  - id: words
    match: {phrases: [guaranteed returns, risk-free], views: [compat, unmarked], before: {regex: 'no ', within: 9}}
    action: {block: {message: no, onMatch: stop}}
  - id: numbers
    match: {regex: ['\\b\\d{4}\\b', '[a-f]+x']}
    action: {transform: {mask: {with: "[{type}_{n}]"}}}
tests: [{name: t, given: {output: risk-free}, expect: {decision: block, rules: [words]}}]
""",
    """apiVersion: policykit/v1
kind: Policy
metadata: {name: fuzz/two, version: 1.0.0, owner: a@example.org, why: to be spoiled}
default: block
scope: {profiles: [agent], locales: [en-*]}
effective: {from: 2020-01-01}
facts: {inline: {type: object, properties: {user: {type: object, properties: {role: {type: string}}}}}}
rules:
  - {id: ok, match: {phrases: [yes]}, action: {allow: {}}}
  - id: two
    target: tool_call
    tool: refund_*
    when: args.amount > 5 && user.role in ["a", "b"]
    require: {approvals: {role: m, count: 2, notRequester: true}}
    except: [{id: EX-1, when: user.role == "t", approvedBy: b, reason: c, expires: 2999-01-01}]
    action: {escalate: {queue: q, ttl: 15m}}
""",
    """apiVersion: policykit/v1
kind: Policy
metadata: {name: fuzz/three, version: 1.0.0, owner: a@example.org, why: to be spoiled}
rules:
  - id: both
    match: {all: [{phrases: [alpha]}, {not: {any: [{regex: 'be?ta'}, {phrases: [gamma delta]}]}}]}
    action: {block: {}}
  - {id: end, match: {regex: 'x$'}, action: {transform: {append: Bye.}}}
  - {id: json, target: json, when: 'json.a.b > 1', action: {block: {code: A-1}}}
""",
)
CONDITIONS = (
    'user.role == "a" && args.amount > limits.refund',
    "json.items.all(i, i.price * 2.0 <= 10.5 || !(i.tag in ['a', 'b']))",
    "size(args.names.filter(n, n.startsWith('x'))) >= 2 ? true : has(user.id)",
    r"'\u00e9' + \"\\n\" != string(1 - -2 % 3) && [1, 2][0] == {'a': 1}['a']",
)
EXPRESSIONS = (
    r"(?i)\b(?:risk[\s-]*free|100%\s+safe)\b",
    r"^[^\p{L}\d]{2,30}(a|b)*?c+\z",
    r"(?s:.)\x{1F600}[[:alpha:]]\Q.*\E",
)
TEXTS = (
    "Our fund has **guaranteed** returns; it is risk-free, 1234 and abcx.",
    '{"a": {"b": 2, "c": "guaranteed returns"}, "d": ["risk", "free", null, 1e9]}',
    "ｇｕａｒａｎｔｅｅｄ\u00a0ｒｅｔｕｒｎｓ r\u0301isk\u200b-free ﬁ ß İ 中文 😀",
    "alpha be gamma delta x",
    "yes",
)


@contextmanager
def deadline(what: str) -> Iterator[None]:
    """Raises where the body takes too long: Python's own way out of a hang."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(what)

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(DEADLINE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(kind: str, number: int, attempt: Callable[[random.Random], object]) -> None:
    """One input; whatever is no refusal fails with its name."""
    rng = random.Random(f"{kind} {number}")
    refused: pk.PolicyError | None = None
    try:
        with deadline(f"{kind} {number}"):
            attempt(rng)
    except pk.PolicyError as error:
        refused = error
    except Exception as error:
        raise AssertionError(f"{kind} {number}: {type(error).__name__}: {error}") from error
    if refused is not None:
        assert refused.diagnostics, f"{kind} {number}: refused without a reason"
        assert all(d.code and d.message for d in refused.diagnostics)
        assert str(refused)


def document(rng: random.Random) -> None:
    loaded = pk.parse_document(mutated(rng, DOCUMENTS), "fuzz.policy.yaml")
    plan = pk.compile(PolicySet((loaded,)))
    for text in TEXTS[:2]:
        plan.verify(text)


def condition(rng: random.Random) -> None:
    parse_condition(mutated(rng, CONDITIONS, most=3), Place("fuzz"), None)


def expression(rng: random.Random) -> None:
    parse_regex(mutated(rng, EXPRESSIONS, most=3), Place("fuzz"))


def text_of(plan: pk.Plan) -> Callable[[random.Random], object]:
    def attempt(rng: random.Random) -> None:
        verdict = plan.verify(mutated(rng, TEXTS))
        if verdict.errors:
            assert verdict.decision is pk.Decision.BLOCK, "an error blocks"

    return attempt


def argument(plan: pk.Plan) -> Callable[[random.Random], object]:
    """A tool call's arguments are a model's writing too."""
    seeds = ('{"amount": 7, "to": "x"}', '{"amount": [1, {"a": null}], "amount": 2}', "[1e999, -0.0, true]")

    def attempt(rng: random.Random) -> None:
        subject = pk.Subject(mutated(rng, seeds), pk.Target.TOOL_CALL, "refund_all", {"user": {"role": "a", "id": "u"}})
        verdict = plan.verify(subject)
        assert verdict.decision in (pk.Decision.BLOCK, pk.Decision.ESCALATE, pk.Decision.ALLOW)

    return attempt


def plan_of(index: int) -> pk.Plan:
    return pk.compile(PolicySet((pk.parse_document(DOCUMENTS[index], "fuzz.policy.yaml"),)))


def everything(n: int) -> int:
    """``n`` units of work: documents cost most, so there are fewest of them."""
    plans = [plan_of(0), plan_of(2), pk.compile(pk.load_policies(POLICIES / "finance"))]
    kinds: list[tuple[str, int, Callable[[random.Random], object]]] = [
        ("document", n, document),
        ("condition", 2 * n, condition),
        ("expression", 2 * n, expression),
        *((f"text {i}", 4 * n, text_of(plan)) for i, plan in enumerate(plans[:2])),
        ("shipped text", n, text_of(plans[2])),
        ("arguments", 4 * n, argument(plan_of(1))),
    ]
    for kind, count, attempt in kinds:
        for number in range(count):
            tried(kind, number, attempt)
    return sum(count for _, count, _ in kinds)


def test_nothing_crashes_or_hangs() -> None:
    assert everything(60) > 1_000


@pytest.mark.slow
def test_nothing_crashes_or_hangs_at_length() -> None:
    assert everything(at_length(6_000, 2_000)) > at_length(100_000, 30_000)


def test_a_crash_would_be_noticed() -> None:
    def crash(_rng: random.Random) -> None:
        raise RecursionError("too deep")

    with pytest.raises(AssertionError, match="planted 7: RecursionError"):
        tried("planted", 7, crash)
