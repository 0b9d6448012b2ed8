"""Every type on published examples and near misses; spellings; guards; extensions; the table in the README."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.automata import RegexAutomaton, parse_regex, run
from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.diagnostics import Place, PolicyError
from policykit.entities import ENTITY_TYPES, EntityType, Guard, body_of, entity_type, registry, type_names
from policykit.entities.context import SEAM
from policykit.entities.entity import DIGITS, FREE, NUMBER, TOKEN, WORD
from policykit.ir.document import Entity, Mask
from policykit.ir.regex import Empty, Regex
from policykit.text import view
from policykit.verify import Verifier
from tests.entities.find import COMPAT, entities, texts
from tests.entities.samples import SAMPLES, Sample
from tests.verify.build import rule

README = Path(__file__).resolve().parents[2] / "README.md"
# One check digit decides about these: of ten last digits one is right.
ONE_CHECK_DIGIT = (
    "payment_card", "isin", "us_routing", "us_npi", "ca_sin", "br_cpf", "br_cnpj", "uk_nhs", "de_steuer_id",
    "de_personalausweis", "de_rentenversicherung", "fr_siren", "fr_siret", "nl_bsn", "se_personnummer", "pl_pesel",
    "ch_ahv", "no_fodselsnummer", "in_aadhaar", "jp_my_number", "kr_rrn", "au_tfn", "za_id", "lei", "fr_nir",
    "be_national_number", "iban",
)  # fmt: skip


def options(sample: Sample) -> dict[str, object]:
    return {"region": sample.region} if sample.region else {}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.type)
def test_valid_examples_are_found_and_near_misses_are_not(sample: Sample) -> None:
    for text in sample.valid:
        assert texts(f"{sample.words}{text} ", sample.type, **options(sample)) == [COMPAT.apply(text)]
    for text in sample.invalid:
        assert texts(f"{sample.words}{text} ", sample.type, **options(sample)) == []


def test_every_type_has_examples() -> None:
    assert {sample.type for sample in SAMPLES} == {kind.name for kind in ENTITY_TYPES}


@pytest.mark.parametrize("name", ONE_CHECK_DIGIT)
def test_of_ten_last_digits_one_is_right(name: str) -> None:
    (sample,) = [sample for sample in SAMPLES if sample.type == name]
    text = next(text for text in sample.valid if text[-1].isdigit())
    assert [d for d in "0123456789" if texts(f"{sample.words}{text[:-1]}{d} ", name)] == [text[-1]]


@pytest.mark.parametrize("sample", [s for s in SAMPLES if entity_type(s.type).needs_context], ids=lambda s: s.type)
def test_without_its_words_nothing_is_found(sample: Sample) -> None:
    for text in sample.valid:
        assert texts(f"number {text} ", sample.type) == []
        assert texts(f"{sample.words}{'x ' * 40}{text} ", sample.type) == []
        assert texts(f"{text} ", sample.type, context=False) == [COMPAT.apply(text)]


FULL_WIDTH = {ord(c): chr(ord(c) + 0xFEE0) for c in "0123456789"} | {ord(" "): "\u00a0", ord("-"): "\u2011"}


@pytest.mark.parametrize("name", ["payment_card", "iban", "uk_nhs", "jp_my_number", "ch_ahv", "us_ssn"])
def test_full_width_digits_and_other_spaces_are_seen_through_and_spans_map_back(name: str) -> None:
    (sample,) = [sample for sample in SAMPLES if sample.type == name]
    for text in sample.valid:
        spelled = text.translate(FULL_WIDTH)
        verdict = Verifier((rule("ids", entities(name), Mask("<{type}>", "ID")),), None, "").verify(
            f"ﬁ {sample.words}{spelled}!"
        )
        assert verdict.text == f"ﬁ {sample.words}<{entity_type(name).shown}>!"
        (found,) = verdict.violations
        assert (found.start, found.end) == (2 + len(sample.words), 2 + len(sample.words) + len(spelled))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([s for s in SAMPLES if s.type != "private_key"]), max_size=4), st.data())
def test_a_transform_masks_what_is_valid_and_nothing_else(samples: list[Sample], data: st.DataObject) -> None:
    """Between walls, so that values do not run together and words stand near their own value only."""
    wall = " " + "\n" * 120
    for sample in samples:
        value = data.draw(st.sampled_from(sample.valid + sample.invalid))
        made = rule("ids", entities(sample.type, **options(sample)), Mask("#", "ID"))
        verdict = Verifier((made,), None, "").verify(f"{wall}{sample.words}{value}{wall}")
        assert verdict.text == f"{wall}{sample.words}{'#' if value in sample.valid else value}{wall}"


GUARDS = tuple(dict.fromkeys([*(kind.guard for kind in ENTITY_TYPES), DIGITS, FREE, NUMBER, TOKEN, WORD]))
beside = st.text("09aZ.,:+-_<%/= é", max_size=3)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(GUARDS), beside, beside)
def test_both_forms_of_a_guard_say_the_same(guard: Guard, before: str, after: str) -> None:
    """The assertions as Python reads them, against our automata that read what stands beside."""
    text = f"{before}@{after}"
    at = len(before)
    for reads, pattern in (
        (re.compile(guard.behind).match(text, at), Pattern(_AT, before=(_regex(guard.left), 0))),
        (re.compile(guard.ahead).match(text, at + 1), Pattern(_AT, after=(_regex(guard.right), 0))),
    ):
        automaton = RegexAutomaton(build(view("raw"), pattern))
        state = run(automaton, automaton.start, automaton.alphabet.encode(text))
        assert (not state or automaton.end_found(state)) == bool(reads)


def _regex(source: str) -> Regex:
    return parse_regex(source, Place("x")) if source else Empty()


_AT = _regex("@")


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.name)
def test_no_body_reads_the_seam_between_a_key_and_its_value_or_nothing(kind: EntityType) -> None:
    body = AnchoredAutomaton(build(view("compat"), Pattern(body_of(Entity(kind.name, Place("x"))))))
    seam = body.alphabet.of(SEAM)
    seen, todo = {body.start}, [body.start]
    while todo and len(seen) < 3000:
        at = todo.pop()
        assert not body.step(at, seam)
        ahead = {to for symbol in range(body.alphabet.n) if (to := body.step(at, symbol))} - seen
        seen |= ahead
        todo += ahead
    assert not body.ends([], 0)


def test_names_are_unique_and_of_twelve_countries_at_least() -> None:
    assert len({kind.name for kind in ENTITY_TYPES}) == len(ENTITY_TYPES) == 63
    assert len({region for kind in ENTITY_TYPES if kind.name != "vat" for region in kind.regions}) >= 20


class _Extension:
    """An entry point of an installed package, without one."""

    def __init__(self, value: object) -> None:
        self.value, self._loaded = "acme.ids:TYPES", value

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object], None]]:
    def installed(value: object) -> None:
        registry._others.cache_clear()
        monkeypatch.setattr(registry, "entry_points", lambda group: [_Extension(value)])

    yield installed
    registry._others.cache_clear()


def test_another_package_adds_a_type(install: Callable[[object], None]) -> None:
    install((EntityType("acme_badge", "a badge", "B-[0-9]{4}"),))
    assert "acme_badge" in type_names()
    assert texts("badge B-1234 and B-12345", "acme_badge") == ["b-1234"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (ImportError("no acme"), "ImportError: no acme"),
        ("iban", "is no entity type"),
        (EntityType("iban", "again", "a"), "`iban` exists already"),
    ],
)
def test_an_extension_that_cannot_be_used_is_told(install: Callable[[object], None], value: object, why: str) -> None:
    install(value)
    with pytest.raises(PolicyError) as caught:
        entity_type("acme_badge")
    (told,) = caught.value.diagnostics
    assert told.code == "PK093"
    assert why in told.message


def test_the_readme_lists_every_type_with_what_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.*?) \|$", README.read_text("utf-8"), re.MULTILINE)
    assert {row[0]: row[1:] for row in rows if row[0] in {kind.name for kind in ENTITY_TYPES}} == {
        kind.name: (kind.about, decided_by(kind)) for kind in ENTITY_TYPES
    }


def decided_by(kind: EntityType) -> str:
    parts = ["check" if kind.check else "form", *(["words near it"] if kind.needs_context else [])]
    return ", ".join(parts)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('"dateOfBirth": "1980-03-12"', "date_of_birth", "1980-03-12"),
        ("patientId=12345678", "mrn", "12345678"),
        ("socialSecurityNumber 123-45-6789", "us_ssn", "123-45-6789"),
        ("geboortedatum: 12-03-1980", "date_of_birth", "12-03-1980"),
        ("生年月日：昭和55年3月12日", "date_of_birth", "昭和55年3月12日"),
        ("診察券番号 0012345", "mrn", "0012345"),
    ],
)
def test_words_near_it_may_be_written_as_one_and_in_other_languages(text: str, name: str, value: str) -> None:
    assert texts(text, name) == [value]
