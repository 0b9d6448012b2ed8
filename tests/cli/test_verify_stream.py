"""`policykit verify --stream`: the text goes through as far as it may, the verdict stands beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "import sys; from policykit.cli.main import main; sys.exit(main())"
ARGUMENTS = [sys.executable, "-c", MAIN, "verify", "--stream", "--policies"]
POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: finance/promises, version: 1.0.0, owner: compliance@example.org, why: no promises of returns}
rules:
  - id: no-guarantees
    match: {phrases: [guaranteed returns]}
    action: {block: {message: We can't promise outcomes.}}
  - id: mask-cards
    match: {entities: [payment_card]}
    action: {transform: {mask: {with: '[{type}_{n}]'}}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "p.policy.yaml"
    path.write_text(POLICY)
    return str(path)


@pytest.mark.parametrize(
    ("text", "out", "status", "decision"),
    [
        (b"Nothing to see.\n", b"Nothing to see.\n", 0, "allow"),
        (b"card 4111 1111 1111 1111!\n", b"card [CARD_1]!\n", 0, "transform"),
        (b"Good: guaranteed returns!\n", b"Good: We can't promise outcomes.", 1, "block"),
        (b"caf\xc3\xa9 \xff", "café ".encode(), 1, "block"),
    ],
)
def test_the_text_goes_through_and_the_verdict_stands_beside_it(
    policy: str, text: bytes, out: bytes, status: int, decision: str
) -> None:
    done = subprocess.run(
        [*ARGUMENTS, policy, "--format", "json", "-"], input=text, capture_output=True, check=False, timeout=120
    )
    assert (done.stdout, done.returncode, json.loads(done.stderr)["decision"]) == (out, status, decision)


def test_what_may_be_shown_does_not_wait_for_the_end(policy: str) -> None:
    with subprocess.Popen(
        [*ARGUMENTS, policy, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin
        assert running.stdout
        assert running.stderr
        running.stdin.write(b"All is well, guaranteed ")
        running.stdin.flush()
        assert running.stdout.read(12) == b"All is well,"
        running.stdin.write(b"returns")
        running.stdin.close()
        assert running.stdout.read() == b" We can't promise outcomes."
        assert b"no-guarantees: guaranteed returns" in running.stderr.read()
    assert running.returncode == 1


def test_what_holds_everything_back_is_said(policy: str, tmp_path: Path) -> None:
    Path(policy).write_text(POLICY.replace("{mask: {with: '[{type}_{n}]'}}", "{append: Bye.}"))
    file = tmp_path / "reply.txt"
    file.write_text("card 4111 1111 1111 1111")
    done = subprocess.run(
        [*ARGUMENTS, policy, "--", str(file)], capture_output=True, check=False, timeout=120, text=True
    )
    assert "held back until the end" in done.stderr
    assert "append changes the output as a whole" in done.stderr
    assert done.stdout.startswith("card 4111")
