"""The plan's row of a rule: where it is enforced, in words."""

from typing import assert_never

from policykit.compile.resolve import combines, has_absence, leaves
from policykit.ir.document import Block
from policykit.ir.plan import Enforcement, Level, ResolvedRule


def rule_row(rule: ResolvedRule) -> Enforcement:
    readings = [leaf.reading for leaf in leaves(rule.matcher)]
    views = "+".join(dict.fromkeys(v for reading in readings for v in reading.views))
    text = "+".join(dict.fromkeys(reading.within.value for reading in readings))
    match rule.level:
        case Level.DECODE:
            absent = " (end of text waits for what is required)" if has_absence(rule.matcher) else ""
            why = f"mask: regular on views {views} of {text}{absent}"
        case Level.STREAM:
            kind = "block with its message" if isinstance(rule.action, Block) else "transform"
            why = f"verifier: {kind}, found on views {views} of {text}"
        case Level.OUTPUT:
            why = f"verifier, when the output is complete: {_why_late(rule)}"
        case Level.OBSERVE:
            why = "shadow: logged, never changes output"
        case Level.REFUSED:
            why = "refused"
        case _:
            assert_never(rule.level)
    return Enforcement("rule", rule.name, rule.level, why, rule.place)


def _why_late(rule: ResolvedRule) -> str:
    if has_absence(rule.matcher):
        return "depends on an absence"
    if combines(rule.matcher) and not isinstance(rule.action, Block):
        return "depends on several finds together"
    return "no JSON grammar: applies if the output is JSON"
