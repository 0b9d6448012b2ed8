"""Golden outputs, and tests that are repeated in every spelling that a rule claims."""

import html
import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from policykit.diagnostics import PolicyError
from policykit.ir.document import PolicySet
from policykit.policy import load_policies
from policykit.streaming import Stream
from policykit.testing import Status, run_tests
from policykit.testing.spellings import Claim, spellings
from policykit.text import view
from tests.testing.documents import HEAD, RULES, with_tests

EVASION = "variants: {evasion: claimed}"
FIND = Claim("r", 4, 22, "compat", True, False)
TEXT = "our guaranteed returns!"


def test_a_test_passes_in_every_spelling() -> None:
    test = f"{{name: t, given: {{output: '{TEXT}'}}, expect: {{decision: block, rules: [no-guarantees]}}, {EVASION}}}"
    (result,) = run_tests(with_tests(test)).results
    assert result.status is Status.PASSED
    assert result.n_variants > 500


def test_a_mask_covers_every_spelling() -> None:
    test = "{name: t, given: {output: pin 1234}, expect: {decision: transform, output: 'pin [PIN_1]'}, " + EVASION + "}"
    (result,) = run_tests(with_tests(test)).results
    assert result.status is Status.PASSED
    assert result.n_variants > 50


CITES = """\
rules:
  - id: no-guarantees
    match: {phrases: [guaranteed returns]}
    action: {block: {}}
  - id: cite
    require: {citations: {per: sentence}}
    action: {block: {}}
"""


def test_a_missing_citation_keeps_no_spelling_from_being_tried() -> None:
    expect = "expect: {decision: block, rules: [no-guarantees, cite]}"
    (result,) = run_tests(
        with_tests(f"{{name: t, given: {{output: '{TEXT}'}}, {expect}, {EVASION}}}", rules=CITES)
    ).results
    assert result.status is Status.PASSED
    assert result.n_variants > 500


SEES_ONE = """\
rules:
  - id: no-guarantees
    match: {phrases: [guaranteed returns]}
    action: {block: {}}
  - id: no-signs
    match: {regex: '[\\x{FF01}-\\x{FF5E}]', views: [raw]}
    action: {block: {}}
"""


def test_a_spelling_that_comes_out_otherwise_is_named() -> None:
    test = f"{{name: t, given: {{output: '{TEXT}'}}, expect: {{decision: block, rules: [no-guarantees]}}, {EVASION}}}"
    (result,) = run_tests(with_tests(test, rules=SEES_ONE)).results
    assert result.status is Status.FAILED
    assert result.failed_variants[0] == "`Ｇ` (U+FF27) for `g` (U+0067) at 4"
    assert result.given == "our Ｇuaranteed returns!"
    assert [(m.part, m.got) for m in result.mismatches] == [("rules", "no-guarantees, no-signs")]


@pytest.mark.parametrize("rules", [
    "rules: [{id: r, match: {regex: 'a+', views: [raw]}, action: {block: {}}}]\n",
    "rules: [{id: r, match: {not: {phrases: [risk]}}, action: {block: {}}}]\n",
])  # fmt: skip
def test_a_test_without_another_spelling_is_errored(rules: str) -> None:
    test = "{name: t, given: {output: aa}, expect: {decision: block, rules: [r]}, " + EVASION + "}"
    (result,) = run_tests(with_tests(test, rules=rules)).results
    assert result.status is Status.ERRORED
    assert result.errors[0].startswith("PK510: ")


def test_spellings_are_what_the_view_sees_through() -> None:
    compat = view("compat")
    found = spellings(TEXT, FIND, (FIND,))
    assert len({spelling.text for spelling in found}) == len(found)
    same = [s for s in found if compat.apply(s.text) == compat.apply(TEXT)]
    split = {" ".join(compat.apply(s.text).replace("-", " ").split()) for s in found if "\u00ad" in s.text}
    assert len(same) > 300
    assert split <= {TEXT}
    assert all(s.text.startswith("our ") and s.text.endswith("!") for s in found)
    by_hand = ["our Guaranteed returns!", "our \uff47uaranteed returns!", "our guaranteed\u2014returns!",
               "our gu\u00adaranteed returns!", "our 𝐠uaranteed returns!", "our guaranteed\n\nreturns!"]  # fmt: skip
    assert set(by_hand) <= {s.text for s in found}


def test_what_two_rules_found_is_only_respelled_as_both_see_it() -> None:
    raw = Claim("other", 4, 14, "raw", False, False)
    found = spellings(TEXT, FIND, (FIND, raw))
    assert found
    assert {spelling.text[:14] for spelling in found} == {"our guaranteed"}


def test_a_find_inside_json_stays_json() -> None:
    text = '["guaranteed returns"]'
    claim = Claim("r", 2, 20, "compat", True, True)
    assert {s.text for s in spellings(text, claim, (claim,))} >= {'["guaranteed\\u000areturns"]'}


