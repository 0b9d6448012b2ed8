"""Marks of structural tags that are special tokens: which tokens may write a text, held against the reader of texts."""

from itertools import product
from re import escape, split

from hypothesis import given, settings, strategies as st

from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable, marked_program, marks_in
from policykit.ir.grammar import GrammarSpec
from tests.grammar.test_structural_tags import FORMATS, SPECS, texts

NAMES = ("<t>", "</t>", "[", "];", "]", ";", "<t>a", "x")
END = 256
TABLE = TokenTable(
    (*(bytes([i]) for i in range(256)), b"<end>", *(name.encode() for name in NAMES)),
    frozenset(range(256, 265)),
    (END,),
)
IDS = {name: END + 1 + at for at, name in enumerate(NAMES)}
VALIDATORS = {form: GrammarValidator(spec) for form, spec in SPECS.items()}
chosen = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(tuple)


def written(text: str, marks: tuple[str, ...]) -> list[list[list[int]]]:
    """For every piece of a text the ways to write it: byte by byte or, where it is a mark's name, as that token."""
    longest = sorted(marks, key=len, reverse=True)
    pieces = [piece for piece in split(f"({'|'.join(map(escape, longest))})", text) if piece]
    return [[list(piece.encode()), *([[IDS[piece]]] if piece in marks else [])] for piece in pieces]


def takes(compiled: CompiledGrammar, token_ids: list[int]) -> bool:
    state = compiled.start()
    return all(map(state.accept, token_ids)) and state.accepting


def compiled(spec: GrammarSpec, marks: tuple[str, ...]) -> CompiledGrammar:
    return CompiledGrammar(spec, TABLE, marked_program(spec, {name: IDS[name] for name in marks_in(spec, marks)}))


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(sorted(FORMATS)), chosen, texts)
def test_a_text_can_be_written_exactly_if_it_is_of_the_tag(form: str, marks: tuple[str, ...], text: str) -> None:
    """However marks are chosen among the names that stand in a text: some way to write it is open if the reader reads
    it, and none is if it does not."""
    made = compiled(SPECS[form], marks)
    ways = [way for way in product(*written(text, marks)) if takes(made, [token for piece in way for token in piece])]
    assert bool(ways) == (not VALIDATORS[form].check(text)), ways
