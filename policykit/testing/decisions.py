"""An Open Policy Agent, and classifiers, as a test describes them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from policykit.ir.decision import Answer, NoAnswer
from policykit.ir.document import StatedScore
from policykit.ir.opaque import Classifier
from policykit.predicates import PredicateError, Scored, TextClassifier


class StatedDecisions:
    """Says what a test states, and nothing else."""

    def __init__(self, stated: Mapping[str, bool]) -> None:
        self._stated = dict(stated)

    def decide(self, reference: str, document: dict[str, object]) -> Answer:
        """The stated decision. Raises NoAnswer where there is none: a test does not guess what OPA says."""
        if reference not in self._stated:
            raise NoAnswer(f"the test does not say what OPA answers: `decisions: {{{reference}: true}}`")
        return Answer(self._stated[reference])


@dataclass(frozen=True, slots=True)
class StatedClassifier:
    """Says what a test states about the text as a whole, whatever it is, and nothing else."""

    digest: str
    labels: tuple[str, ...]
    stated: Mapping[str, float]

    def scores(self, text: str, label: str) -> Sequence[Scored]:
        """The stated score. Raises PredicateError where there is none: a test does not guess what a model says."""
        if label not in self.stated:
            raise PredicateError(f"the test does not say its score: `scores: {{MODEL: {{{label}: 0.9}}}}`")
        return (Scored(0, len(text), self.stated[label]),)


def stated_classifiers(
    leaves: Iterable[Classifier], scores: Iterable[StatedScore], deployed: Mapping[str, TextClassifier]
) -> dict[str, TextClassifier]:
    """The classifiers that rules ask for: the deployment's, and for those that it does not have what a test states."""
    found = dict(deployed)
    asked = list(leaves)
    for leaf in asked:
        if leaf.model not in found:
            labels = tuple(dict.fromkeys(other.label for other in asked if other.model == leaf.model))
            stated = {score.label: score.score for score in scores if score.model == leaf.model}
            found[leaf.model] = StatedClassifier(leaf.digest, labels, stated)
    return found
