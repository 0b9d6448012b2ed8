"""`policykit new`: a policy file to start from, with a commented rule and two tests that pass."""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from policykit.cli.command import Command
from policykit.cli.exits import Exit
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.policy import parse_document

SUFFIX = ".policy.yaml"

_SCAFFOLD = """\
apiVersion: policykit/v1
kind: Policy
metadata:
  name: {name}
  version: 0.1.0
  owner: team@example.org        # who answers for this policy
  why: Replies must not promise what only a contract can promise
rules:
  # One rule: what must not be said, and what happens instead.
  - id: no-guarantees
    severity: high               # low | medium | high | critical
    match:
      # Found in any case and spelling, with any spaces, dashes or markdown marks between the words,
      # and only as whole words. `exact: true` turns the freedom between the words off.
      phrases:
        - guaranteed returns
        - risk-free profit
    action:
      block:
        message: We can't promise outcomes.
        onMatch: avoid           # avoid: it cannot be generated; stop: it is found and the message is shown instead
# Tests live beside the rules. Run them with `policykit test`.
tests:
  - name: blocks a guarantee
    given: {{output: "Sure, guaranteed returns of 8%!"}}
    expect: {{decision: block, rules: [no-guarantees]}}
  - name: a guarantee of delivery promises no returns
    given: {{output: "Delivery is guaranteed, returns are free."}}
    expect: {{decision: allow}}
"""


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the policy, such as `finance/promises`")
    parser.add_argument("--dir", type=Path, default=Path("policies"), help="folder to write to (default: policies)")


def _check_name(name: str) -> None:
    """Raises PolicyError for what the loader would not take as a policy's name: nothing is written then."""
    try:
        parse_document(_SCAFFOLD.format(name=json.dumps(name)), name)
    except PolicyError as error:
        raise PolicyError(replace(found, place=None) for found in error.diagnostics) from None


def _run(args: Namespace, streams: Streams) -> Exit:
    name: str = args.name
    path: Path = args.dir / f"{name}{SUFFIX}"
    _check_name(name)
    text = _SCAFFOLD.format(name=name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PolicyError.of(
            "PK552", f"`{path}` exists and is not overwritten", help="choose another name, or another --dir"
        ) from None
    streams.out.print(f"wrote {path}\nnext: policykit test {path}")
    return Exit.FINE


COMMAND = Command("new", "write a policy file to start from", _configure, _run)
