"""A profile and a key file without mistakes, and one mistake in either."""

from dataclasses import dataclass
from pathlib import Path

PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: retail, version: 1.2.0, owner: a@b.c, why: because}
task: answer
policies: [promises.policy.yaml, more]
decoding: {temperature: 0.5, maxTemperature: 1.0, maxTokens: 64}
systemPrompt: {id: retail-v1, text: Be brief.}
tenants: ['acme-*', other]
limits: {outputTokens: 128}
fallback: I cannot answer that.
"""
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: NAME, version: 1.0.0, owner: a@b.c, why: because}
scope: {profiles: [retail, other]}
rules:
  - id: no-guarantees
    match: {phrases: [guaranteed returns]}
    action: {block: {message: no}}
tests: [{name: a, given: {output: guaranteed returns}, expect: {decision: block}}]
"""
SHA_A, SHA_B, SHA_C = "a" * 64, "0123456789abcdef" * 4, "c" * 64
KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys:
  - {{id: acme-web, sha256: {SHA_A}, tenant: acme-1, profiles: [retail, other], default: retail}}
  - {{id: acme-old, sha256: {SHA_B}, tenant: other, profiles: [retail], expires: 2026-01-01}}
admins:
  - {{id: ops, sha256: {SHA_C}}}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """``old`` in the base becomes ``new``; what must be underlined stands between `«` and `»`."""

    name: str
    code: str
    old: str
    new: str
    help: str

    def marked(self, base: str) -> str:
        assert base.count(self.old) == 1, "the changed part must be unique"
        return base.replace(self.old, self.new)


def write_profile(folder: Path, text: str = PROFILE) -> Path:
    """The profile with the policies that it names."""
    (folder / "more").mkdir(exist_ok=True)
    (folder / "promises.policy.yaml").write_text(POLICY.replace("NAME", "promises"))
    (folder / "more" / "a.policy.yaml").write_text(POLICY.replace("NAME", "a").replace("retail, ", ""))
    (folder / "more" / "b.policy.yaml").write_text(POLICY.replace("NAME", "b"))
    (folder / "elsewhere.policy.yaml").write_text(POLICY.replace("NAME", "elsewhere").replace("retail, ", ""))
    (folder / "answer.lark").write_text('start: "yes" | "no"\n')
    (folder / "blank.txt").write_text(" \n")
    path = folder / "x.profile.yaml"
    path.write_text(text)
    return path


def expected_place(marked: str) -> tuple[int, int, str]:
    """Line and column of the mark, counted from 1, and the marked text."""
    start = marked.index("«")
    line = marked.count("\n", 0, start) + 1
    return line, start - (marked.rfind("\n", 0, start) + 1) + 1, marked[start + 1 : marked.index("»")]
