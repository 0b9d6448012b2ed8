"""An Open Policy Agent as a test describes it."""

from collections.abc import Mapping

from policykit.ir.decision import Answer, NoAnswer


class StatedDecisions:
    """Says what a test states, and nothing else."""

    def __init__(self, stated: Mapping[str, bool]) -> None:
        self._stated = dict(stated)

    def decide(self, reference: str, document: dict[str, object]) -> Answer:
        """The stated decision. Raises NoAnswer where there is none: a test does not guess what OPA says."""
        if reference not in self._stated:
            raise NoAnswer(f"the test does not say what OPA answers: `decisions: {{{reference}: true}}`")
        return Answer(self._stated[reference])
