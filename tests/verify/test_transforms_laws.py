"""Laws of transforms over generated texts and rules: twice is once, JSON stays JSON, reversible masks come back."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given, settings, strategies as st

from policykit.ir.document import Action, Append, Hash, Mask, Not, Prepend, Redact, Truncate, Within
from policykit.ir.plan import ResolvedRule
from policykit.vault import Grant, Vault
from policykit.verify import Resources, Verifier
from policykit.verify.json_fields import parsed, redactions
from tests.verify.build import mask, phrases, reading, regexes, replacement, rule

NOTES = ("Not advice.", "advice.", "Ask us.", "\nAsk", "N: x")
TEXTS = st.lists(
    st.sampled_from(["1234", "ab", "a b", " ", "\n", "é", "e\u0301", "h:", "[ID_1]", ".", "…", *NOTES]), max_size=10
).map("".join)
WHOLE: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from(NOTES).map(Append),
    st.sampled_from(NOTES).map(Prepend),
    st.builds(
        Truncate, st.integers(1, 12), st.sampled_from(["characters", "words"]), st.sampled_from(["…", "", ".", " …"])
    ),
)
HASHES = st.builds(
    Hash, st.just("salt"), st.integers(8, 20), st.sampled_from(["hex", "base32"]),
    st.sampled_from(["h:{hash}", "{hash}", "<{type}:{hash}>"]), st.just("ID"),
)  # fmt: skip
SPANS: st.SearchStrategy[Action] = st.one_of(
    st.sampled_from(["[{type}_{n}]", "<{n}>"]).map(mask), st.sampled_from(["", "#"]).map(replacement), HASHES,
    st.just(Mask("[{type}_{n}]", "ID", "session")),
)  # fmt: skip
MATCHERS = st.sampled_from([
    regexes(r"\d+"), regexes(r"[0-9a-f]{4,}"), phrases("a b", "ab"), regexes(r"\S+b"), regexes(r"(?s:.)"),
    regexes("é"), regexes("h:[0-9a-f]*"),
])  # fmt: skip
FIRES = st.sampled_from([regexes(r"(?s:.)"), Not(phrases("zz")), phrases("ab")])
RULES = st.lists(st.tuples(MATCHERS, SPANS) | st.tuples(FIRES, WHOLE), min_size=1, max_size=5).map(
    lambda pairs: tuple(rule(f"r{i}", matcher, action) for i, (matcher, action) in enumerate(pairs))
)


def session() -> Vault:
    return Vault.in_memory(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), grants=[Grant("audit", ("*",))])


def resources() -> Resources:
    return Resources({"salt": b"k" * 32}, {"session": session()}, "acme")


@settings(max_examples=500, deadline=None)
@given(RULES, TEXTS)
def test_applied_twice_is_applied_once(rules: tuple[ResolvedRule, ...], text: str) -> None:
    verifier = Verifier(rules, None, "", resources=resources())
    verdict = verifier.verify(text)
    if verdict.decision == "transform":
        again = verifier.verify(verdict.text)
        assert (again.decision, again.text, again.violations, again.errors) == ("allow", verdict.text, (), ())
    if verdict.decision == "allow":
        assert verdict.text == text
        assert verdict.violations == ()


@settings(max_examples=300, deadline=None)
@given(RULES, TEXTS)
def test_edits_are_disjoint_and_make_the_text(rules: tuple[ResolvedRule, ...], text: str) -> None:
    verdict = Verifier(rules, None, "", resources=resources()).verify(text)
    assume(verdict.decision == "transform")
    at, out = 0, ""
    for edit in verdict.transforms:
        assert at <= edit.start <= edit.end <= len(text)
        out += text[at : edit.start] + edit.replacement
        at = edit.end
    assert verdict.text == out + text[at:]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.sampled_from(NOTES), min_size=1, max_size=3), st.booleans(), st.integers(1, 12))
def test_texts_around_stand_there_and_the_rest_is_short_enough(
    text: str, notes: list[str], before: bool, limit: int
) -> None:
    """Whatever the texts are, unless one of them makes another one's rule fire, which blocks."""
    put = Prepend if before else Append
    rules = (
        *(rule(f"r{i}", Not(phrases("zz")), put(note)) for i, note in enumerate(notes)),
        rule("cut", regexes(r"(?s:.)"), Truncate(limit, "characters", "…")),
    )
    verdict = Verifier(rules, None, "").verify(text)
    assert verdict.decision in ("transform", "allow")
    stripped = verdict.text.strip()
    assert any((stripped.startswith if before else stripped.endswith)(note.strip()) for note in notes)
    assert all(note.strip() in verdict.text for note in notes)
    # White space between a text that was put there and the rest belongs to neither.
    rest = len("".join(verdict.text.split())) - sum(len("".join(note.split())) for note in set(notes))
    assert rest <= limit


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(MATCHERS, min_size=1, max_size=3), st.data())
def test_reversible_masks_come_back(text: str, matchers, data: st.DataObject) -> None:
    """Also where the text guesses the vault's nonce and numbers that it has not given yet."""
    vault = session()
    guess = data.draw(st.sampled_from(["", f"[ID_{vault.nonce}_1]", f"{vault.nonce}_2", f"[ID_{vault.nonce}_"]))
    text = guess + text + guess
    rules = tuple(rule(f"r{i}", m, Mask("[{type}_{n}]", "ID", "session")) for i, m in enumerate(matchers))
    verdict = Verifier(rules, None, "", resources=Resources({}, {"session": vault}, "acme")).verify(text)
    assert verdict.errors == ()
    if verdict.decision != "block":
        assert vault.unmask(verdict.text, "acme", "audit", "a") == text


