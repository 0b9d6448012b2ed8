"""Which rules a stream cannot decide before the text is complete, and why.

A rule that is not named here is decided where its match is; what is not known here waits.
"""

from policykit.compile.resolve import combines, has_absence, leaves, sources, tallies
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Append,
    Block,
    Chains,
    Entities,
    Hash,
    Leaf,
    Mask,
    Matcher,
    Mode,
    Not,
    Phrases,
    Prepend,
    Redact,
    Regexes,
    Rego,
    Replace,
    Target,
    Truncate,
    Within,
)
from policykit.ir.plan import ResolvedRule
from policykit.text import VIEW_NAMES

MAY_BE_JSON = "waits while the output may be JSON"


def waits_for_end(rule: ResolvedRule, is_json: bool) -> str | None:
    """Why a stream of outputs releases nothing before the end under this rule, or None.

    ``is_json`` says whether the plan's grammar makes the output JSON.
    """
    if rule.mode is not Mode.ENFORCE or rule.target not in (Target.OUTPUT, Target.JSON):
        return None
    if rule.admits is not None:
        return "admits or blocks the whole text"
    if rule.approvals is not None:
        return "its approvals are for the exact text"
    if any(isinstance(when, Rego) for when in (rule.when, *(exception.when for exception in rule.exceptions))):
        return "the policy agent is asked about the whole text"
    match rule.action:
        case Block():
            late = None
        case Mask(_, _, str()):
            late = "a vault's token must not stand anywhere in the text"
        case Mask() | Replace():
            late = _late_transform(rule, is_json)
        case Hash():
            late = "a match inside a keyed hash is known by what follows it"
        case Append() | Prepend() | Truncate() | Redact():
            late = f"{type(rule.action).__name__.lower()} changes the output as a whole"
        case _:
            late = "what a person decides on is the whole text"
    if is_json and rule.matcher is not None and any(_is_of_values(leaf) for leaf in leaves(rule.matcher)):
        late = late or "looks for entities in complete JSON values"
    return late or (None if rule.matcher is None else _late_matcher(rule.matcher))


def _is_of_values(leaf: Leaf) -> bool:
    return leaf.reading.within is Within.JSON_SCALARS or (
        isinstance(leaf, Entities) and leaf.reading.within is not Within.TEXT
    )


def _late_transform(rule: ResolvedRule, is_json: bool) -> str | None:
    if rule.matcher is not None and combines(rule.matcher):
        return "transforms several finds together"
    if rule.matcher is not None and not is_plain(rule.matcher):
        return "which matches of an expression are replaced is known at the end of the text"
    if is_json and any(leaf.reading.within is Within.TEXT for leaf in leaves(rule.matcher)):
        return "what it puts into JSON may be JSON no more"
    return None


def _late_matcher(matcher: Matcher) -> str | None:
    if tallies(matcher):
        return "counts entities in the whole text"
    if sources(matcher):
        return "what the text cites is held against facts as a whole"
    if not _is_known(matcher) or any(name not in VIEW_NAMES for leaf in leaves(matcher) for name in leaf.reading.views):
        return "its matcher reads the whole text"
    if any(leaf.reading.unescape for leaf in leaves(matcher)):
        return "escapes are decoded in the whole text"
    return "depends on an absence" if has_absence(matcher) else None


def is_plain(matcher: Matcher) -> bool:
    """Whether the matcher is phrases without context, or entities, without escapes: every match stands for itself."""
    match matcher:
        case Phrases(_, _, None, None) | Entities():
            return not matcher.reading.unescape
        case AnyOf(items):
            return all(is_plain(item) for item in items)
        case _:
            return False


def _is_known(matcher: Matcher) -> bool:
    match matcher:
        case Phrases() | Regexes() | Chains() | Entities():
            return True
        case AnyOf(items) | AllOf(items):
            return all(_is_known(item) for item in items)
        case Not(item):
            return _is_known(item)
        case _:
            return False


def waits_for_json(rule: ResolvedRule, is_json: bool) -> bool:
    """Whether the rule may apply to an output that is JSON otherwise than to one that is not; no grammar says which."""
    if rule.mode is not Mode.ENFORCE or rule.target not in (Target.OUTPUT, Target.JSON):
        return False
    reads_strings = any(leaf.reading.within is Within.JSON_STRINGS for leaf in leaves(rule.matcher))
    return rule.target is Target.JSON or (not is_json and (reads_strings or isinstance(rule.action, Mask | Replace)))
