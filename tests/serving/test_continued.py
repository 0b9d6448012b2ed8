"""A text behind a prompt: what is forbidden is so where they meet, under a grammar too, whole and streamed alike."""

import re

import pytest
from hypothesis import example, given, strategies as st

import policykit as pk
from policykit.ir.document import PolicySet
from policykit.ir.verdict import Decision
from policykit.serving.continued import Continued, prefix_of, verify

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: p, version: 1.0.0, owner: a@example.org, why: a test}
rules:
  - id: never
    severity: high
    cost: 1.0
    match: {phrases: [ab ba]}
    action: {block: {message: No.}}
  - id: masked
    severity: low
    cost: 0.5
    match: {phrases: [aa bb]}
    action: {transform: {replace: {with: "-"}}}
"""
SIDE = pk.compile(PolicySet((pk.parse_document(POLICY, "p.policy.yaml"),)))
GRAMMARS = {
    "none": SIDE,
    "words": SIDE.with_grammar(pk.Grammar.from_regex("[ab]{0,6}( [ab]{1,6})?")),
}


def judged(plan: pk.Plan, prefix: str, pieces: list[str]) -> tuple[str, Decision]:
    stream = Continued(plan, SIDE, prefix, {})
    shown = ""
    for piece in pieces:
        shown += stream.feed(piece)
        if stream.verdict is not None:
            return shown, stream.verdict.decision
    rest, verdict = stream.close()
    return shown + rest, verdict.decision


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_match_across_the_border_blocks(name: str) -> None:
    plan = GRAMMARS[name]
    for whole, decision in (("ab ba", Decision.BLOCK), ("aa bb", Decision.BLOCK), ("ba ab", Decision.ALLOW)):
        for cut in range(1, len(whole)):
            prefix, text = whole[:cut], whole[cut:].lstrip() if name == "words" else whole[cut:]
            if len(prefix + text) < len(whole):
                prefix += " "  # the grammar has no text that begins with a space
            assert verify(plan, SIDE, prefix, text, {}).decision is decision, (prefix, text)
            assert judged(plan, prefix, list(text)) == (
                (text, decision) if decision is Decision.ALLOW else ("", decision)
            )


def test_what_is_no_text_of_the_grammar_is_so_behind_a_prompt_too() -> None:
    assert verify(GRAMMARS["words"], SIDE, "a", "c", {}).decision is Decision.BLOCK
    assert verify(GRAMMARS["words"], SIDE, "c ", "ab", {}).decision is Decision.ALLOW, "a prompt is not of the grammar"


@given(
    st.sampled_from(sorted(GRAMMARS)),
    st.text("ab ", max_size=8),
    st.lists(st.text("ab ", min_size=1, max_size=4), max_size=5),
)
def test_streamed_and_whole_agree(name: str, prompt: str, pieces: list[str]) -> None:
    plan, text = GRAMMARS[name], "".join(pieces)
    prefix = prefix_of(SIDE, prompt, {})
    whole = verify(plan, SIDE, prefix, text, {})
    shown, decision = judged(plan, prefix, pieces)
    assert decision is whole.decision
    if decision in (Decision.ALLOW, Decision.TRANSFORM):
        assert shown == whole.text


CHAINED = pk.compile(PolicySet((pk.parse_document(POLICY.replace("[ab ba]", "[ab ba, ba ab]"), "p.policy.yaml"),)))


@given(st.lists(st.sampled_from(["ab", "ba", "a", " "]), max_size=7), st.lists(st.sampled_from(["ab", "ba", " "])))
@example(["ab", " ", "ba"], [" ", "ab"])
@example(["ab", " ", "ba", " ", "ab", " ", "b"], ["a"])
def test_a_match_that_begins_inside_another_in_the_prompt_is_found(before: list[str], after: list[str]) -> None:
    """The oracle is every occurrence, overlapping ones too, by `re`."""
    prompt, text = "".join(before), "".join(after)
    whole = prompt + text
    found = [m for phrase in ("ab +ba", "ba +ab", "aa +bb") for m in re.finditer(rf"(?=(\b{phrase}\b))", whole)]
    crossing = [m.span(1) for m in found if m.start(1) < len(prompt) < m.end(1)]
    prefix = prefix_of(CHAINED, prompt, {})
    assert not crossing or verify(CHAINED, CHAINED, prefix, text, {}).decision is Decision.BLOCK
