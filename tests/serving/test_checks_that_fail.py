"""A check that should have run and could not: nothing goes out, the error has a name, and the record says so."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import policykit as pk
from policykit.predicates import TextPredicate
from policykit.profiles import Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Guard, Outcome, Serving
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import HEAD, KEYS, PROFILES, Kept, served

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@example.org, why: a test with a check outside}
rules:
  - id: asked-elsewhere
    severity: high
    cost: 1.0
    why: another system knows
    match: {predicate: known_elsewhere}
    action: {block: {message: No.}}
"""


@contextmanager
def guarded(folder: Path, find: Callable[..., Any]) -> Iterator[tuple[str, Kept]]:
    (folder / "house.policy.yaml").write_text(POLICY, "utf-8")
    (folder / "plain.profile.yaml").write_text(HEAD % {"name": "plain"} + PROFILES["plain"], "utf-8")
    keys = Keyring({digest_of_key("key-acme"): KEYS["key-acme"]})
    predicates = {"known_elsewhere": TextPredicate(find, "1.0.0")}
    resources = pk.Resources(predicates=predicates, deadline_s=0.3)
    log = Kept()
    peer = Peer(answer=lambda body: Say(("A text that was not checked.",) * body.get("n", 1)))
    deployment = Deployment(load_profiles(folder), keys, model="m", resources=resources)
    with ExitStack() as stack:
        guard = Guard(Serving(deployment), AppUpstream(peer), log)
        yield stack.enter_context(served(guard)), log


def raises(text: str, args: Any, context: Any) -> object:
    raise ConnectionError("the other system is down")


def sleeps(text: str, args: Any, context: Any) -> object:
    time.sleep(1.0)
    return False


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("find", [raises, sleeps, lambda *_: "maybe"], ids=["down", "slow", "no answer"])
def test_nothing_goes_out_that_was_not_checked(tmp_path: Path, find: Any, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    with guarded(tmp_path, find) as (url, log):
        answer = httpx.post(
            f"{url}/v1/chat/completions", json=body, headers={"authorization": "Bearer key-acme"}, timeout=30
        )
    assert answer.status_code == 503
    assert json.loads(answer.content)["error"]["code"] == "policykit_check_failed"
    assert "not checked" not in answer.text
    assert "down" not in answer.text
    (account,) = log.accounts
    assert account.outcome is Outcome.ERRORED
