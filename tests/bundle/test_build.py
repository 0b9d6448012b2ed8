"""Building: the same bytes for the same files, and content that is what the files say."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from datetime import date
from pathlib import Path

import pytest

from policykit.bundle import build, generate, open_bundle, parse
from policykit.diagnostics import PolicyError
from policykit.plan import compile as compile_plan
from policykit.policy import load_policies
from policykit.profiles import load_profiles
from tests.bundle.making import FILES, LEFT_OUT, write


def codes(error: PolicyError) -> set[str]:
    return {diagnostic.code for diagnostic in error.diagnostics}


def test_what_is_opened_is_what_was_built(tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    (tmp_path / "a.bundle").write_bytes(build([source], 3).bundle.render())
    opened = open_bundle(tmp_path / "a.bundle", required=False)
    assert opened.profiles.digest == load_profiles(source).digest
    there = load_policies(source)
    assert [d.canonical for d in opened.policies.documents] == [d.canonical for d in there.documents]
    assert [d.tests[0].name for d in opened.policies.documents] == [d.tests[0].name for d in there.documents]
    day = date(2026, 1, 1)
    assert compile_plan(opened.policies, at=day).digest == compile_plan(there, at=day).digest
    assert compile_plan(opened.policies, at=day).verify("sure gains").decision == "block"
    assert opened.revision == "3"


def test_places_are_in_the_bundle(tmp_path: Path) -> None:
    source, path = write(tmp_path / "source"), tmp_path / "a.bundle"
    path.write_bytes(build([source], 1).bundle.render())
    opened = open_bundle(path, required=False)
    assert opened.policies.documents[0].place.file == f"{path}/policies/promises.policy.yaml"
    (profile,) = opened.profiles
    assert profile.place.file == f"{path}/profiles/retail.profile.yaml"
    assert set(profile.files) == {f"{path}/{name}" for name in profile_files()}
    assert "policykit-bundle-" not in repr(opened)


def profile_files() -> set[str]:
    return {name for name in FILES if not name.endswith((".csv", ".tests.yaml"))}


def test_the_archive_is_one_that_others_read(tmp_path: Path) -> None:
    bundle = build([write(tmp_path / "source")], 1).bundle
    with tarfile.open(fileobj=io.BytesIO(bundle.render())) as archive:
        names = [info.name for info in archive]
        assert {(info.mtime, info.uid, info.gid, info.mode, info.uname) for info in archive} == {(0, 0, 0, 0o644, "")}
        for entry in bundle.manifest.files:
            data = archive.extractfile(f"content/{entry.path}").read()  # type: ignore[union-attr]
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == entry.sha256
            assert data == FILES[entry.path].encode()
    assert names == ["policykit-bundle.json", *sorted(f"content/{name}" for name in FILES)]


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    assert set(build([write(tmp_path)], 1).left_out) == set(LEFT_OUT)


def test_a_file_that_is_named_is_packed_whatever_its_kind(tmp_path: Path) -> None:
    write(tmp_path)
    built = build([tmp_path, tmp_path / "policies" / "notes.docx"], 1)
    assert "policies/notes.docx" in [member.name for member in built.bundle.files]


def test_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """In other processes, folders, orders of files, time zones, umasks, hash seeds and locales."""
    expected = build([write(tmp_path / "a" / "source")], 5, at=date(2026, 3, 1)).bundle.render()
    write(tmp_path / "elsewhere" / "deep" / "copy", lambda names: sorted(names, reverse=True))
    program = (
        "import os, sys; os.umask(int(sys.argv[2], 8)); from datetime import date; from policykit.bundle import build;"
        "sys.stdout.buffer.write(build([sys.argv[1]], 5, at=date(2026, 3, 1)).bundle.render())"
    )
    root = str(Path(__file__).resolve().parents[2])
    for seed, zone, umask, cwd, path in (
        ("1", "Pacific/Kiritimati", "077", tmp_path, "elsewhere/deep/copy"),
        ("2", "America/Los_Angeles", "000", tmp_path / "elsewhere", "../elsewhere/./deep/copy/"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, path, umask], cwd=cwd, capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": root, "LC_ALL": "C"},
        )  # fmt: skip
        assert done.stdout == expected


def test_plans_are_put_down_for_a_day(tmp_path: Path) -> None:
    day = date(2026, 3, 1)
    manifest = build([write(tmp_path)], 1, at=day).bundle.manifest
    (profile,) = load_profiles(tmp_path)
    there = compile_plan(profile.policies, profile.grammar, profile="retail", at=day)
    assert [entry.plan for entry in manifest.profiles] == [there.digest]


def test_a_file_outside_is_refused_with_its_place(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(PolicyError) as caught:
        build([tmp_path / "profiles", tmp_path / "profiles"], 1)
    assert codes(caught.value) == {"PK655"}
    places = {diagnostic.place.file for diagnostic in caught.value.diagnostics if diagnostic.place}
    assert places == {str(tmp_path / "profiles" / "retail.profile.yaml")}


def test_mistakes_in_policies_are_reported_where_they_stand(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "policies" / "promises.policy.yaml"
    path.write_text(path.read_text().replace("block", "blok"))
    with pytest.raises(PolicyError) as caught:
        build([tmp_path], 1)
    assert str(path) in {diagnostic.place.file for diagnostic in caught.value.diagnostics if diagnostic.place}


def test_nothing_to_pack(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("phrase\n")
    with pytest.raises(PolicyError) as caught:
        build([tmp_path], 1)
    assert codes(caught.value) == {"PK656"}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_links_are_refused(tmp_path: Path, what: str) -> None:
    source = write(tmp_path / "source")
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "x.csv").write_text("phrase\n")
    target = tmp_path / "aside" / "x.csv" if what == "file" else tmp_path / "aside"
    (source / "policies" / "linked.csv").symlink_to(target)
    with pytest.raises(PolicyError) as caught:
        build([source], 1)
    assert codes(caught.value) == {"PK643"}


@pytest.mark.parametrize(
    ("name", "code"),
    [("a\\b.csv", "PK642"), ("a\u0308.csv", "PK642"), ("a\u200b.csv", "PK642"), ("PROMPT.txt", "PK644")],
)
def test_names_that_are_not_the_same_everywhere_are_refused(tmp_path: Path, name: str, code: str) -> None:
    write(tmp_path)
    (tmp_path / "profiles" / name).write_text("x")
    with pytest.raises(PolicyError) as caught:
        build([tmp_path], 1)
    assert codes(caught.value) == {code}


def test_large_files_and_long_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "large.txt").write_bytes(b"x" * ((1 << 20) + 4))
    with pytest.raises(PolicyError) as caught:
        build([tmp_path], 1)
    assert codes(caught.value) == {"PK641"}
    (tmp_path / "large.txt").rename(tmp_path / f"{'x' * 150}.txt")
    (tmp_path / f"{'x' * 150}.txt").write_text("x")
    with pytest.raises(PolicyError) as caught:
        build([tmp_path], 1).bundle.render()
    assert codes(caught.value) == {"PK642"}


def test_parse_gives_back_what_was_rendered(tmp_path: Path) -> None:
    generate(tmp_path / "key")
    bundle = build([write(tmp_path / "source")], 1, expires=date(2030, 1, 1)).bundle.signed_by(tmp_path / "key")
    assert parse(bundle.render(), "a.bundle") == bundle
