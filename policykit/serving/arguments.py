"""What judges texts by a grammar in a server: here, or where that may take long, in a process that can be ended."""

from dataclasses import dataclass, replace

from policykit.grammar import GrammarViolation
from policykit.ir.grammar import GrammarSpec
from policykit.plan import Elsewhere, Plan, may_take_long, request_compilers, violations
from policykit.profiles import Profile


@dataclass(frozen=True, slots=True)
class Arguments:
    """Judges arguments of calls by a schema, a profile's or a request's."""

    grammar: GrammarSpec

    @property
    def is_elsewhere(self) -> bool:
        return may_take_long(self.grammar)

    def check(self, text: str) -> list[GrammarViolation]:
        """As :meth:`GrammarValidator.check`. Raises PolicyError (PK209) where that takes too long; InternalError."""
        if self.is_elsewhere:
            return Elsewhere(self.grammar, request_compilers()).check(text)
        return violations(self.grammar, text)


def judging_elsewhere(plan: Plan) -> Plan:
    """The plan, whose own grammar judges no text in this process if that may take long."""
    grammar = plan.spec.grammar
    if grammar is None or plan.check_grammar is not None or not may_take_long(grammar):
        return plan
    return replace(plan, check_grammar=Elsewhere(grammar, request_compilers()).check)


def needs_compilers(profile: Profile) -> bool:
    """Whether requests under a profile may have something compiled, or judged, in another process."""
    if profile.client_grammar or profile.client_tools:
        return True
    own = (profile.grammar, *(tool.grammar for tool in profile.tools))
    return any(may_take_long(grammar) for grammar in own if grammar is not None)
