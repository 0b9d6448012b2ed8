"""Text that a schema forces is written in every tokenisation; the oracle is the list of all the schema's texts."""

import json

import numpy as np
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import Place
from policykit.grammar import CompiledGrammar, TokenTable, engine, json_schema
from policykit.grammar.values import Json

NAMES: dict[str, Json] = {
    "type": "object",
    "properties": {"ab": {"enum": ["a", "abcab"]}, "abcab": {"const": "bcbc"}, "c": {"enum": [1, 12, 123]}},
    "required": ["ab", "abcab"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Json] = {
    "anyOf": [NAMES, {"type": "array", "items": {"const": "abab"}, "minItems": 2, "maxItems": 3}]
}
TEXTS = [
    json.dumps(value, separators=(",", ":")).encode()
    for value in (
        *({"ab": ab, "abcab": "bcbc"} for ab in ("a", "abcab")),
        *({"ab": ab, "abcab": "bcbc", "c": c} for ab in ("a", "abcab") for c in (1, 12, 123)),
        *(["abab"] * n for n in (2, 3)),
    )
]
SPEC = json_schema(SCHEMA, Place("case"))
END = b"<end>"


@st.composite
def vocabularies(draw: st.DrawFn) -> TokenTable:
    """The bytes that are needed, or all of them, and pieces of the texts of any length, some of them twice; pieces
    that go wrong at their end, too."""
    every = draw(st.booleans())
    single = [bytes([i]) for i in range(256)] if every else [bytes([i]) for i in sorted(set(b"".join(TEXTS)))]
    pieces: list[bytes] = []
    for _ in range(draw(st.integers(0, 12))):
        text = draw(st.sampled_from(TEXTS))
        start = draw(st.integers(0, len(text) - 2))
        piece = text[start : start + draw(st.integers(2, 24))]
        pieces.append(piece + draw(st.sampled_from([b"", b"", b"a", b'"', b"}"])))
    tokens = [*single, *pieces, b"", END]
    return TokenTable(tuple(tokens), frozenset({len(tokens) - 1}), (len(tokens) - 1,))


@settings(max_examples=150, deadline=None)
@given(vocabularies(), st.lists(st.integers(0, 1000), max_size=30))
def test_the_mask_holds_every_tokenisation_of_every_text(table: TokenTable, picks: list[int]) -> None:
    assert engine.forces(SPEC.lowered)
    state = CompiledGrammar(SPEC, table).start()
    written = b""
    row = np.zeros(table.row_words, np.int32)
    for pick in picks:
        state.fill(row)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")
        expected = [
            i
            for i, token in enumerate(table.tokens[:-1])
            if token and any(text.startswith(written + token) for text in TEXTS)
        ]
        expected += [len(table.tokens) - 1] if written in TEXTS else []
        assert np.flatnonzero(bits).tolist() == expected, written
        chosen = expected[pick % len(expected)]
        assert state.accept(chosen)
        if table.tokens[chosen] == END:
            break
        written += table.tokens[chosen]


def test_every_vocabulary_refuses_the_same_schemas() -> None:
    table = TokenTable((*(bytes([i]) for i in range(256)), b"ab", b'{"a', END), frozenset({258}), (258,))
    refused: list[dict[str, Json]] = [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "not": {"const": 1}},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "integer", "minimum": 3, "maximum": 2},
    ]
    for schema in refused:
        program = engine.json_program(schema, False)
        assert engine.refusal(program) is not None
        assert table.compiler.refusal(program) == engine.refusal(program)


def test_a_program_is_compiled_once_for_a_vocabulary() -> None:
    table = TokenTable((*(bytes([i]) for i in range(256)), END), frozenset({256}), (256,))
    CompiledGrammar(SPEC, table)
    asked = json_schema({"type": "array", "items": {"const": "just here"}}, Place("case"))
    assert table.compiler.matcher(asked.lowered) is table.compiler.matcher(asked.lowered)
    long = [engine.json_program({"const": f"{i}" + "x" * 60_000}, False) for i in range(12)]
    first = table.compiler.matcher(long[0])
    for program in long:
        table.compiler.matcher(program)
    assert table.compiler.matcher(long[0]) is not first, "what is kept is bounded"
