"""Stream-safe text (UAX 15, section 13): no more than 30 marks or invisible characters one behind the other.

A document that says ``streamSafe: true`` has a rule for each target that its rules judge, as if its author had
written it: in the plan, in verdicts and in coverage it is a rule like any other. Legitimate text has no such run:
emoji set a visible character between two joiners, and no script writes more than a few marks on a letter.
"""

from collections.abc import Sequence

from policykit.automata.regex_syntax import parse
from policykit.diagnostics import Diagnostic, Place
from policykit.ir.document import Block, Mode, OnMatch, Reading, Regexes, RegexSource, Rule, Scope, Target
from policykit.ir.regex import ranges_of
from policykit.policy.checked import Entries
from policykit.text import FILLERS, is_mark, view

STREAM_SAFE = "stream-safe"
"""The id of the rule for outputs; for another target its name is added: `stream-safe-input`."""
MOST = 30
_SEVERITY = "high"


def _source() -> str:
    """The expression in RE2 syntax: marks by their category, and every other character that views erase."""
    erased = [point for point, image in view("compat").images.items() if not image and not is_mark[point]]
    erased += FILLERS  # a gap on `compat`, and erased on the views over it
    ranges = ranges_of([(point, point) for point in erased])
    named = (f"\\x{{{low:X}}}" + (f"-\\x{{{high:X}}}" if high > low else "") for low, high in ranges)
    return f"[\\p{{M}}{''.join(named)}]{{{MOST + 1}}}"


def rule_id(target: Target) -> str:
    """How verdicts call the rule for a target."""
    return STREAM_SAFE if target is Target.OUTPUT else f"{STREAM_SAFE}-{target.value.replace('_', '-')}"


def stream_safe(document: Entries, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that ``streamSafe`` stands for, in the order in which the document's rules name their targets."""
    if not document.flag("streamSafe"):
        return ()
    place = document.keys["streamSafe"]
    defaults = document.entries("defaults")
    mode = Mode((defaults.text("mode") if defaults else None) or Mode.ENFORCE)
    return tuple(_rule(target, mode, place) for target in dict.fromkeys(rule.target for rule in rules))


def _rule(target: Target, mode: Mode, place: Place) -> Rule:
    source = _source()
    runs = RegexSource(source, parse(source, place).regex, place)
    return Rule(
        id=rule_id(target),
        severity=_SEVERITY,
        cost=1.0,
        mode=mode,
        scope=Scope(),
        matcher=Regexes((runs,), None, None, Reading(views=("raw",)), place),
        action=Block(None, None, OnMatch.AVOID),
        why=f"no more than {MOST} marks or invisible characters in a row (UAX 15, stream-safe)",
        place=place,
        target=target,
    )


def ids_of(document: Entries) -> tuple[str, ...]:
    """The ids of the rules that ``streamSafe`` stands for."""
    if not document.flag("streamSafe"):
        return ()
    targets = (rule.text("target") or Target.OUTPUT for rule in document.records("rules"))
    return tuple(rule_id(Target(target)) for target in dict.fromkeys(targets))


def check_stream_safe(document: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends rules that have an id which ``streamSafe`` gives to its own."""
    taken = ids_of(document)
    for leaf in (leaf for rule in document.records("rules") if (leaf := rule.leaf("id")) and leaf.value in taken):
        message = f"duplicate rule id `{leaf.value}`"
        related = ((document.keys["streamSafe"], "the first one"),)
        diagnostics.append(
            Diagnostic("PK050", message, leaf.place, "rename it, or remove `streamSafe`", related=related)
        )
