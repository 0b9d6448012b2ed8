"""However a text is cut, the same is released and the same is found, and it is what the verifier says of the whole."""

from dataclasses import replace
from random import Random

import pytest

from policykit.ir.document import Block
from policykit.ir.verdict import Decision, Verdict
from policykit.streaming import Streaming
from policykit.verify import Subject, Verifier
from tests.length import at_length
from tests.streaming.worlds import pieces_of, rule_of, text_of

HELD = (1 << 20, 1 << 20, 8)


def streamed(streaming: Streaming, pieces: list[bytes], held: int) -> tuple[list[str], Verdict]:
    stream = streaming.open(Subject(""), max_held_bytes=held)
    shown = [stream.feed(piece) for piece in pieces]
    rest, verdict = stream.close()
    return [*shown, rest], verdict


def check_text(
    verifier: Verifier, streaming: Streaming, text: str, random: Random, held: int, only_blocks: bool
) -> None:
    data = text.encode()
    single, verdict = streamed(streaming, [data[i : i + 1] for i in range(len(data))], held)
    for pieces in ([data], pieces_of(random, data), pieces_of(random, data)):
        shown, other = streamed(streaming, pieces, held)
        assert ("".join(shown), other) == ("".join(single), verdict), pieces
    n = random.randint(0, len(data))
    first = streaming.open(Subject(""), max_held_bytes=held).feed(data[:n])
    assert first == "".join(single[:n]), "what is released is a function of the bytes"
    whole = verifier.verify(text)
    if verdict.errors:
        assert held < len(data)
        return
    assert verdict.decision is whole.decision
    if verdict.decision is not Decision.BLOCK:
        unseen = {entry.rule for entry in verdict.not_applicable}
        assert "".join(single) == whole.text
        seen = replace(whole, text="", shadow=tuple(v for v in whole.shadow if v.rule not in unseen))
        assert replace(verdict, not_applicable=()) == replace(seen, not_applicable=())
        return
    assert set(verdict.rules) <= set(whole.rules)
    shown_text = "".join(single).removesuffix(verdict.text)
    if only_blocks:
        assert text.startswith(shown_text)
        assert all(v.start is None or v.start >= len(shown_text) for v in whole.violations), "shown, and found later"


def check_world(seed: int) -> None:
    random = Random(seed)
    rules = tuple(rule_of(random, i) for i in range(random.randint(1, 3)))
    only_blocks = all(isinstance(rule.action, Block) for rule in rules)
    verifier = Verifier(rules, None, "digest")
    streaming = Streaming(verifier, None, "digest")
    for _ in range(4):
        check_text(verifier, streaming, text_of(random), random, random.choice(HELD), only_blocks)


@pytest.mark.parametrize("part", range(4))
def test_all_chunkings_agree(part: int) -> None:
    for seed in range(part * 20, part * 20 + 20):
        check_world(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(at_length(25, 10)))
def test_all_chunkings_agree_on_ten_thousand_texts(part: int) -> None:
    """Ten thousand where the tests run in full."""
    for seed in range(10_000 + part * 100, 10_100 + part * 100):
        check_world(seed)


def test_worlds_are_not_all_held_to_the_end() -> None:
    worlds = (Verifier(tuple(rule_of(Random(seed), i) for i in range(2)), None, "") for seed in range(40))
    assert sum(not Streaming(verifier, None, "").open(Subject("")).buffers for verifier in worlds) > 20
