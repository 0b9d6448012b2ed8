"""Profiles as values: what a request is served under."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, cast

from policykit.compile import glob_matches
from policykit.compile.digest import bundle_digest
from policykit.diagnostics import Diagnostic, Place
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec

FORMAT = 1
"""Version of what a profile means. A change of meaning raises it."""


class Task(StrEnum):
    """What a profile is for."""

    ANSWER = "answer"
    SUMMARIZE = "summarize"
    EXTRACT = "extract"
    AGENT = "agent"


class Strategy(StrEnum):
    """How what must not be written is kept out: by the mask, by rejecting outputs, or by going back in them."""

    MASK = "mask"
    REJECT = "reject"
    EXACT = "exact"
    BLOCK = "block"
    AUTO = "auto"


class Reasoning(StrEnum):
    """Whether a model may write what it thinks: not at all, or under the same policies as its answer."""

    FORBIDDEN = "forbidden"
    COVERED = "covered"


class OnRewardError(StrEnum):
    """What a reward that cannot be had means: an error, or the profile's fallback in place of a choice."""

    REFUSE = "refuse"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Best:
    """Each output is the best of ``n`` that pass, by the ``reward`` model of that name and ``digest``."""

    n: int
    reward: str
    digest: str
    on_error: OnRewardError = OnRewardError.REFUSE


@dataclass(frozen=True, slots=True)
class Decoding:
    """Settings of a request that does not say, and the most that one may ask for. ``max_tokens`` is the default length
    of an output; how long one may get at all is a limit. ``n_failures`` and ``min_legal`` are those of
    :class:`policykit.decoding.Block`, ``n_exact`` that of :class:`policykit.decoding.Auto`, and ``min_legal_mass`` that
    of :class:`policykit.decoding.Settings`, with their defaults."""

    strategy: Strategy = Strategy.MASK
    temperature: float = 1.0
    max_temperature: float = 2.0
    top_p: float = 1.0
    max_top_p: float = 1.0
    max_tokens: int = 1024
    n_max: int = 1
    seed: int | None = None
    n_failures: int = 2
    min_legal: float = 0.1
    n_exact: int = 3
    min_legal_mass: float = 0.02
    best: Best | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and one key, may cost; None is no limit.

    ``timeout_s``, ``attempts`` (the first included) and ``max_cost`` hold for all attempts of a request together,
    ``max_output_tokens`` for each of its outputs. Prices are per million tokens.
    """

    timeout_s: float = 60.0
    max_input_chars: int = 32_000
    max_output_tokens: int = 1024
    requests_per_minute: int | None = None
    concurrent: int | None = None
    attempts: int = 3
    max_cost: float | None = None
    input_price: float = 0.0
    output_price: float = 0.0

    def cost(self, n_input_tokens: int, n_output_tokens: int) -> float:
        """What so many tokens cost, in the currency of the prices; 0.0 where none is named.

        >>> Limits(input_price=0.5, output_price=2.0).cost(1_000_000, 250_000)
        1.0
        """
        return (n_input_tokens * self.input_price + n_output_tokens * self.output_price) / 1_000_000


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """``id`` is its name in logs."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How many passages are looked up, and in which collections (all if none is named)."""

    depth: int
    sources: tuple[str, ...] = ()


class OutputRules(StrEnum):
    """What rules about outputs mean for what a tool is told."""

    APPLY = "apply"  # as for an answer: they stop the call, or replace what stands in its strings
    BLOCK = "block"  # they stop the call; a tool that acts is told nothing that the model did not write
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call. ``grammar`` is the JSON Schema of its arguments, compiled; ``output_rules`` says
    what rules about outputs mean for the arguments."""

    name: str
    description: str | None
    grammar: GrammarSpec
    output_rules: OutputRules = OutputRules.APPLY

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return cast(dict[str, Any], json.loads(self.grammar.source))


@dataclass(frozen=True, slots=True)
class ClientTools:
    """A request may define ``most`` tools of its own, each of at most ``max_chars`` characters: of its name, its
    description, and the schema of its arguments as JSON."""

    most: int = 16
    max_chars: int = 8_192


@dataclass(frozen=True, slots=True)
class Profile:
    """One way of using a model. ``model`` None is the one that the deployment serves.

    ``digest`` covers everything that a request is served under (policies, grammar, prompt and tools by content) and
    ignores comments, formatting and file names. ``files`` are all files that it was read from.
    """

    name: str
    version: str
    owner: str
    why: str
    task: Task
    model: str | None
    adapter: str | None
    policies: PolicySet
    grammar: GrammarSpec | None
    client_grammar: bool
    decoding: Decoding
    system_prompt: SystemPrompt | None
    tenants: tuple[str, ...]
    limits: Limits
    fallback: str
    escalation: str | None
    retrieval: Retrieval | None
    tools: tuple[Tool, ...]
    reasoning: Reasoning
    digest: str
    place: Place
    files: tuple[str, ...] = ()
    client_tools: ClientTools | None = None
    """None: a request names tools of the profile and defines none."""

    def admits(self, tenant: str) -> bool:
        """Whether the tenant may use the profile."""
        return any(glob_matches(glob, tenant) for glob in self.tenants)

    def tool(self, name: str) -> Tool | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    @property
    def calls_tools(self) -> bool:
        """Whether an answer may be a call of a tool, of the profile's or of a request's."""
        return bool(self.tools) or self.client_tools is not None


@dataclass(frozen=True, slots=True)
class ProfileSet:
    """Profiles of one deployment; names are unique."""

    profiles: tuple[Profile, ...]
    warnings: tuple[Diagnostic, ...] = ()

    def __iter__(self) -> Iterator[Profile]:
        return iter(self.profiles)

    def __len__(self) -> int:
        return len(self.profiles)

    def get(self, name: str) -> Profile | None:
        return next((profile for profile in self.profiles if profile.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(profile.name for profile in self.profiles)

    @property
    def digest(self) -> str:
        """Covers every profile, in any order."""
        return _sha256(sorted(profile.digest for profile in self.profiles))


def digest_of(profile: Profile) -> str:
    """The digest of everything but ``digest``, ``place`` and ``files``.

    Defaults are part of it: a version of policykit with another default gives another digest.
    """
    prompt = profile.system_prompt
    return _sha256(
        {
            "format": FORMAT,
            "metadata": [profile.name, profile.version, profile.owner, profile.why],
            "task": profile.task,
            "model": [profile.model, profile.adapter],
            "bundle": bundle_digest(profile.policies, profile.grammar),
            "client_grammar": profile.client_grammar,
            "decoding": _said(profile.decoding),
            "system_prompt": [prompt.id, prompt.text] if prompt else None,
            "tenants": sorted(profile.tenants),
            "limits": asdict(profile.limits),
            "fallback": profile.fallback,
            "escalation": profile.escalation,
            "retrieval": asdict(profile.retrieval) if profile.retrieval else None,
            "tools": sorted(map(_content, profile.tools)),
            "reasoning": profile.reasoning,
            **({"client_tools": asdict(profile.client_tools)} if profile.client_tools else {}),
        }
    )


def _said(decoding: Decoding) -> dict[str, object]:
    """The settings, without a choice by reward where there is none."""
    return {name: value for name, value in asdict(decoding).items() if name != "best" or value is not None}


def _content(tool: Tool) -> list[str]:
    said = [] if tool.output_rules is OutputRules.APPLY else [f"outputRules: {tool.output_rules}"]
    return [tool.name, tool.description or "", tool.grammar.source, *said]


def _sha256(value: Mapping[str, object] | list[str]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
