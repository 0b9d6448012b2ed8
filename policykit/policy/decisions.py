"""What tests say that an Open Policy Agent would decide."""

from collections.abc import Sequence

from policykit.diagnostics import Diagnostic, did_you_mean
from policykit.policy.checked import Entries


def check_decisions(rules: Sequence[Entries], tests: Sequence[Entries], diagnostics: list[Diagnostic]) -> None:
    """Appends decisions that no rule asks for, and those that are none: a test that states one would test nothing."""
    holders = [part for rule in rules for part in (rule, *rule.records("except"))]
    asked = [name for holder in holders if (when := holder.entries("when")) and (name := when.text("rego"))]
    if len(asked) < sum(holder.entries("when") is not None for holder in holders):
        return  # a reference that could not be read is reported already
    for given in (given for test in tests if (given := test.entries("given"))):
        stated = given.data("decisions")
        for name, value in stated.items() if isinstance(stated, dict) else ():
            place = given.keys["decisions"]
            if name not in asked:
                help = did_you_mean(name, asked) or f"rules ask for: {', '.join(asked) or 'nothing'}"
                diagnostics.append(Diagnostic("PK164", f"no rule asks for `{name}`", place, help))
            elif not isinstance(value, bool):
                message = f"the decision `{name}` is neither true nor false"
                help = "what else OPA can say is an error, and an error blocks"
                diagnostics.append(Diagnostic("PK164", message, place, help))
