"""Conditions of rules and exceptions that are the same for all facts, and operands in them that never matter."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from policykit.analysis.compare import Outside
from policykit.compile.facts import checked, schema_of
from policykit.conditions import MAX_CASES, Condition, FactsSchema, constancy
from policykit.diagnostics import Place
from policykit.ir.document import Condition as DocumentCondition, Document, Mode, PolicySet, Rego, Rule, Target


class Value(StrEnum):
    """What is proved of a condition for all facts for which it has a value."""

    TRUE = "always true"
    FALSE = "never true"
    IDLE = "the same without a part"


@dataclass(frozen=True, slots=True)
class Settled:
    """A condition, of the rule or of its ``exception``, of which something is proved. ``part``: the operand that
    can go, where it is one."""

    value: Value
    rule: str
    exception: str
    part: str
    place: Place


def analyse_conditions(
    policies: PolicySet, max_cases: int = MAX_CASES
) -> tuple[tuple[Settled, ...], tuple[Outside, ...]]:
    """What is settled in the conditions of all rules that are not off, in every request context; and what is not
    analysed in full.

    Facts are those that the document's schema admits. An exception is asked only where the rule's condition is true.
    Conditions that have no value (a fact is unknown) are errors, and nothing is said of them here.
    """
    found = [item for document in policies.documents for item in _of_document(document, max_cases)]
    settled = tuple(item for item in found if isinstance(item, Settled))
    return settled, tuple(item for item in found if isinstance(item, Outside))


def _of_document(document: Document, max_cases: int) -> Iterator[Settled | Outside]:
    schema = schema_of(document.facts_schema, document.place)
    for rule in document.rules:
        if rule.mode is not Mode.OFF:
            yield from _Rule(f"{document.name}#{rule.id}", rule, schema, max_cases).found()


class _Rule:
    def __init__(self, name: str, rule: Rule, schema: FactsSchema | None, max_cases: int) -> None:
        self._name = name
        self._rule = rule
        self._schema = schema
        self._max_cases = max_cases
        self._fixed = _fixed(rule)

    def found(self) -> Iterator[Settled | Outside]:
        rule = self._rule
        given = self._read(rule.when)
        yield from self._settled(rule.when, "", None)
        for exception in rule.exceptions:
            yield from self._settled(exception.when, exception.id, given)

    def _read(self, when: DocumentCondition | None) -> Condition | None:
        return None if when is None or isinstance(when, Rego) else checked(when, self._schema)

    def _settled(
        self, when: DocumentCondition | None, exception: str, given: Condition | None
    ) -> Iterator[Settled | Outside]:
        if when is None:
            return
        whose = f"{self._name}, exception {exception}" if exception else self._name
        condition = self._read(when)
        if condition is None:
            yield Outside(whose, "its condition asks an Open Policy Agent", when.place)
            return
        found = constancy(condition, self._schema, self._fixed, given, self._max_cases)
        if found.is_over:
            yield Outside(whose, f"its condition has more than {self._max_cases} cases", when.place)
        if found.always is not None:
            value = Value.TRUE if found.always else Value.FALSE
            yield Settled(value, self._name, exception, "", when.place)
        for node in found.idle:
            part = condition.source[node.start : node.end]
            yield Settled(Value.IDLE, self._name, exception, part, condition.place_of(node))
        if found.guessed and found.always is None:
            node, *others = found.guessed
            part = condition.source[node.start : node.end]
            more = f" and {len(others)} more" if others else ""
            yield Outside(whose, f"in its condition, `{part}`{more} may be anything", condition.place_of(node))


def _fixed(rule: Rule) -> dict[str, tuple[str, ...]]:
    """What is judged is known: rules on JSON judge the output. So is the tool, where the rule names tools in full."""
    target = Target.OUTPUT if rule.target is Target.JSON else rule.target
    fixed: dict[str, tuple[str, ...]] = {"target": (target.value,)}
    if rule.tools and not any("*" in tool for tool in rule.tools):
        fixed["tool"] = rule.tools
    return fixed
