"""What another engine decides, and what it means that it did not."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, with the id under which the engine's own log keeps it, if it gave one."""

    value: bool
    decision_id: str | None = None


class NoAnswer(Exception):
    """There is no decision: the engine could not be asked, or what it said is none. It is never a yes and never a no.

    ``decision_id`` is what the engine gave for it, if it did.
    """

    def __init__(self, why: str, decision_id: str | None = None) -> None:
        super().__init__(why)
        self.decision_id = decision_id


class Decider(Protocol):
    """An engine that decides what references name, from an input document (:class:`policykit.opa.Opa`)."""

    def decide(self, reference: str, document: dict[str, object]) -> Answer:
        """The decision. Raises NoAnswer; any other exception is an error of the rule too."""
        ...
