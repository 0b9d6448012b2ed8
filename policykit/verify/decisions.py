"""Questions to an Open Policy Agent while one subject is judged: what is sent, and what was said."""

from collections.abc import Mapping

from policykit.ir.decision import Answer, Decider, NoAnswer
from policykit.ir.document import Rego
from policykit.ir.verdict import DecisionMade
from policykit.verify.subject import Subject


def document_of(subject: Subject, context: Mapping[str, object], with_text: bool) -> dict[str, object]:
    """The `input` that OPA gets: the facts, the plan's context, the target, the tool and its arguments; and, only
    ``with_text``, the text as `text` and what it is as JSON as `json`.

    Raises NoAnswer where a fact has the name of what is sent with it.
    """
    known = subject.known(context)
    if not with_text:
        return {name: value for name, value in known.items() if name != "json"}
    if "text" in subject.facts:
        raise NoAnswer("the fact `text` would stand where the text is sent")
    return {**known, "text": subject.text}


class Questions:
    """Those of one verdict. A question is asked once, so that all rules of a verdict hear the same answer; ``made``
    lists the answers as they were used."""

    def __init__(self, decider: Decider | None, context: Mapping[str, object]) -> None:
        self._decider = decider
        self._context = context
        self._known: dict[tuple[str, str | None], Answer | NoAnswer] = {}
        self.made: list[DecisionMade] = []

    def ask(self, rego: Rego, subject: Subject, rule: str, exception: str | None = None) -> Answer | NoAnswer:
        """The answer, or why there is none. Never raises but for an exit."""
        key = rego.reference, subject.text if rego.with_text else None
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._ask(rego, subject)
        answered = isinstance(found, Answer)
        value, problem = (found.value, None) if answered else (None, str(found))
        made = DecisionMade(rule, exception, rego.reference, value, found.decision_id, problem)
        if made not in self.made:
            self.made.append(made)
        return found

    def _ask(self, rego: Rego, subject: Subject) -> Answer | NoAnswer:
        if self._decider is None:
            return NoAnswer(f"there is no OPA to ask for `{rego.reference}`")
        try:
            document = document_of(subject, self._context, rego.with_text)
            answer: object = self._decider.decide(rego.reference, document)
        except NoAnswer as error:
            return error
        except Exception as error:
            return NoAnswer(f"{type(error).__name__}: {error}")
        if not isinstance(answer, Answer) or not isinstance(answer.value, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NoAnswer(f"the decision on `{rego.reference}` is neither true nor false")
        return answer