# -- JSON

NAMES = st.sampled_from(["a", "b", "ssn", 'q"', "é", "0", "a.b", "x/y", "*"])
LEAVES = (
    st.none() | st.booleans() | st.integers(-9, 9999) | st.sampled_from(["", "1234", 'a "b"', "\\", "{}", "ssn", "\n"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=10
)
DOCUMENTS = st.lists(VALUES, max_size=3) | st.dictionaries(NAMES, VALUES, max_size=4)
FIELDS = st.sampled_from(["a", "b.a", "*.ssn", "**.ssn", "a.**.b", "/a/b", '/q"', "/x~1y", "/0/0", "0", "**.*", "a.*"])
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n ", " : ")])


def matches(pattern: tuple[str, ...], path: tuple[str, ...], wild: bool) -> bool:
    """The meaning of a field's path by its definition, one case per kind of step."""
    if not pattern or not path:
        return not pattern and not path
    if wild and pattern[0] == "**":
        return any(matches(pattern[1:], path[i:], wild) for i in range(len(path) + 1))
    return (pattern[0] == path[0] or (wild and pattern[0] == "*")) and matches(pattern[1:], path[1:], wild)


def hits(field: str, path: tuple[str, ...]) -> bool:
    if field.startswith("/"):
        return matches(tuple(p.replace("~1", "/").replace("~0", "~") for p in field[1:].split("/")), path, False)
    return matches(tuple(field.split(".")), path, True)


def redacted(value: Any, redact: Redact, path: tuple[str, ...] = ()) -> Any:
    """What must come out, on values and not on text."""

    def hit(name: str) -> bool:
        return any(hits(field, (*path, name)) for field in redact.fields)

    if isinstance(value, list):
        new = redact.text
        return [new if hit(str(i)) else redacted(v, redact, (*path, str(i))) for i, v in enumerate(value)]
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not (hit(k) and redact.text is None)}
        return {k: redact.text if hit(k) else redacted(v, redact, (*path, k)) for k, v in kept.items()}
    return value


@settings(max_examples=800, deadline=None)
@given(DOCUMENTS, st.lists(FIELDS, min_size=1, max_size=3), st.sampled_from(["#", 'q"\n', None]), SPACES, st.booleans())
def test_redaction_of_text_is_redaction_of_values(
    value: Any, fields: list[str], new: str | None, spaces: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(value, separators=spaces, ensure_ascii=ascii_only)
    redact = Redact(tuple(fields), new)
    expected = redacted(deepcopy(value), redact)
    verdict = Verifier((rule("r", regexes(r"(?s:.)"), redact),), None, "").verify(text)
    assert verdict.errors == ()
    assert json.loads(verdict.text) == expected
    assert (verdict.decision == "allow") == (verdict.text == text) == (expected == value)
    assert redactions(verdict.text, [redact]) == []


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, SPACES, st.booleans())
def test_the_tree_of_a_text_is_that_of_its_value(value: Any, spaces: tuple[str, str], ascii_only: bool) -> None:
    text = json.dumps(value, separators=spaces, ensure_ascii=ascii_only)
    todo = [(parsed(text), value)]
    while todo:
        node, expected = todo.pop()
        assert json.loads(text[node.start : node.end]) == expected
        inner: list[tuple[Any, Any]] = []
        if isinstance(expected, dict | list):
            inner = list(expected.items() if isinstance(expected, dict) else enumerate(expected))
        assert [(name, json.loads(text[n.start : n.end])) for name, _, n in node.children] == [
            (str(name), v) for name, v in inner
        ]
        todo += [(n, v) for (_, _, n), (_, v) in zip(node.children, inner, strict=True)]


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.lists(st.tuples(MATCHERS, SPANS), max_size=3), st.lists(FIELDS, max_size=2), st.booleans())
def test_json_stays_json(value: Any, pairs, fields: list[str], in_strings: bool) -> None:
    text = json.dumps(value)
    rules = [rule(f"s{i}", matcher, action) for i, (matcher, action) in enumerate(pairs)]
    if in_strings:
        pairs = [(regexes(r"\d+", "a", read=reading(within=Within.JSON_STRINGS)), action) for _, action in pairs]
        rules = [rule(f"s{i}", matcher, action) for i, (matcher, action) in enumerate(pairs)]
    if fields:
        rules.append(rule("f", regexes(r"(?s:.)"), Redact(tuple(fields), "#")))
    verdict = Verifier(tuple(rules), None, "", resources=resources()).verify(text)
    if verdict.decision == "transform":
        json.loads(verdict.text)
    if in_strings:
        assert verdict.errors == ()
