"""What a domain of customer service tells the generator."""

from dataclasses import dataclass, field
from enum import StrEnum

from policykit.embedded.corpus.template import Slots


class Breach(StrEnum):
    """The ways in which a reply can break a policy."""

    PROMISE = "promise"
    DISPARAGEMENT = "disparagement"
    NUMBER = "number"
    REFUSAL = "refusal"


class Tone(StrEnum):
    """How a message is meant, and so how a polite reply to it begins."""

    QUESTION = "question"
    REQUEST = "request"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences that break a policy, and lawful ones that begin alike.

    The lawful twins matter: a model that is turned away from a phrase half-way still knows how to go on.
    """

    unlawful: tuple[str, ...]
    lawful: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages to which the same answers fit. All texts are templates; ``summary`` is a ticket's one line."""

    tone: Tone
    summary: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that customers write about, and which policies a careless reply to it breaks.

    ``category`` is the support ticket's, ``team`` who answers.
    """

    category: str
    team: str
    priorities: tuple[str, ...]
    breaches: tuple[Breach, ...]
    threads: tuple[Thread, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    """A business: its slots, what its customers want, and what its staff should not say."""

    name: str
    slots: Slots
    intents: tuple[Intent, ...]
    lines: dict[Breach, Lines] = field(default_factory=dict[Breach, Lines])
