"""The rules about outputs, as judges of what a call of a tool says."""

from policykit.compile import PlanSpec
from policykit.compile.arguments import argument_rules
from policykit.diagnostics import Place
from policykit.grammar.json_schema import json_schema
from policykit.verify import Resources, Verifier


def argument_verifier(spec: PlanSpec, resources: Resources, *, change: bool) -> Verifier:
    """Judges arguments as the JSON that they are: keys and values, decoded. ``change``: by rules that replace, too."""
    rules = argument_rules(spec.policies, spec.context, change=change)
    any_json = json_schema(True, Place("<arguments>"))
    return Verifier(rules, any_json, spec.digest, resources=resources, context=spec.context, among=spec.rules)
