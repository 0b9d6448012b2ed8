"""Profiles whose answers are drawn freely, and what must hold of them on any engine with the embedded model."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai

from policykit.audit import SamplingReport
from policykit.profiles import Grant, Keyring, digest_of_key

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: words, version: 1.0.0, owner: a@example.org, why: words that the model likes to write}
rules:
  - id: no-thanks
    severity: high
    cost: 1.0
    match: {phrases: [thank you, thanks, sorry, good question, fair question]}
    action: {block: {}}
  - id: no-days
    severity: low
    cost: 0.2
    match: {phrases: [working days]}
    action: {transform: {replace: {with: days}}}
"""
HOPELESS = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: nothing, version: 1.0.0, owner: a@example.org, why: nothing of what the model writes is legal}
rules:
  - id: no-words
    match: {regex: ['[\\w€$£]']}
    action: {block: {}}
"""
PROFILE = """\
apiVersion: policykit/v1
kind: Profile
metadata: {name: %s, version: 1.0.0, owner: a@example.org, why: answers that are drawn}
task: answer
policies: [%s.policy.yaml]
decoding: {strategy: %s, maxTokens: 80, maxChoices: 2}
limits: {attempts: %d, timeoutSeconds: 60}
fallback: "—"
"""
NAMES = ("reject", "exact", "block", "auto")
PROFILES = {name: ("words", name, 8) for name in NAMES} | {"masked": ("words", "mask", 3)}
PROFILES |= {f"no-{name}": ("nothing", name, 1) for name in NAMES}
PROFILES |= {f"least-{name}": ("nothing", f"{name}, minLegalMass: 0.6", 8) for name in NAMES}
KEY = "key-of-acme"
BANNED = re.compile(r"\b(?:thank\s+you|thanks|sorry|good\s+question|fair\s+question)\b", re.IGNORECASE)
MESSAGES: Any = [{"role": "user", "content": "My card was charged twice."}]
Reports = Callable[[], tuple[str, tuple[SamplingReport, ...], str]]
"""Of the last request: how it ended, what its samplings were, and what its record says of the mask."""


def write(folder: Path) -> None:
    (folder / "words.policy.yaml").write_text(POLICY, "utf-8")
    (folder / "nothing.policy.yaml").write_text(HOPELESS, "utf-8")
    for name, about in PROFILES.items():
        (folder / f"{name}.profile.yaml").write_text(PROFILE % (name, *about), "utf-8")


def keys() -> Keyring:
    return Keyring({digest_of_key(KEY): Grant("k", "acme", tuple(PROFILES), "exact")})


def said(client: openai.OpenAI, profile: str, *, stream: bool = False, **more: Any) -> tuple[str, str]:
    """An answer and its finish."""
    asked: Any = {"model": f"profile:{profile}", "messages": MESSAGES, **more}
    answer: Any = client.chat.completions.create(**asked, stream=stream)
    if not stream:
        return answer.choices[0].message.content, answer.choices[0].finish_reason
    chunks = [chunk for chunk in answer if chunk.choices]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return text, next(c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason)


def check_answers(client: openai.OpenAI, name: str, last: Reports) -> None:
    """What is banned does not come, whole or streamed; both say the same; and the record knows what it cost."""
    n_refused = 0
    for seed in range(6):
        text, finish = said(client, name, seed=seed)
        outcome, (report,), mask = last()
        assert finish in ("stop", "length")
        assert outcome in ("served", "transformed")
        assert mask == "free"
        assert not BANNED.search(text + " ")
        assert "working days" not in text, "rules that change texts change these"
        assert (report.strategy, report.ending) == (name, "accepted")
        assert report.tokens > 0
        n_refused += sum(n for _, n in report.refused)
        assert {rule for rule, _ in report.refused} <= {"words#no-thanks"}
        if name != "block":  # that one cannot go back as far once it has shown something
            assert said(client, name, seed=seed, stream=True) == (text, finish)
    assert n_refused > 0, "or nothing was held"


def check_least(client: openai.OpenAI, name: str, last: Reports) -> None:
    """Less legal mass than the profile asks for: the fallback, long before the budget ends, with the proven bound."""
    for stream in (False, True):
        text, finish = said(client, f"least-{name}", seed=-7, stream=stream)
        outcome, (report,), _ = last()
        assert (text, finish, outcome) == ("—", "content_filter", "fallback")
        assert report.ending == "no_legal_mass"
        assert 0.0 <= report.legal_mass_bound < 0.6
        assert 0 < report.tokens < 80, "one text of eight that the budget has"


def check_hopeless(client: openai.OpenAI, name: str, last: Reports) -> None:
    """Almost no legal mass: the fallback, within the budget, with the bound and the reasons on record."""
    for stream in (False, True):
        text, finish = said(client, f"no-{name}", seed=1, stream=stream)
        outcome, (report,), _ = last()
        assert (text, finish, outcome) == ("—", "content_filter", "fallback")
        assert report.ending in ("out_of_tokens", "no_legal_mass")
        assert report.tokens <= 80
        assert 0.0 <= report.legal_mass_bound <= 1.0
        assert dict(report.refused).get("nothing#no-words", 0) > 0
