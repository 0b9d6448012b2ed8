"""Which rules about outputs judge the arguments of a call of a tool too: they are text that leaves the house."""

from policykit.compile.resolve import has_absence, has_place, resolve
from policykit.ir.document import Block, Escalate, Hash, Mask, PolicySet, Replace, Target
from policykit.ir.plan import CompileContext, ResolvedRule

_STOPPING = Block | Escalate
_CHANGING = Mask | Replace | Hash


def argument_rules(policies: PolicySet, context: CompileContext, *, change: bool = True) -> tuple[ResolvedRule, ...]:
    """The rules that block, escalate or (``change``) replace what stands in outputs, read in the arguments' strings.

    Left out is what says how an output as a whole must be (absences, lengths, languages, classifiers, conditions on
    its JSON, ``default: block``, texts around it), for arguments are no answer. Rules with the target ``tool_call``
    can say all of that of arguments.
    """
    actions = _STOPPING | _CHANGING if change else _STOPPING
    resolved = resolve(policies, context, json_output=True)
    return tuple(rule for rule in resolved if isinstance(rule.action, actions) and _reaches_arguments(rule))


def _reaches_arguments(rule: ResolvedRule) -> bool:
    matcher = rule.matcher
    if rule.target is not Target.OUTPUT or matcher is None:
        return False
    return has_place(matcher) and not has_absence(matcher)
