"""Entities in a stream: where one only may be, nothing is shown until it is known; and what is found is what the
verifier finds in the whole text."""

from random import Random

import pytest
import stdnum.iban

from policykit.diagnostics import Place
from policykit.entities import checks, entity_type
from policykit.ir.document import Entities, Entity, Mode
from policykit.ir.plan import ResolvedRule
from policykit.streaming import Streaming
from policykit.verify import Subject, Verifier
from tests.length import at_length
from tests.streaming.test_chunking import HELD, check_text
from tests.verify.build import block, mask, phrases, reading, rule

FRAGMENTS = (
    *("4111 1111 1111 1111", "4111111111111111", "4111 1111 1111 1112", "41111111111111117", "3782-822463-10005"),
    *("GB29 NWBK 6016 1331 9268 19", "GB29NWBK60161331926818", "DE89370400440532013000", "078-05-1120", "078051120"),
    *("someone@example.org", "a.b@c", "10.0.0.1", "10.0.0.1.", "1.2.3.4.5", "fe80::1", "::1:", "+49 170 1234567"),
    *("MRSZGB2L", "swift code", "SWIFT", "bic", "routing", "aba", "021000021", "021000020", "cards", "card", "ssn"),
    *(" ", " ", ", ", ".", "-", ":", "\n", "x", "0", "\u200b", "\u00ad", "ａ", "４", "the number is ", "é", "/", "("),
)
TYPES = (
    *("payment_card", "iban", "us_ssn", "email", "ipv4", "ipv6", "phone", "bic", "us_routing", "aws_secret_key"),
    *("private_key", "lei", "vat"),
)
PLACE = Place("t.policy.yaml", 1, 1)


def text_of(random: Random) -> str:
    return "".join(random.choice(FRAGMENTS) for _ in range(random.randint(0, 9)))


def rule_of(random: Random, i: int) -> ResolvedRule:
    def entity(name: str) -> Entity:
        has_words = bool(entity_type(name).words)
        return Entity(name, PLACE, context=random.choice([None, None, True]) if has_words else None)

    views = tuple(random.sample(["raw", "compat"], random.choice([1, 1, 2])))
    matcher = Entities(tuple(map(entity, random.sample(TYPES, random.randint(1, 3)))), reading(views), PLACE)
    mode = random.choice([Mode.ENFORCE] * 4 + [Mode.SHADOW])
    action = random.choice([block(f"no{i}"), mask("[{type}_{n}]"), mask("x", "J")])
    return rule(f"r{i}", matcher, action, mode=mode)


def check_world(seed: int) -> None:
    random = Random(seed)
    rules = [rule_of(random, i) for i in range(random.randint(1, 2))]
    if random.random() < 0.3:
        rules.append(rule("p", phrases("the number", "card", read=reading(("compat",))), mask("[p]")))
    only_blocks = all(hasattr(rule.action, "message") for rule in rules)
    verifier = Verifier(tuple(rules), None, "digest")
    streaming = Streaming(verifier, None, "digest")
    assert not streaming.open(Subject("")).buffers
    for _ in range(4):
        check_text(verifier, streaming, text_of(random), random, random.choice(HELD), only_blocks)


@pytest.mark.parametrize("part", range(4))
def test_all_chunkings_agree(part: int) -> None:
    for seed in range(part * 6, part * 6 + 6):
        check_world(seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(at_length(10, 5)))
def test_all_chunkings_agree_on_hundreds_of_texts(part: int) -> None:
    for seed in range(10_000 + part * 15, 10_015 + part * 15):
        check_world(seed)


def verifier_of(*names: str, context: bool | None = None) -> Verifier:
    leaf = Entities(tuple(Entity(name, PLACE, context=context) for name in names), reading(("compat",)), PLACE)
    return Verifier((rule("r", leaf, block("no")),), None, "")


def test_context_counts_however_far_it_went_by() -> None:
    streaming = Streaming(verifier_of("us_routing"), None, "")
    filler = "one word after another, " * 400
    for between in ("", "\u200b" * 5_000):  # erased on the view: the word is as near as it was
        stream = streaming.open(Subject(""))
        text = f"{filler} routing number: {between}021000021 ok"
        shown = "".join(stream.feed(text[i : i + 7]) for i in range(0, len(text), 7))
        rest, verdict = stream.close()
        assert verdict.rules == ("r",)
        assert shown + rest == f"{filler} routing number: {between}no"
    stream = streaming.open(Subject(""))
    text = f"{filler} routing number: {filler[:60]}021000021 ok"
    assert "".join(stream.feed(text[i : i + 7]) for i in range(0, len(text), 7)) + stream.close()[0] == text


def test_a_candidate_is_held_back_until_it_is_no_entity() -> None:
    stream = Streaming(verifier_of("payment_card"), None, "").open(Subject(""))
    assert [stream.feed(chunk) for chunk in ("no. 4111 1111 ", "1111 1112", " is none")] == [
        "no. ",
        "",
        "4111 1111 1111 1112 is none",
    ]


def test_a_validator_that_fails_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(number: str, check_country: bool) -> bool:
        raise OSError("no register")

    checks.is_valid.cache_clear()
    monkeypatch.setattr(stdnum.iban, "is_valid", broken)
    stream = Streaming(verifier_of("iban"), None, "").open(Subject(""))
    assert stream.feed("so: GB82 WEST 1234 5698 7654 32 and") == "so: "
    assert stream.feed(" more") == ""
    rest, verdict = stream.close()
    checks.is_valid.cache_clear()
    assert (rest, verdict.decision.value, [(e.rule, e.message) for e in verdict.errors]) == (
        "",
        "block",
        [("r", "OSError: no register")],
    )
