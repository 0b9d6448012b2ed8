"""A folder with every kind of file that a bundle holds, and archives that nobody ought to have written."""

import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: promises, version: 1.0.0, owner: a@b.c, why: because}
rules:
  - id: no-guarantees
    severity: high
    match: {phrases: {csv: lists/promises.csv}}
    action: {block: {message: no}}
"""
SIDE = """\
apiVersion: policykit/v1
kind: Tests
document: promises
tests: [{name: a, given: {output: guaranteed returns}, expect: {decision: block}}]
"""
PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: retail, version: 1.2.0, owner: a@b.c, why: because}
task: answer
policies: [../policies]
grammar: ../grammars/answer.lark
systemPrompt: {id: retail-v1, file: prompt.txt}
fallback: 'no'
"""
FILES = {
    "policies/promises.policy.yaml": POLICY,
    "policies/promises.tests.yaml": SIDE,
    "policies/lists/promises.csv": "phrase\nguaranteed returns\nsure gains\n",
    "grammars/answer.lark": 'start: "yes" | "no"\n',
    "profiles/retail.profile.yaml": PROFILE,
    "profiles/prompt.txt": "Be brief.\n",
}
LEFT_OUT = {
    "profiles/clients.keys.yaml": "apiVersion: policykit/v1\nkind: Keys\nkeys: []\n",
    "policies/notes.docx": "x",
    "policies/.hidden.csv": "x",
}


def write(folder: Path, order: Callable[[Iterable[str]], Iterable[str]] = list) -> Path:
    """The files above, written in an order."""
    files = FILES | LEFT_OUT
    for name in order(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], "utf-8")
    return folder


def rewritten(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The archive with other members, written by `tarfile` in the form that bundles have."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    change(members)
    return tar([(name, content, tarfile.REGTYPE) for name, content in members.items()])


def tar(members: Iterable[tuple[str, bytes, bytes]]) -> bytes:
    """An archive of names, contents and types."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode = kind, len(content), 0o644
            if kind != tarfile.REGTYPE:
                info.size, info.linkname = 0, "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    data = out.getvalue().rstrip(b"\0")
    return data + bytes(-len(data) % 512) + bytes(1024)
