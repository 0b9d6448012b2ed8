"""Under a grammar what begins a text of it goes out, the rules on JSON strings included; the verdict is the whole's."""

import json
from dataclasses import replace
from random import Random

import pytest

import policykit as pk
from policykit.grammar import ClosingRules
from policykit.ir.document import Block, Join, Mode, Within
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import Decision, Verdict
from policykit.streaming import Streaming
from policykit.verify import Subject, Verifier
from tests.plan.documents import blocks, of, rule as rule_file
from tests.streaming.worlds import pieces_of
from tests.verify.build import block, mask, phrases, reading, regexes, replacement, rule

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "tags": {"type": "array", "items": {"type": "string"}},
        "n": {"type": "integer"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
JSON = pk.Grammar.from_json_schema(SCHEMA)
WORDS = ("a", "b", "ab", " ", "ba", "é", '"', "\\", "\n", "😀", "a b", "ß", "/")


def json_text(random: Random) -> str:
    def string() -> str:
        return "".join(random.choice(WORDS) for _ in range(random.randint(0, 4)))

    value: dict[str, object] = {"name": string()}
    if random.random() < 0.6:
        value["tags"] = [string() for _ in range(random.randint(0, 3))]
    if random.random() < 0.4:
        value["n"] = random.randint(-5, 5_000)
    if random.random() < 0.2:
        value = dict(reversed(value.items()))
    if random.random() < 0.1:
        value["more"] = string()
    text = json.dumps(value, ensure_ascii=random.random() < 0.5, indent=random.choice([None, None, 1]))
    if random.random() < 0.15:
        text = text[: random.randint(0, len(text))]
    return text + random.choice(["", "", "\n", " x"])


def rule_of(random: Random, i: int) -> ResolvedRule:
    within = random.choice([Within.AUTO, Within.JSON_STRINGS, Within.TEXT])
    join = random.choice([Join.NONE, Join.ARRAY])
    read = replace(reading((random.choice(["raw", "compat"]),)), within=within, join=join)
    words = ["".join(random.choice("ab") for _ in range(random.randint(1, 3))) for _ in range(2)]
    matcher = phrases(*dict.fromkeys([words[0], " ".join(words)]), read=read)
    mode = random.choice([Mode.ENFORCE] * 4 + [Mode.SHADOW])
    if random.random() < 0.5:
        found = matcher if random.random() < 0.6 else regexes(random.choice([r"a\w*b", r"\d\d", "b.?a"]), read=read)
        return rule(f"r{i}", found, block(f"no{i}"), mode=mode)
    return rule(
        f"r{i}", matcher, random.choice([mask("[{type}_{n}]", "I"), replacement("*"), replacement('"')]), mode=mode
    )


def streamed(streaming: Streaming, pieces: list[bytes]) -> tuple[list[str], Verdict]:
    stream = streaming.open(Subject(""))
    shown = [stream.feed(piece) for piece in pieces]
    rest, verdict = stream.close()
    return [*shown, rest], verdict


def check(verifier: Verifier, streaming: Streaming, text: str, random: Random, only_blocks: bool) -> None:
    data = text.encode()
    single, verdict = streamed(streaming, [data[i : i + 1] for i in range(len(data))])
    for pieces in ([data], pieces_of(random, data), pieces_of(random, data)):
        shown, other = streamed(streaming, pieces)
        assert ("".join(shown), other) == ("".join(single), verdict), pieces
    whole = verifier.verify(text)
    assert verdict.decision is whole.decision, (verdict, whole)
    if verdict.decision is not Decision.BLOCK:
        assert "".join(single) == whole.text
        assert verdict.rules == whole.rules
        return
    assert set(verdict.rules) <= {*whole.rules, *(error.rule for error in whole.errors)}
    shown_text = "".join(single).removesuffix(verdict.text)
    if only_blocks:
        assert text.startswith(shown_text)
        assert all(v.start is None or v.start >= len(shown_text) for v in whole.violations), "shown, and found later"


def check_world(seed: int) -> int:
    random = Random(seed)
    rules = tuple(rule_of(random, i) for i in range(random.randint(1, 3)))
    verifier = Verifier(rules, JSON, "digest")
    streaming = Streaming(verifier, JSON, "digest")
    only_blocks = all(isinstance(rule.action, Block) for rule in rules)
    for _ in range(4):
        check(verifier, streaming, json_text(random), random, only_blocks)
    return not streaming.open(Subject("")).buffers


@pytest.mark.parametrize("part", range(4))
def test_all_chunkings_agree_on_json(part: int) -> None:
    assert sum(check_world(seed) for seed in range(part * 15, part * 15 + 15)) > 5


@pytest.mark.slow
def test_all_chunkings_agree_on_more_json() -> None:
    for seed in range(10_000, 10_250):
        check_world(seed)


TEXTS = tuple(
    pk.Grammar.from_regex(regex)
    for regex in (
        "[ab]{0,6}( [ab]{1,6})?",
        '"[ab ]*"( [ab]+)?',
        "[0-9]{1,3}( [ab]+)*",
        r"\s*(\[[ab ]*\]|[ab ]*)",
        "(true|null|-?[0-9]+|[ab ]*)",
    )
)
"""Grammars of texts that may begin as JSON does, which rules then wait for."""
PIECES = ("a", "b", "ab", " ", "  ", '"', "1", "23", "[", "]", "true", "null", "-", "ba")


def check_texts(seed: int) -> int:
    random = Random(seed)
    rules = tuple(rule_of(random, i) for i in range(random.randint(1, 3)))
    grammar = random.choice(TEXTS)
    verifier = Verifier(rules, grammar, "digest")
    streaming = Streaming(verifier, grammar, "digest")
    only_blocks = all(isinstance(rule.action, Block) for rule in rules)
    n_right = 0
    for _ in range(12):
        text = "".join(random.choice(PIECES) for _ in range(random.randint(0, 4)))
        check(verifier, streaming, text, random, only_blocks)
        n_right += verifier.verify(text).decision is not Decision.BLOCK
    return n_right


def test_all_chunkings_agree_on_texts_that_may_begin_as_json_does() -> None:
    assert sum(check_texts(seed) for seed in range(120)) > 100


def plan_of(grammar: GrammarSpec, *phrases_: str) -> pk.Plan:
    return pk.compile(of(blocks(*phrases_)), grammar)


def shown_by(stream: pk.Stream, text: str, size: int = 1) -> list[str]:
    return [stream.feed(text[i : i + size]) for i in range(0, len(text), size)]


def test_json_goes_out_as_it_comes_but_for_what_a_rule_may_want() -> None:
    stream = plan_of(JSON, "ab cd").stream()
    assert stream.buffers == ()
    text = '{ "name": "ab c", \n "n": 5 }'
    assert ["".join(shown_by(stream, part)) for part in (text[:11], text[11:15], text[15:])] == [
        '{ "name": "',
        "",
        'ab c", \n "n": 5 }',
    ]
    assert stream.close()[1].decision is pk.Decision.ALLOW


@pytest.mark.parametrize(
    ("text", "shown", "decision"),
    [
        ('{"n": 5, "name": "x"}', '{"n": 5, "name": "x"}', "allow"),  # another order than the mask's: at the end
        ('{"name": "x", "more": 1}', '{"name": "x", "', "block"),
        ('{"name": "x", "name": "y"}', '{"name": "x", "n', "block"),  # it might have been "n"
        ('{"name": "x", "n": 1e400}', '{"name": "x", "n": 1', "block"),
        ('{"name": "x", "n": 1 2}', '{"name": "x", "n": 1 ', "block"),
        ('{"name": "x"', '{"name": "x"', "block"),
        ('{"name": "x"} and', '{"name": "x"} ', "block"),
    ],
)
def test_what_leaves_the_grammar_is_not_shown(text: str, shown: str, decision: str) -> None:
    for size in (1, 3, len(text)):
        stream = plan_of(JSON, "ab cd").stream()
        out = "".join(shown_by(stream, text, size))
        rest, verdict = stream.close()
        assert (out + rest, verdict.decision) == (shown, decision)
        assert plan_of(JSON, "ab cd").verify(text).decision == decision


def test_open_objects_stream_until_a_name_comes_twice() -> None:
    plan = plan_of(pk.Grammar.from_json_schema({"type": "object"}), "ab cd")
    stream = plan.stream()
    assert stream.buffers == ()
    assert (
        "".join(shown_by(stream, '{"a": {"b": 1}, "b": [1, {"a": 2}], "a": 3}'))
        == '{"a": {"b": 1}, "b": [1, {"a": 2}], "'
    )
    assert stream.close()[1].rules == ("grammar",)


def test_what_only_the_whole_value_shows_is_named() -> None:
    schema = {
        "type": "object",
        "properties": {"t": {"type": "array", "uniqueItems": True}},
        "additionalProperties": False,
    }
    stream = plan_of(pk.Grammar.from_json_schema(schema), "ab cd").stream()
    assert [wait.name for wait in stream.buffers] == ["grammar"]
    assert "uniqueItems" in stream.buffers[0].why
    assert "".join(shown_by(stream, '{"t": [1, 2]}')) == ""
    assert stream.close()[0] == '{"t": [1, 2]}'


UNIQUE = pk.Grammar.from_json_schema({
    "type": "object",
    "properties": {"note": {"type": "string"}, "t": {"type": "array", "uniqueItems": True}},
})  # fmt: skip


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_value_that_closes_wrong_ends_what_the_grammar_alone_holds_back(size: int) -> None:
    text = '{"note":"so ab cd","t":[1,[2],1],"more":[]}'
    stream = plan_of(UNIQUE, "ab cd").stream()
    shown, at = "", 0
    while stream.verdict is None:
        shown += stream.feed(text[at : at + size])
        at += size
    assert at - size < text.index('],"more') + 1 <= at
    rest, verdict = stream.close()
    assert (shown + rest, verdict.decision, verdict.errors) == ("no", "block", ())
    assert verdict.rules == ("grammar", "no-guarantees")
    assert verdict.violations[0].matched == "/t: uniqueItems: [1,[2],1] has non-unique elements"


def test_a_value_that_cannot_be_judged_where_it_closes_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the judge is gone")

    monkeypatch.setattr(ClosingRules, "fault", fails)
    stream = plan_of(UNIQUE, "ab cd").stream()
    assert stream.feed('{"t":[1],"note":"') == ""
    verdict = stream.close()[1]
    assert verdict.decision == "block"
    assert [(error.rule, error.message) for error in verdict.errors] == [("stream", "RuntimeError: the judge is gone")]


def test_a_rule_that_needs_the_whole_text_gets_it_all_the_same() -> None:
    escalates = rule_file("told", {"phrases": ["ab cd"]}, {"escalate": {"queue": "q"}})
    stream = pk.compile(of(escalates), UNIQUE).stream()
    assert [wait.name for wait in stream.buffers] == ["grammar", "finance/x#told"]
    stream.feed('{"t":[1,1],')
    assert stream.verdict is None
    stream.feed('"note":"ab cd"}')
    assert stream.close()[1].escalations


@pytest.mark.parametrize(
    ("grammar", "text", "shown", "decision"),
    [
        (pk.Grammar.from_regex("[a-z]+(, [a-z]+)*!"), "one, two!", "one, two!", "allow"),
        (pk.Grammar.from_regex("[a-z]+(, [a-z]+)*!"), "one, Two!", "one, ", "block"),
        (pk.Grammar.from_regex("[a-z]+(, [a-z]+)*!"), "one, two", "one, two", "block"),
        (pk.Grammar.from_regex("[a-z ]+"), "so ab cd it is", "so no", "block"),
        (pk.Grammar.from_choices(["yes", "no, thanks"]), "no, thank you", "no, thank", "block"),
    ],
)
def test_texts_under_other_grammars_go_out_too(grammar: object, text: str, shown: str, decision: str) -> None:
    plan = plan_of(grammar, "ab cd")
    for size in (1, 4, len(text)):
        stream = plan.stream()
        assert stream.buffers == ()
        out = "".join(shown_by(stream, text, size))
        rest, verdict = stream.close()
        assert (out + rest, verdict.decision) == (shown, decision)
    assert plan.verify(text).decision == decision
