"""`policykit bundle`: from folders to a signed archive, and what is refused on the way."""

import json
from pathlib import Path

from tests.bundle.making import write
from tests.cli.conftest import Run


def test_build_sign_verify_inspect(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "source")
    assert run("bundle", "keygen", "key").status == 0
    built = run("bundle", "build", "source", "--revision", "4", "--expires", "2099-01-01", "--out", "a.bundle")
    assert built.status == 0, built.err
    assert "revision 4, 6 files, 1 rule, 1 profile" in built.out
    assert "left out: profiles/clients.keys.yaml" in built.err
    assert run("bundle", "verify", "a.bundle", "--trusted", "key.pub").status == 3
    assert "not signed" in run("bundle", "inspect", "a.bundle").out
    before = (tmp_path / "a.bundle").read_bytes()
    assert run("bundle", "sign", "a.bundle", "--key", "key", "--detached", "a.sig").status == 0
    assert (tmp_path / "a.bundle").read_bytes() == before
    assert run("bundle", "verify", "a.bundle", "--trusted", "key.pub", "--signature", "a.sig").status == 0
    assert run("bundle", "sign", "a.bundle", "--key", "key").status == 0
    verified = run("bundle", "verify", "a.bundle", "--trusted", "key.pub", "--min-revision", "4")
    assert (verified.status, verified.err) == (0, "")
    assert "signed by " in verified.out
    assert run("bundle", "verify", "a.bundle", "--trusted", "key.pub", "--at", "2099-01-01").status == 3
    inspected = run("bundle", "inspect", "a.bundle")
    assert "policies/lists/promises.csv" in inspected.out
    assert "profile retail 1.2.0: sha256:" in inspected.out
    content = json.loads(run("bundle", "inspect", "a.bundle", "--format", "json").out)
    assert content["revision"] == 4
    assert [signature["right"] for signature in content["signatures"]] == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bundle", "a.sig", "key", "key.pub", "source"]


def test_an_altered_bundle_is_reported_with_its_code(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "source")
    run("bundle", "keygen", "key")
    run("bundle", "build", "source", "--revision", "4", "--out", "a.bundle")
    run("bundle", "sign", "a.bundle", "--key", "key")
    path = tmp_path / "a.bundle"
    path.write_bytes(path.read_bytes().replace(b"sure gains", b"pure gains"))
    verified = run("bundle", "verify", "a.bundle", "--trusted", "key.pub", "--format", "json")
    assert verified.status == 3
    assert "PK645" in verified.out
    assert run("bundle", "sign", "a.bundle", "--key", "key").status == 3
    assert run("bundle", "verify", "a.bundle", "--trusted", "key.pub", "--signature", "nothing.sig").status == 3
    assert run("bundle", "build", "source", "--revision", "4", "--out", "no/such/folder").status == 3
