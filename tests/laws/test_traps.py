"""Grammars and policies that are each harmless and trap together: no dead end, or one announced and reported."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import policykit as pk
from policykit.ir.grammar import GrammarSpec
from tests.laws import oracle
from tests.laws.languages import GRAMMAR_PLACE, Rules, phrases, rule
from tests.laws.worlds import FILE, Walker, allowed, bytewise, policies, vocabulary
from tests.length import at_length

BANNED = "guaranteed returns"
POLICY: Rules = [phrases(BANNED)]
TEXTS = [BANNED, "guaranteed", " returns", "Guaranteed  Returns", "fine", '{"note":"', '"}', "no guaranteed", "rate"]
CHARACTERS = "guaranteed returns fine: ;.-"


def obj(properties: dict[str, Any], *required: str) -> GrammarSpec:
    fields = {"type": "object", "additionalProperties": False, "properties": properties, "required": list(required)}
    return pk.Grammar.from_json_schema(fields, GRAMMAR_PLACE)


def lark(source: str) -> GrammarSpec:
    return pk.Grammar.from_lark(source, GRAMMAR_PLACE)


def text_of_length(most: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": most}


@dataclass(frozen=True)
class Trap:
    """``is_proved`` is what the plan must claim (None: either). ``rules`` default to the one phrase."""

    name: str
    make: Callable[[], GrammarSpec]
    is_proved: bool | None = None
    rules: Rules | None = None


TRAPS = [
    Trap("an enum that contains the phrase", lambda: obj({"note": {"enum": ["ok", BANNED, "fine"]}}, "note"), True),
    Trap(
        "an optional key that is the phrase", lambda: obj({BANNED: {"type": "string"}, "b": {"type": "string"}}), True
    ),
    Trap(
        "a pattern with one bad branch",
        lambda: obj({"note": {"type": "string", "pattern": "^guaranteed (returns|rates) now$"}}, "note"),
    ),
    Trap(
        "a pattern whose bad branch is optional",
        lambda: obj({"note": {"type": "string", "pattern": "^(no )?guaranteed (returns )?[a-z]{1,4}$"}}, "note"),
    ),
    Trap(
        "two patterns on one string that leave only the phrase",
        lambda: obj(
            {
                "note": {
                    "type": "string",
                    "allOf": [{"pattern": "^guaranteed r(eturns|ates)x?$"}, {"pattern": "^[^x]*$"}],
                }
            },
            "note",
        ),
        False,
    ),
    Trap("a length that ends at a pending boundary", lambda: obj({"note": text_of_length(18)}, "note")),
    Trap("a length of one letter", lambda: obj({"note": text_of_length(1)}, "note"), None, [phrases("a", "b c")]),
    Trap(
        "a language whose sentences complete the phrase across terminals",
        lambda: lark('start: verb " " noun "."\nverb: "guaranteed" | "stated"\nnoun: "returns" | "costs" (" " noun)?'),
        True,
    ),
    Trap(
        "a word and two ways on",
        lambda: lark('start: WORD (":" " guaranteed returns" | ";" " fine")\nWORD: /[a-z]{1,12}/'),
        True,
    ),
    Trap(
        "recursive nesting",
        lambda: lark('start: node\nnode: "(" node* ")" | "guaranteed" rest | "x"\nrest: " returns" | " " node'),
    ),
    Trap(
        "deep branches of which one is good",
        lambda: lark(
            'start: "a" (b | c)\nb: "b" (d | d d)\nd: "d" ("e" | "f") " guaranteed returns"\nc: "c" "g" (" fine" | d)'
        ),
        True,
    ),
    Trap(
        "choices of which one is forbidden",
        lambda: pk.Grammar.from_choices(
            ["we offer guaranteed returns", "we offer guaranteed", "we offer"], GRAMMAR_PLACE
        ),
        True,
    ),
    Trap(
        "an expression that often ends in the phrase",
        lambda: pk.Grammar.from_regex(
            "(no|some|guaranteed)+ (returns|rates|-returns)( guaranteed| returns)*", GRAMMAR_PLACE
        ),
        True,
    ),
    Trap(
        "a list of words that can spell the phrase",
        lambda: lark('start: WORD (" " WORD)*\nWORD: "guaranteed" | "returns" | "fine"'),
    ),
    Trap(
        "an array of which two elements spell the phrase",
        lambda: pk.Grammar.from_json_schema(
            {"type": "array", "items": {"enum": ["guaranteed", "returns", "fine"]}, "minItems": 2, "maxItems": 4},
            GRAMMAR_PLACE,
        ),
        None,
        [phrases(BANNED, join="array")],
    ),
    Trap(
        "an array that two elements always spell the phrase in",
        lambda: pk.Grammar.from_json_schema(
            {
                "type": "array",
                "items": {"enum": ["guaranteed returns", "returns", "guaranteed"]},
                "minItems": 1,
                "maxItems": 2,
            },
            GRAMMAR_PLACE,
        ),
        None,
        [phrases("returns guaranteed", BANNED, join="array")],
    ),
    Trap(
        "a word that must come where the grammar has little room",
        lambda: pk.Grammar.from_regex("(a|b){1,3}( ok)?c*", GRAMMAR_PLACE),
        False,
        [rule({"not": {"phrases": ["ok"]}})],
    ),
    Trap(
        "a tag that the rule reads on the whole text",
        lambda: obj({"guaranteed": {"type": "string", "pattern": "^returns$"}, "fine": {"type": "boolean"}}),
        False,
        [rule({"regex": ["guaranteed\\W{1,4}returns"], "within": "text"})],
    ),
]


def run(trap: Trap, n: int) -> Counter[str]:
    """``n`` random texts: ended, or stopped where nothing legal follows."""
    rng = random.Random(trap.name)
    rules = trap.rules or POLICY
    plan = pk.compile(policies(rules), trap.make())
    bounded = plan.liveness.kind is pk.LivenessKind.BOUNDED
    assert trap.is_proved is None or trap.is_proved != bounded, plan.liveness
    assert not bounded or plan.liveness.horizon_bytes, "a bounded plan says how far it looks"
    words = vocabulary(rng, TEXTS, 60)
    constraint = plan.constraint(words)
    is_json = plan.spec.grammar is not None and plan.spec.grammar.is_json
    counted: Counter[str] = Counter()
    for _ in range(n):
        state = constraint.start()
        walk = Walker(words, rng, CHARACTERS, long=rng.randint(4, 30)).walk(state)
        counted[walk.outcome.value] += 1
        match walk.outcome:
            case pk.Outcome.FINISHED:
                text = walk.data.decode("utf-8")
                assert not oracle.breaks_a_rule(rules, text, is_json), text
                assert plan.verify(text).decision == "allow", text
            case pk.Outcome.DEAD_END:
                assert bounded, ("a dead end under proved liveness", walk.data, plan.liveness)
                assert set(allowed(state, words)) == set(words.eos_ids)
                assert not state.accepting
                assert state.accept(words.eos_ids[0])
                assert (state.outcome, state.finished) == (pk.Outcome.DEAD_END, True)
                state.rollback(1)
                assert (state.outcome, state.finished) == (pk.Outcome.DEAD_END, False)
            case pk.Outcome.RUNNING:
                assert len(walk.ids) == 150
    return counted


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_traps(trap: Trap) -> None:
    counted = run(trap, 40)
    assert counted["finished"] >= 20, counted


@pytest.mark.slow
@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_traps_at_length(trap: Trap) -> None:
    n = at_length(1_000, 400)
    counted = run(trap, n)
    assert counted["finished"] >= n / 2, counted


UNSATISFIABLE = [
    ("a required key that is the phrase", lambda: obj({BANNED: {"type": "string"}}, BANNED), "PK306"),
    ("a const that is the phrase", lambda: obj({"note": {"const": BANNED}}, "note"), "PK306"),
    ("an enum of nothing else", lambda: obj({"note": {"enum": [BANNED, "Guaranteed-Returns"]}}, "note"), "PK306"),
    (
        "a pattern that forces the phrase",
        lambda: obj({"note": {"type": "string", "pattern": "^(very )?guaranteed returns$"}}, "note"),
        "PK307",
    ),
    (
        "choices that are all forbidden",
        lambda: pk.Grammar.from_choices([BANNED, f"no {BANNED}"], GRAMMAR_PLACE),
        "PK307",
    ),
    (
        "an expression that forces the phrase",
        lambda: pk.Grammar.from_regex("[a-z]+: guaranteed +returns", GRAMMAR_PLACE),
        "PK307",
    ),
    (
        "sentences that force the phrase",
        lambda: lark('start: a b\na: "guaranteed" | "x " a\nb: " " "returns"'),
        "PK307",
    ),
]


@pytest.mark.parametrize(("name", "make", "code"), UNSATISFIABLE, ids=[name for name, _, _ in UNSATISFIABLE])
def test_a_plan_without_a_text_is_refused_with_both_places(
    name: str, make: Callable[[], GrammarSpec], code: str
) -> None:
    with pytest.raises(pk.PolicyError) as raised:
        pk.compile(policies(POLICY), make())
    named = [
        {diagnostic.place.file, *(place.file for place, _ in diagnostic.related)}
        for diagnostic in raised.value.diagnostics
        if diagnostic.code == code and diagnostic.place
    ]
    assert {GRAMMAR_PLACE.file, FILE} in named, name


def test_two_rules_that_leave_no_text_are_refused_with_both_places() -> None:
    rules = [phrases("ok", "ok now"), rule({"not": {"phrases": ["ok"]}}, "must-say-ok")]
    with pytest.raises(pk.PolicyError) as raised:
        pk.compile(policies(rules), None)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "PK305"
    assert diagnostic.place is not None
    assert diagnostic.related


@pytest.mark.parametrize("source", ['start: WORD (":" " guaranteed returns" | ";" " fine")\nWORD: /[a-z]{1,12}/'])
def test_the_trap_is_closed_at_its_mouth(source: str) -> None:
    """After the word only the good branch is open, although the other is free of the phrase for many bytes yet."""
    plan = pk.compile(policies(POLICY), lark(source))
    words = vocabulary(random.Random(1), TEXTS)
    state = plan.constraint(words).start()
    for i in bytewise(words, b"rates"):
        assert state.accept(i)
    here = {words.tokens[i] for i in allowed(state, words)}
    assert b";" in here
    assert not any(token.startswith(b":") for token in here)


def test_a_length_does_not_cut_off_before_a_boundary() -> None:
    """Eighteen characters hold the phrase and nothing after it: its last letter is closed where it would be the last,
    although a longer word would still be legal elsewhere."""
    for most, expected in ((18, False), (19, True)):
        plan = pk.compile(policies(POLICY), obj({"note": text_of_length(most)}, "note"))
        words = vocabulary(random.Random(1), TEXTS)
        state = plan.constraint(words).start()
        for i in bytewise(words, b'{"note":"guaranteed return'):
            assert state.accept(i)
        (last,) = bytewise(words, b"s")
        assert (last in allowed(state, words)) == state.copy().accept(last) == expected
