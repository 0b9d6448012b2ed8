"""`check` of profiles, and `keys`."""

import hashlib
from pathlib import Path

from tests.profiles.case import KEYS, PROFILE, write_profile

from .conftest import Run


def test_check_counts_profiles_beside_policies(run: Run, tmp_path: Path) -> None:
    write_profile(tmp_path)
    done = run("check", "x.profile.yaml")
    assert (done.status, done.out) == (0, "1 profile: no errors\n")
    done = run("check", ".")
    assert (done.status, done.out) == (0, "4 documents, 4 rules, 4 tests, 1 profile: no errors\n")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "y.profile.yaml").write_text(
        PROFILE.replace("promises.p", "../promises.p").replace("more", "../more")
    )
    assert run("check", "only").out == "1 profile: no errors\n"


def test_check_shows_a_profiles_mistakes(run: Run, tmp_path: Path) -> None:
    write_profile(tmp_path, PROFILE.replace("temperature: 0.5", "temperature: 1.5"))
    (tmp_path / "z.profile.yml").write_text(PROFILE)
    done = run("check", ".")
    assert done.status == 3
    assert "x.profile.yaml:6:25: PK604: `temperature` is 1.5, and a request may have 1 at most\n" in done.out
    assert "    6 | decoding: {temperature: 1.5, maxTemperature: 1.0, maxTokens: 64}\n" in done.out
    assert "z.profile.yml:1:1: PK601:" in done.out
    assert done.out.endswith("2 errors\n")


def test_check_says_what_openai_s_parameters_are_called(run: Run, tmp_path: Path) -> None:
    write_profile(tmp_path, f"{PROFILE}tools: [{{name: refund, parameters: {{type: object}}}}]\n")
    done = run("check", "x.profile.yaml")
    assert "unknown field `parameters`" in done.out
    assert "help: did you mean `arguments`?" in done.out


def test_check_names_the_command_for_keys(run: Run, tmp_path: Path) -> None:
    (tmp_path / "acme.keys.yaml").write_text(KEYS)
    done = run("check", "acme.keys.yaml")
    assert (done.status, done.out) == (3, "")
    assert "PK550: policykit check: `acme.keys.yaml` is a file of keys" in done.err
    assert "help: policykit keys check acme.keys.yaml --profiles PATH" in done.err


def test_check_compiles_what_a_profile_is_served_under(run: Run, tmp_path: Path) -> None:
    write_profile(tmp_path, PROFILE.replace("cannot answer that", "have guaranteed returns"))
    done = run("check", "x.profile.yaml")
    assert (done.status, "PK609" in done.out) == (3, True)


def test_a_new_key_is_printed_once_with_its_line(run: Run, tmp_path: Path) -> None:
    done = run("keys", "new", "acme-web", "--tenant", "acme", "--profiles", "retail", "other")
    assert done.status == 0
    key, line = done.out.splitlines()
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert line == f"  - {{id: acme-web, sha256: {digest}, tenant: acme, profiles: [retail, other], default: retail}}"
    ops = run("keys", "new", "ops", "--admin").out.splitlines()[1]
    (tmp_path / "x.keys.yaml").write_text(f"apiVersion: policykit/v1\nkind: Keys\nkeys:\n{line}\nadmins:\n{ops}\n")
    checked = run("keys", "check", "x.keys.yaml")
    assert (checked.status, checked.out) == (0, "1 key, 1 admin key: no errors\n")
    assert run("keys", "new", "acme-web", "--tenant", "acme", "--profiles", "retail").out.splitlines()[0] != key


def test_keys_are_checked_against_profiles(run: Run, tmp_path: Path) -> None:
    write_profile(tmp_path)
    (tmp_path / "x.keys.yaml").write_text(KEYS)
    assert run("keys", "check", "x.keys.yaml").status == 0
    done = run("keys", "check", "x.keys.yaml", "--profiles", "x.profile.yaml")
    assert done.status == 3
    assert "x.keys.yaml:4:10: PK610: the key `acme-web` grants `other`, and there is no such profile\n" in done.out


def test_a_key_is_a_clients_or_an_operators(run: Run) -> None:
    for argv in (["ops"], ["ops", "--admin", "--tenant", "a"], ["ops", "--tenant", "a"], ["ops", "--profiles", "a"]):
        done = run("keys", "new", *argv)
        assert (done.status, done.out) == (3, "")
    done = run("keys", "new", "ops: x", "--tenant", "a", "--profiles", "b")
    assert (done.status, done.out) == (3, "")
    assert 'PK550: "ops: x" is no valid name' in done.err


def test_a_rule_that_no_profile_meets_is_a_warning(tmp_path: Path, run: Run) -> None:
    path = write_profile(tmp_path, PROFILE.replace(", more", ""))
    policy = tmp_path / "promises.policy.yaml"
    rule = "  - {id: more, scope: {profiles: [retial]}, match: {phrases: [x]}, action: {block: {}}}\n"
    policy.write_text(policy.read_text().replace("tests:", f"{rule}tests:"))
    found = run("check", path)
    assert (found.status, found.out.count("PK618")) == (0, 1)
    assert run("check", path, "--max-warnings", "0").status == 2
