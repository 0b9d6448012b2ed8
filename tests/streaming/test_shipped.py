"""Tests of the shipped policies as streams: wherever a text is cut, the same goes out and is found as in the whole."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from functools import cache
from pathlib import Path
from random import Random

import pytest

import policykit as pk
from policykit.ir.document import Block, Document, PolicySet, Target, TestCase
from policykit.ir.plan import CompileContext
from policykit.ir.verdict import Decision
from policykit.streaming import Streaming
from policykit.testing.contexts import context_of
from policykit.verify import Subject, Verifier
from tests.streaming.worlds import pieces_of

POLICIES = Path(__file__).parents[2] / "policies"


@cache
def documents() -> tuple[Document, ...]:
    return pk.load_policies(str(POLICIES)).documents


def outputs() -> Iterator[tuple[Document, TestCase]]:
    for document in documents():
        for test in document.tests:
            if test.given.target is Target.OUTPUT and not test.given.decisions:
                yield document, test


@cache
def judges_of(name: str, context: CompileContext) -> tuple[Verifier, Streaming]:
    alone = tuple(document for document in documents() if document.name == name)
    asked = {field: getattr(context, field) for field in ("profile", "tenant", "locale", "jurisdiction", "at")}
    plan = pk.compile(PolicySet(alone), **asked)
    return plan.verifier, Streaming(plan.verifier, None, plan.digest)


def check_case(document: Document, test: TestCase, cuts: int | None) -> None:
    """``cuts`` of the splits in two (None: every one), and some at random."""
    context = context_of(document, test.given)
    verifier, streaming = judges_of(document.name, context)
    noon = datetime.combine(context.at, time(12), UTC)
    subject = Subject(test.given.text, facts=json.loads(test.given.facts), at=noon)
    whole = verifier.verify(subject)
    data = test.given.text.encode()
    random = Random(test.name)
    places = range(len(data) + 1) if cuts is None else random.sample(range(len(data) + 1), min(cuts, len(data) + 1))
    chunkings = [[data[:at], data[at:]] for at in places]
    chunkings += [[data[i : i + 1] for i in range(len(data))], [data], pieces_of(random, data), pieces_of(random, data)]
    shown: set[str] = set()
    for chunks in chunkings:
        stream = streaming.open(replace(subject, text=""))
        out = "".join(map(stream.feed, chunks))
        rest, verdict = stream.close()
        shown.add(out + rest)
        assert (verdict.decision, bool(verdict.errors)) == (whole.decision, bool(whole.errors)), chunks
        if whole.decision in (Decision.BLOCK, Decision.ESCALATE):
            assert set(verdict.rules) <= {*whole.rules, *(error.rule for error in whole.errors)}
        else:
            assert (out + rest, verdict.rules) == (whole.text, whole.rules), chunks
    assert len(shown) == 1, "what goes out is a function of the text"
    released = shown.pop().removesuffix(verdict.text)
    if whole.decision is Decision.BLOCK and all(isinstance(c.rule.action, Block) for c in verifier.checks):
        assert test.given.text.startswith(released)
        assert all(v.start is None or v.start >= len(released) for v in whole.violations), "shown, and found later"


@pytest.mark.parametrize("part", range(2))
def test_a_sample_of_cuts_of_shipped_tests(part: int) -> None:
    cases = Random(part).sample(list(outputs()), 20)
    for document, test in cases:
        check_case(document, test, cuts=2)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_every_cut_of_every_shipped_test(part: int) -> None:
    cases = list(outputs())
    assert len(cases) > 100
    for document, test in cases[part::4]:
        check_case(document, test, cuts=None)
