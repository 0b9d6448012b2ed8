"""Profile files: what they mean, and every mistake at its place."""

from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.profiles import Best, Decoding, Limits, OnRewardError, Profile, Strategy, Task, load_profiles
from tests.profiles.case import POLICY, PROFILE, SHA_A, Case, expected_place, write_profile

BEST = f"best: {{of: 4, reward: helpful, digest: 'sha256:{SHA_A}'}}"
TOOLS = "fallback: I cannot answer that.\ntools: "
CASES = (
    # form, by the same reader as policies
    Case("unknown field", "PK020", "task: answer", "«tsak»: answer\ntask: answer", "did you mean `task`?"),
    Case("unknown field, no near miss", "PK020", "task: answer", "«colour»: red\ntask: answer", "known fields: apiV"),
    Case("missing fallback", "PK021", "fallback: I cannot answer that.\n", "", "`fallback`: the text"),
    Case("wrong task", "PK023", "task: answer", "task: «anwser»", "did you mean `answer`?"),
    Case("another kind", "PK023", "kind: Profile", "kind: «Policy»", "known values: Profile"),
    Case(
        "a strategy of another version", "PK040", "temperature: 0.5", "strategy: «weighted», temperature: 0.5", "mask"
    ),
    Case("an unknown strategy", "PK023", "temperature: 0.5", "strategy: «msak», temperature: 0.5", "did you mean"),
    Case("a name with a slash", "PK025", "name: retail", "name: «a/retail»", "lower-case words"),
    Case("negative temperature", "PK026", "temperature: 0.5", "temperature: «-1»", "from 0.0 to 2.0"),
    Case("no tokens", "PK026", "outputTokens: 128", "outputTokens: «0»", "from 1 to"),
    Case("empty limits", "PK028", "limits: {outputTokens: 128}", "«limits»: {}", "timeoutSeconds"),
    Case("cost without a price", "PK056", "outputTokens: 128", "outputTokens: 128, «maxCost»: 1", "remove it"),
    Case("a glob of another kind", "PK055", "'acme-*'", "«'acme-?'»", "use letters"),
    # what it names
    Case("no such policy", "PK001", "promises.policy.yaml", "«promise.policy.yaml»", "check the path"),
    Case("an absolute path", "PK603", "promises.policy.yaml", "«/etc/promises.policy.yaml»", "path from this file"),
    Case("a path from home", "PK603", "promises.policy.yaml", "«~/promises.policy.yaml»", "path from this file"),
    Case("no such grammar", "PK001", "task: answer", "task: answer\ngrammar: «gone.lark»", "check the path"),
    Case("no such prompt", "PK001", "text: Be brief.", "file: «gone.txt»", "check the path"),
    Case("an empty prompt", "PK029", "text: Be brief.", "file: «blank.txt»", "write the prompt"),
    Case("a policy for others", "PK608", "promises.policy.yaml", "«elsewhere.policy.yaml»", "add the profile"),
    # what must fit together
    Case("temperature", "PK604", "temperature: 0.5", "temperature: «1.5»", "raise `maxTemperature`"),
    Case("probability mass", "PK604", "temperature: 0.5", "topP: «0.9», maxTopP: 0.8", "raise `maxTopP`"),
    Case("a strategy and a cut", "PK617", "temperature: 0.5", "strategy: block, topP: «0.9»", "or use `mask`"),
    Case("a strategy that is greedy", "PK617", "temperature: 0.5", "strategy: exact, temperature: «0»", "above 0"),
    Case("a setting of another", "PK617", "temperature: 0.5", "strategy: exact, failures: «3»", "`block` or `auto`"),
    Case(
        "a mass of the mask", "PK617", "temperature: 0.5", "minLegalMass: «0.1»", "remove it, or use `reject`, `exact`"
    ),
    Case("a setting of none", "PK617", "temperature: 0.5", "minLegal: «0.2»", "remove it"),
    Case("reasoning", "PK617", "maxTokens: 64}", "strategy: auto}\n«reasoning»: covered", "use `mask` here"),
    Case("best of one", "PK026", "temperature: 0.5", BEST.replace("4", "«1»"), "from 2 to"),
    Case("best by nothing", "PK021", "temperature: 0.5", "«best»: {of: 4, reward: helpful}", "`digest`: the digest"),
    Case("a best of another word", "PK023", "temperature: 0.5", BEST[:-1] + ", onError: «any»}", "refuse"),
    Case("a digest that is none", "PK619", "temperature: 0.5", BEST.split("'")[0] + "«latest»}", "as its card says"),
    Case("best and reasoning", "PK619", "maxTokens: 64}", BEST + "}\n«reasoning»: covered", "or `decoding.best`"),
    Case("best of the same", "PK619", "temperature: 0.5", f"temperature: «0», {BEST}", "or remove `best`"),
    Case(
        "best of the same, unsaid",
        "PK619",
        "temperature: 0.5, maxTemperature: 1.0",
        f"maxTemperature: 0, «best»{BEST[4:]}",
        "raise",
    ),
    Case("tokens", "PK604", "maxTokens: 64", "maxTokens: «256»", "raise `limits.outputTokens`"),
    Case(
        "two grammars",
        "PK605",
        "task: answer",
        "task: answer\ngrammar: answer.lark\n«clientGrammar»: true",
        "keep `grammar`",
    ),
    Case("extract without a grammar", "PK606", "task: answer", "task: «extract»", "name a `grammar`"),
    Case("tools of requests, of no agent", "PK606", "fallback", "«clientTools»: allow\nfallback", "`task: agent`"),
    Case("a number of none", "PK620", "outputTokens: 128", "clientTools: «3»", "say `clientTools: allow`, or remove"),
    Case("a length of none", "PK620", "outputTokens: 128", "clientToolCharacters: «900»", "say `clientTools: allow`"),
    Case("another word", "PK023", "fallback", "clientTools: «yes»\nfallback", "refuse"),
    Case("tools of no agent", "PK606", "fallback", "«tools»: [{name: a, arguments: {}}]\nfallback", "`task: agent`"),
    Case(
        "a tool twice",
        "PK607",
        "task: answer",
        "task: agent\ntools: [{name: a, arguments: {}}, {name: «a», arguments: {}}]",
        "rename",
    ),
    Case("a tool's schema", "PK202", "task: answer", "task: agent\ntools: [{name: a, arguments: {type: 12}}]", ""),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_told_at_its_place(case: Case, tmp_path: Path) -> None:
    marked = case.marked(PROFILE)
    text = marked.replace("«", "").replace("»", "")
    path = write_profile(tmp_path, text)
    with pytest.raises(PolicyError) as caught:
        load_profiles(path)
    (found,) = caught.value.diagnostics
    assert found.code == case.code, str(caught.value)
    assert case.help in (found.help or "")
    assert found.place is not None
    if "«" in marked:
        line, column, underlined = expected_place(marked)
        assert (found.place.file, found.place.line, found.place.column) == (str(path), line, column)
        assert text.split("\n")[line - 1][column - 1 : found.place.end_column - 1] == underlined


def test_what_a_profile_says(tmp_path: Path) -> None:
    (profile,) = load_profiles(write_profile(tmp_path))
    assert (profile.name, profile.version, profile.task, profile.model) == ("retail", "1.2.0", Task.ANSWER, None)
    assert [document.name for document in profile.policies.documents] == ["promises", "a", "b"]
    assert profile.decoding == Decoding(Strategy.MASK, 0.5, 1.0, 1.0, 1.0, 64, 1, None)
    assert profile.limits == Limits(max_output_tokens=128)
    assert profile.system_prompt is not None
    assert (profile.system_prompt.id, profile.system_prompt.text) == ("retail-v1", "Be brief.")
    assert [profile.admits(tenant) for tenant in ("acme-1", "acme-", "other", "others", "")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert {Path(file).name for file in profile.files} == {
        "x.profile.yaml", "promises.policy.yaml", "a.policy.yaml", "b.policy.yaml"
    }  # fmt: skip


def test_a_default_is_never_above_its_maximum(tmp_path: Path) -> None:
    text = PROFILE.replace("temperature: 0.5, maxTemperature: 1.0, maxTokens: 64", "maxTemperature: 0.3, maxTopP: 0.6")
    (profile,) = load_profiles(write_profile(tmp_path, text))
    assert (profile.decoding.temperature, profile.decoding.top_p, profile.decoding.max_tokens) == (0.3, 0.6, 128)
    (profile,) = load_profiles(write_profile(tmp_path, PROFILE.replace("decoding: {temperature: 0.5, maxTemp", "# ")))
    assert profile.decoding.max_tokens == 128


def test_a_prompt_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Be brief.")
    (inline,) = load_profiles(write_profile(tmp_path))
    (beside,) = load_profiles(write_profile(tmp_path, PROFILE.replace("text: Be brief.", "file: prompt.txt")))
    assert beside.system_prompt == inline.system_prompt
    assert beside.digest == inline.digest
    assert str(tmp_path / "prompt.txt") in beside.files


def digest(folder: Path, text: str) -> str:
    (profile,) = load_profiles(write_profile(folder, text))
    return profile.digest


def test_the_digest_ignores_comments_order_and_formatting(tmp_path: Path) -> None:
    lines = PROFILE.splitlines()
    shuffled = "\n".join([*lines[:3], *reversed(lines[3:])]) + "\n# more\n"
    spaced = PROFILE.replace("limits: {outputTokens: 128}", "limits:\n    outputTokens:   128  # tokens\n")
    tenants = PROFILE.replace("'acme-*', other", "other, 'acme-*'")
    other = tmp_path / "other"
    other.mkdir()
    before = digest(tmp_path, PROFILE)
    assert [digest(tmp_path, text) for text in (shuffled, spaced, tenants)] == [before] * 3
    assert digest(other, PROFILE) == before


def test_a_choice_by_reward_and_what_is_not_said_of_it(tmp_path: Path) -> None:
    (profile,) = load_profiles(write_profile(tmp_path, PROFILE.replace("temperature: 0.5", BEST)))
    assert profile.decoding.best == Best(4, "helpful", f"sha256:{SHA_A}", OnRewardError.REFUSE)
    said = BEST[:-1] + ", onError: fallback}"
    (other,) = load_profiles(write_profile(tmp_path, PROFILE.replace("temperature: 0.5", said)))
    assert other.decoding.best == Best(4, "helpful", f"sha256:{SHA_A}", OnRewardError.FALLBACK)
    assert other.digest != profile.digest


CHANGES = (
    ("temperature: 0.5", f"temperature: 0.5, {BEST}"),
    ("task: answer", "task: summarize"),
    ("version: 1.2.0", "version: 1.2.1"),
    ("task: answer", "task: answer\nmodel: a"),
    ("task: answer", "task: answer\nadapter: a"),
    ("task: answer", "task: answer\ngrammar: answer.lark"),
    ("task: answer", "task: answer\nclientGrammar: true"),
    ("task: answer", "task: answer\nescalation: a"),
    ("task: answer", "task: answer\nreasoning: covered"),
    ("task: answer", "task: answer\nretrieval: {depth: 1}"),
    ("task: answer", "task: answer\nretrieval: {depth: 1, sources: [a]}"),
    ("temperature: 0.5", "temperature: 0.6"),
    ("temperature: 0.5", "temperature: 0.5, strategy: reject"),
    ("temperature: 0.5", "temperature: 0.5, seed: 1"),
    ("retail-v1", "retail-v2"),
    ("Be brief.", "Be brief!"),
    ("'acme-*', other", "'acme-*'"),
    ("outputTokens: 128", "outputTokens: 129"),
    ("outputTokens: 128", "outputTokens: 128, concurrent: 2"),
    ("I cannot answer that.", "I cannot say."),
    ("[promises.policy.yaml, more]", "[promises.policy.yaml]"),
    ("task: answer", "task: agent"),
    ("task: answer", "task: agent\ntools: [{name: a, arguments: {}}]"),
    ("task: answer", "task: agent\nclientTools: allow"),
    ("limits: {", "limits: {attempts: 2, "),
    ("task: answer", "task: agent\ntools: [{name: a, arguments: {type: object}}]"),
    ("task: answer", "task: agent\ntools: [{name: b, arguments: {}}]"),
)


def test_the_digest_covers_every_part(tmp_path: Path) -> None:
    texts = [PROFILE, *(Case("", "", old, new, "").marked(PROFILE) for old, new in CHANGES)]
    found = {text: digest(tmp_path, text) for text in texts}
    assert len(set(found.values())) == len(texts)


def test_the_digest_covers_the_policies_content(tmp_path: Path) -> None:
    path = write_profile(tmp_path)
    (before,) = load_profiles(path)
    named = tmp_path / "promises.policy.yaml"
    named.write_text("# a comment\n" + named.read_text())
    (commented,) = load_profiles(path)
    named.write_text(named.read_text().replace("guaranteed returns]}", "guaranteed returns, sure bet]}"))
    (changed,) = load_profiles(path)
    assert commented.digest == before.digest
    assert changed.digest != before.digest


def test_all_mistakes_of_all_files_are_reported_together(tmp_path: Path) -> None:
    write_profile(tmp_path, PROFILE.replace("1.2.0", "one"))
    (tmp_path / "promises.policy.yaml").write_text(POLICY.replace("NAME", "promises").replace("block: {m", "blok: {m"))
    text = PROFILE.replace("temperature: 0.5", "temperature: 1.5").replace("more]", "gone]")
    (tmp_path / "y.profile.yaml").write_text(text)
    (tmp_path / "z.profile.yml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        load_profiles(tmp_path)
    assert sorted(d.code for d in caught.value.diagnostics) == ["PK001", "PK025", "PK032", "PK601"]


def test_a_mistake_in_a_policy_that_two_profiles_name_is_told_once(tmp_path: Path) -> None:
    write_profile(tmp_path)
    (tmp_path / "y.profile.yaml").write_text(PROFILE.replace("name: retail", "name: other"))
    (tmp_path / "promises.policy.yaml").write_text(POLICY.replace("NAME", "promises").replace("block: {m", "blok: {m"))
    with pytest.raises(PolicyError) as caught:
        load_profiles(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["PK032"]


def test_names_are_unique(tmp_path: Path) -> None:
    write_profile(tmp_path)
    (tmp_path / "y.profile.yaml").write_text(PROFILE)
    with pytest.raises(PolicyError) as caught:
        load_profiles(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "PK602"
    assert found.related[0][0].file == str(tmp_path / "x.profile.yaml")


def test_policies_of_one_profile_have_names_of_their_own(tmp_path: Path) -> None:
    path = write_profile(tmp_path)
    (tmp_path / "more" / "b.policy.yaml").write_text(POLICY.replace("NAME", "promises"))
    with pytest.raises(PolicyError) as caught:
        load_profiles(path)
    (found,) = caught.value.diagnostics
    assert (found.code, found.place and found.place.file) == ("PK051", str(path))
    assert len(found.related) == 2


def test_a_folder_without_profiles_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_profiles(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["PK600"]


def test_profiles_are_found_by_name(tmp_path: Path) -> None:
    write_profile(tmp_path)
    (tmp_path / "y.profile.yaml").write_text(PROFILE.replace("name: retail", "name: other"))
    profiles = load_profiles(tmp_path)
    found = profiles.get("other")
    assert isinstance(found, Profile)
    assert (profiles.names, found.name, profiles.get("none")) == (("retail", "other"), "other", None)


def test_what_tokens_cost() -> None:
    # by hand: 1,500 * 2 / 1e6 + 100 * 8 / 1e6
    assert Limits(input_price=2.0, output_price=8.0).cost(1_500, 100) == pytest.approx(0.0038)


@pytest.mark.parametrize(("setting", "code"), [("strategy: auto", "PK617"), (BEST, "PK619")])
def test_what_draws_one_text_calls_no_tools_of_requests_either(setting: str, code: str, tmp_path: Path) -> None:
    text = PROFILE.replace("task: answer", "task: agent\nclientTools: allow").replace("maxTokens: 64", setting)
    with pytest.raises(PolicyError) as caught:
        load_profiles(write_profile(tmp_path, text))
    assert [(found.code, found.place.line) for found in caught.value.diagnostics] == [(code, 5)]
