"""The plan's row of a rule: where it is enforced, in words."""

from typing import assert_never

from policykit.compile.entities import unmaskable, widened
from policykit.compile.resolve import asked_of_opa, combines, has_absence, leaves, opaque, sources, tallies
from policykit.ir.document import Block, Escalate, Expression, OnMatch, Tally, Target, WholeTransform, Within
from policykit.ir.opaque import Classifier, Language, Opaque, Predicate
from policykit.ir.plan import Enforcement, Level, ResolvedRule


def rule_row(rule: ResolvedRule) -> Enforcement:
    readings = [leaf.reading for leaf in leaves(rule.matcher)]
    views = "+".join(dict.fromkeys(v for reading in readings for v in reading.views))
    text = "+".join(dict.fromkeys(reading.within.value for reading in readings))
    decoded = dict.fromkeys(kind for reading in readings for kind in reading.unescape)
    text += f", as it stands and with its {' or '.join(decoded)} escapes decoded" if decoded else ""
    match rule.level:
        case Level.DECODE:
            if rule.admits is not None:
                return Enforcement("rule", rule.name, rule.level, _admitting(rule.admits), rule.place)
            absent = " (end of text waits for what is required)" if _misses(rule) else ""
            why = f"mask: regular on views {views} of {text}{absent}{_widened(rule)}{_plain_numbers(rule)}"
        case Level.STREAM:
            why = f"verifier: {_kind(rule)}, found on views {views} of {text}{_validated(rule)}{_needs(rule)}"
        case Level.OUTPUT:
            why = f"verifier, when the {_what(rule)} is complete: {_why_late(rule)}{_needs(rule)}"
        case Level.OBSERVE:
            why = "shadow: logged, never changes output"
        case Level.REFUSED:
            why = "refused"
        case _:
            assert_never(rule.level)
    return Enforcement("rule", rule.name, rule.level, why, rule.place)


def _admitting(admits: tuple[ResolvedRule, ...]) -> str:
    views = "+".join(dict.fromkeys(v for rule in admits for leaf in leaves(rule.matcher) for v in leaf.reading.views))
    return f"mask: the whole text is what one of {len(admits)} allow rule(s) admits, on view {views}"


def _widened(rule: ResolvedRule) -> str:
    """An over-approximation: the mask forbids more than the verifier finds."""
    names = widened(rule.matcher)
    return f"; over-approximation: forbids everything of the form of {', '.join(names)}, valid or not" if names else ""


def _plain_numbers(rule: ResolvedRule) -> str:
    scalars = any(leaf.reading.within is Within.JSON_SCALARS for leaf in leaves(rule.matcher))
    return "; numbers are written without exponents" if scalars else ""


def _validated(rule: ResolvedRule) -> str:
    """Why a block that could have been avoided is not in the mask."""
    names = unmaskable(rule.matcher)
    if not names or not isinstance(rule.action, Block) or rule.action.on_match is OnMatch.STOP:
        return ""
    return f"; a mask cannot validate {', '.join(names)} (`strict: true` forbids their form instead)"


def _misses(rule: ResolvedRule) -> bool:
    return rule.matcher is not None and has_absence(rule.matcher)


def _kind(rule: ResolvedRule) -> str:
    match rule.action:
        case Block():
            return "block with its message"
        case Escalate(queue):
            return f"escalation to `{queue}`"
        case _:
            return "transform"


def _what(rule: ResolvedRule) -> str:
    names = {Target.JSON: "output", Target.RETRIEVED: "retrieved passage"}
    return names.get(rule.target, rule.target.value.replace("_", " "))


def _needs(rule: ResolvedRule) -> str:
    """What of the request the rule depends on; a mask knows none of it."""
    needs = [
        *(["a condition"] if isinstance(rule.when, Expression) else []),
        *([f"OPA ({', '.join(asked)}), which the digest does not cover"] if (asked := asked_of_opa(rule)) else []),
        *(["approvals"] if rule.approvals else []),
        *([f"{len(rule.exceptions)} exception(s)"] if rule.exceptions else []),
    ]
    return f"; depends on {', '.join(needs)}" if needs else ""


def _judged_by(leaf: Opaque) -> str:
    if isinstance(leaf, Predicate):
        stated = f"version {leaf.version}" if leaf.version else "no version of which is stated"
        return f"predicate `{leaf.name}`, {leaf.identity or f'a function of the deployment, {stated}'}{_given(leaf)}"
    if isinstance(leaf, Language):
        return f"{leaf.identity} tells {leaf.name}, from {leaf.letters} letters and a confidence of {leaf.confidence:g}"
    return f"classifier `{leaf.model}` gives `{leaf.label}` at least {leaf.threshold:g}{_given(leaf)}"


def _counted(tally: Tally) -> str:
    names = ", ".join(dict.fromkeys(entity.type for entity in tally.item.entities))
    return f"counts {'different ' * tally.distinct}{names} in the whole text"


def _given(leaf: Predicate | Classifier) -> str:
    return "" if leaf.views == ("raw",) else f", of the text on {' and on '.join(leaf.views)}"


def _why_late(rule: ResolvedRule) -> str:
    if rule.admits is not None:
        return f"blocks what none of {len(rule.admits)} allow rule(s) admits"
    if rule.target is Target.JSON:
        return "judges json: applies if the whole output is JSON"
    if rule.target is not Target.OUTPUT:
        return f"judges {rule.target.value}"
    if rule.matcher is None:
        return "reads facts, no text"
    if rule.matcher and opaque(rule.matcher) and not isinstance(rule.action, WholeTransform):
        return " and ".join(dict.fromkeys(map(_judged_by, opaque(rule.matcher))))
    if counted := tallies(rule.matcher):
        return " and ".join(dict.fromkeys(map(_counted, counted)))
    if cited := sources(rule.matcher):
        facts = ", ".join(dict.fromkeys(f"`{leaf.fact}`" for leaf in cited))
        return f"holds the ids of citations against the fact {facts}, which a mask does not know"
    if asked_of_opa(rule) and not isinstance(rule.action, WholeTransform):
        return "what it finds is decided elsewhere"
    if isinstance(rule.action, WholeTransform):
        return f"{type(rule.action).__name__.lower()} changes the output as a whole"
    if _misses(rule):
        return f"depends on an absence{_validated(rule)}"
    if rule.matcher and combines(rule.matcher) and not isinstance(rule.action, Block):
        return "depends on several finds together"
    return "no JSON grammar: applies if the output is JSON"
