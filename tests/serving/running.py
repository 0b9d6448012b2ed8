"""Servers on real sockets of the loopback, each with an event loop of its own; and the profiles that they serve."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import uvicorn

from policykit.profiles import Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Guard, Serving
from policykit.serving.connections import connections
from policykit.serving.exchange import Account
from policykit.serving.upstream_http import HttpUpstream
from policykit.serving.waits import Waits
from tests.serving.peer import Peer

POLICIES = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: house, version: 1.0.0, owner: a@example.org, why: for tests of the guard}
rules:
  - id: no-promises
    severity: high
    cost: 1.0
    why: promises are not kept
    match: {phrases: [guaranteed returns, certain profit]}
    action: {block: {}}
  - id: no-secrets
    severity: high
    cost: 1.0
    why: secrets are not told
    match: {phrases: [project aurora]}
    action: {block: {message: I cannot speak about that., onMatch: stop}}
  - id: mask-codes
    severity: low
    cost: 0.5
    why: codes are masked
    match: {phrases: [code 1234]}
    action: {transform: {replace: {with: "[CODE]"}}}
  - id: no-orders
    severity: high
    cost: 1.0
    why: nobody overrides the prompt
    target: input
    match: {phrases: [ignore all instructions]}
    action: {block: {message: That is not a question.}}
  - id: mask-numbers-in-questions
    severity: low
    cost: 0.5
    why: numbers are not passed on
    target: input
    match: {regex: ['\\b\\d{6}\\b']}
    action: {transform: {replace: {with: "[NUMBER]"}}}
  - id: no-orders-in-results
    severity: high
    cost: 1.0
    why: results give no orders
    target: tool_result
    match: {phrases: [send everything]}
    action: {block: {message: The result gives orders.}}
  - id: no-big-orders
    severity: high
    cost: 1.0
    why: big orders are for people
    target: tool_call
    match: {phrases: [gold bars]}
    action: {block: {message: I cannot order that., onMatch: stop}}
"""
OTHER = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: other, version: 1.0.0, owner: a@example.org, why: for tests with two tenants}
rules:
  - id: no-weather
    severity: high
    cost: 1.0
    why: no weather here
    match: {phrases: [sunny weather]}
    action: {block: {message: No weather here., onMatch: stop}}
"""
SCHEMA = """\
{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false}
"""
HEAD = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: %(name)s, version: 1.0.0, owner: a@example.org, why: for tests}
"""
PROFILES = {
    "plain": """\
task: answer
policies: [house.policy.yaml]
decoding: {temperature: 0.5, maxTemperature: 1.0, maxTokens: 50, maxChoices: 4}
limits: {timeoutSeconds: 20, inputCharacters: 2000, outputTokens: 100, attempts: 3}
fallback: Please ask a colleague.
reasoning: covered
""",
    "prompted": """\
task: answer
policies: [house.policy.yaml]
systemPrompt: {id: p1, text: You are kind.}
fallback: Please ask a colleague.
model: big-model
adapter: kind-adapter
""",
    "records": """\
task: extract
policies: [house.policy.yaml]
grammar: record.schema.json
fallback: '{"name": ""}'
""",
    "open": """\
task: extract
policies: [house.policy.yaml]
clientGrammar: true
fallback: '{}'
""",
    "agent": """\
task: agent
policies: [house.policy.yaml]
fallback: I cannot do that.
tools:
  - name: order
    description: Orders something.
    arguments: {type: object, properties: {what: {type: string}}, required: [what], additionalProperties: false}
  - {name: certain_profit, arguments: {type: object}}
  - {name: code_1234, arguments: {type: object}}
  - {name: note, outputRules: ignore, arguments: {type: object}}
  - {name: pay, outputRules: block, arguments: {type: object}}
  - {name: pick, arguments: {enum: [code 1234, other]}}
""",
    "tooled": """\
task: agent
policies: [house.policy.yaml]
fallback: I cannot do that.
clientTools: allow
limits: {clientTools: 2, clientToolCharacters: 400}
tools:
  - name: order
    arguments: {type: object, properties: {what: {type: string}}, required: [what], additionalProperties: false}
""",
    "other": """\
task: answer
policies: [other.policy.yaml]
fallback: Elsewhere.
tenants: [globex]
""",
    "tight": """\
task: answer
policies: [house.policy.yaml]
limits: {timeoutSeconds: 1, requestsPerMinute: 3, concurrent: 1}
fallback: Please ask a colleague.
""",
    "brief": """\
task: answer
policies: [house.policy.yaml]
limits: {timeoutSeconds: 1}
fallback: Please ask a colleague.
""",
    "dear": """\
task: answer
policies: [house.policy.yaml]
limits: {attempts: 10, maxCost: 0.00005, inputPrice: 0.0, outputPrice: 1.0}
fallback: Please ask a colleague.
""",
}
KEYS = {
    "key-acme": Grant("k1", "acme", tuple(name for name in PROFILES if name != "other"), "plain"),
    "key-globex": Grant("k2", "globex", ("other",), "other"),
    "key-narrow": Grant("k3", "acme", ("prompted",), "prompted"),
    "key-open": Grant("k5", "acme", ("open",), "open"),
    "key-foreign": Grant("k4", "acme", ("plain", "other"), "plain"),
}


def deployment(folder: Path, **more: Any) -> Deployment:
    """The profiles above, from files in a folder, and the keys above."""
    (folder / "house.policy.yaml").write_text(POLICIES, "utf-8")
    (folder / "other.policy.yaml").write_text(OTHER, "utf-8")
    (folder / "record.schema.json").write_text(SCHEMA, "utf-8")
    for name, text in PROFILES.items():
        (folder / f"{name}.profile.yaml").write_text(HEAD % {"name": name} + text, "utf-8")
    keys = Keyring({digest_of_key(key): grant for key, grant in KEYS.items()})
    return Deployment(load_profiles(folder), keys, model="base-model", **more)


@contextmanager
def served(app: Any, waits: Waits | None = None) -> Iterator[str]:
    """The address of a server that runs an application until the end of the block, with the connections of
    `policykit serve`."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="critical", lifespan="on", timeout_graceful_shutdown=2, http=connections(waits or Waits()),
        ws="none",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            threading.Event().wait(0.005)
        assert server.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@dataclass
class Kept:
    """A log in memory. ``fails``: it takes nothing more."""

    accounts: list[Account] = field(default_factory=list)
    fails: bool = False

    async def keep(self, account: Account) -> None:
        if self.fails:
            raise OSError("no space left on the device")
        self.accounts.append(account)


@dataclass
class World:
    """A guard before a peer."""

    url: str
    peer: Peer
    log: Kept
    serving: Serving
    guard: Guard

    def client(self, key: str = "key-acme") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=30)

    @property
    def last(self) -> Account:
        return self.log.accounts[-1]


@contextmanager
def world(folder: Path, **more: Any) -> Iterator[World]:
    """A guard and its peer, both over HTTP."""
    peer, log = Peer(), Kept()
    with ExitStack() as stack:
        upstream = HttpUpstream(stack.enter_context(served(peer)), api_key="upstream-key")
        serving = Serving(deployment(folder))
        guard = Guard(serving, upstream, log, **more)
        yield World(stack.enter_context(served(guard)), peer, log, serving, guard)