def golden(folder: Path, output: str = "pin 1234") -> PolicySet:
    test = f"{{name: t, given: {{output: '{output}'}}, expect: {{decision: transform, golden: golden/a.txt}}}}"
    text = HEAD.replace("NAME", "a/b") + RULES + f"tests:\n  - {test}\n"
    (folder / "b.policy.yaml").write_text(text, encoding="utf-8")
    return load_policies(folder / "b.policy.yaml")


def test_a_golden_output_is_read_from_its_file(tmp_path: Path) -> None:
    policies = golden(tmp_path)
    (missing,) = run_tests(policies).results
    assert (missing.status, missing.mismatches[0].part) == (Status.FAILED, "golden")
    assert missing.golden is not None
    missing.golden.write()
    assert (tmp_path / "golden" / "a.txt").read_bytes() == b"pin [PIN_1]\n"
    assert run_tests(policies).passed
    (tmp_path / "golden" / "a.txt").write_bytes(b"pin [PIN_2]\n")
    (other,) = run_tests(policies).results
    assert [(m.part, m.want, m.got) for m in other.mismatches] == [("output", "pin [PIN_2]", "pin [PIN_1]")]


def test_what_fails_otherwise_has_no_golden_output(tmp_path: Path) -> None:
    (result,) = run_tests(golden(tmp_path, "guaranteed returns")).results
    assert {m.part for m in result.mismatches} >= {"decision"}
    assert result.golden is None


def test_a_golden_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    policies = golden(tmp_path)
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "a.txt").write_bytes(b"\xff")
    (result,) = run_tests(policies).results
    assert result.status is Status.ERRORED


def test_several_processes_give_the_same_report(tmp_path: Path) -> None:
    tests = [f"{{name: t{n}, given: {{output: 'pin {n:04}'}}, expect: {{decision: transform}}}}" for n in range(70)]
    tests.append("{name: wrong, given: {output: x}, expect: {decision: block}}")
    policies = with_tests(*tests)
    assert run_tests(policies, jobs=2) == run_tests(policies)


def test_a_test_is_streamed_in_every_two_parts() -> None:
    expect = "expect: {decision: block, rules: [no-guarantees]}, variants: {chunking: all}"
    (result,) = run_tests(with_tests(f"{{name: t, given: {{output: '{TEXT}'}}, {expect}}}")).results
    assert result.status is Status.PASSED, result
    assert result.n_variants == len(TEXT) + 1


def test_a_stream_that_comes_out_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Stream.feed
    monkeypatch.setattr(Stream, "feed", lambda self, chunk: feed(self, chunk.replace("ret", "tre")))  # a broken stream
    expect = "expect: {decision: block, rules: [no-guarantees]}, variants: {chunking: all}"
    (result,) = run_tests(with_tests(f"{{name: t, given: {{output: '{TEXT}'}}, {expect}}}")).results
    assert result.status is Status.FAILED
    assert result.failed_variants[0] == "streamed as a whole"
    assert "streamed in two parts, cut at 16" not in result.failed_variants


def test_selecting_is_possible_with_several_processes() -> None:
    with pytest.raises(PolicyError):
        run_tests(with_tests("{name: t, given: {output: x}, expect: {decision: allow}}"), select="u", jobs=2)


DECODES = "rules: [{id: r, match: {phrases: [guaranteed returns], unescape: [html, url, json]}, action: {block: {}}}]\n"


def test_escapes_that_a_rule_decodes_are_spellings_that_it_claims() -> None:
    claim = Claim("r", 4, 22, "compat", True, False, ("html", "url", "json"))
    found = {s.text for s in spellings(TEXT, claim, (claim,))}
    assert found >= {
        "our &#103;uaranteed returns!", "our &#x67;uaranteed returns!", "our guaranteed%20returns!",
        "our \\u0067uaranteed returns!", "our %67%75%61%72%61%6E%74%65%65%64%20%72%65%74%75%72%6E%73!",
    }  # fmt: skip
    assert any(html.unescape(s) == TEXT and "&" in s for s in found)
    assert any(unquote(s) == TEXT and s.count("%") == 18 for s in found)
    assert any("\\" in s and json.loads(f'"{s}"') == TEXT for s in found)


def test_escapes_are_only_claimed_where_every_rule_decodes_them() -> None:
    claim = Claim("r", 4, 22, "compat", True, False, ("html",))
    other = Claim("other", 4, 14, "compat", True, False)
    assert not any("&" in s.text for s in spellings(TEXT, claim, (claim, other)))


def test_a_test_passes_in_every_spelling_with_escapes() -> None:
    test = f"{{name: t, given: {{output: '{TEXT}'}}, expect: {{decision: block, rules: [r]}}, {EVASION}}}"
    plain = DECODES.replace(", unescape: [html, url, json]", "")
    counts = [run_tests(with_tests(test, rules=rules)).results[0] for rules in (DECODES, plain)]
    assert [result.status for result in counts] == [Status.PASSED] * 2
    assert counts[0].n_variants > counts[1].n_variants + 100
