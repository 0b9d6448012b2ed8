"""What the field table cannot say of a profile: settings against limits, parts against the task, policies that never
apply."""

import re
from os.path import normpath
from pathlib import Path

from policykit.compile.resolve import in_scope
from policykit.diagnostics import Diagnostic, Place
from policykit.ir.document import Document
from policykit.ir.plan import CompileContext
from policykit.policy.checked import Entries
from policykit.profiles.profile import Profile, Reasoning, Strategy, Task


def check_profile(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    """Append everything that is wrong with a profile whose form is right."""
    _check_maxima(profile, entries.entries("decoding"), diagnostics)
    _check_task(profile, entries, diagnostics)
    _check_tools(profile, entries, diagnostics)
    _check_client_tools(profile, entries, diagnostics)
    _check_strategy(profile, entries, diagnostics)
    _check_best(profile, entries, diagnostics)
    _check_scopes(profile, entries, diagnostics)


def _check_scopes(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    """A policy that is named must have a rule for the profile; of a folder, one of its policies must."""
    context = CompileContext(profile=profile.name)
    for leaf in entries.leaves("policies"):
        path = Path(normpath(Path(profile.place.file).parent / str(leaf.value)))
        named = [d for d in profile.policies.documents if path in (file := Path(d.place.file), *file.parents)]
        if named and not any(_can_apply(document, context) for document in named):
            message = f"`{leaf.value}` has no rule for the profile `{profile.name}`"
            help = "add the profile to the policy's scope, or do not name the policy here"
            related = tuple((document.place, f"`{document.name}`") for document in named[:3])
            diagnostics.append(Diagnostic("PK608", message, leaf.place, help, related=related))


def _check_maxima(profile: Profile, decoding: Entries | None, diagnostics: list[Diagnostic]) -> None:
    if decoding is None:
        return
    own, limits = profile.decoding, profile.limits
    for name, value, most, of in (
        ("temperature", own.temperature, own.max_temperature, "maxTemperature"),
        ("topP", own.top_p, own.max_top_p, "maxTopP"),
        ("maxTokens", own.max_tokens, limits.max_output_tokens, "limits.outputTokens"),
    ):
        leaf = decoding.leaf(name)
        if leaf is not None and value > most:
            message = f"`{name}` is {value:g}, and a request may have {most:g} at most"
            diagnostics.append(Diagnostic("PK604", message, leaf.place, f"lower it, or raise `{of}`"))


GOING_BACK = (Strategy.EXACT, Strategy.BLOCK, Strategy.AUTO)
"""Strategies that take a text up again inside of it."""
_SETTINGS = {
    "failures": (Strategy.BLOCK, Strategy.AUTO),
    "minLegal": (Strategy.BLOCK, Strategy.AUTO),
    "exactFailures": (Strategy.AUTO,),
    "minLegalMass": (Strategy.REJECT, Strategy.EXACT, Strategy.BLOCK, Strategy.AUTO),
}


def _check_strategy(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    """A strategy that goes back needs one text, drawn from all that the model would say; others have no settings."""
    strategy, decoding = profile.decoding.strategy, entries.entries("decoding")
    if decoding is None:
        return
    for name, strategies in _SETTINGS.items():
        leaf = decoding.leaf(name)
        if leaf is not None and strategy not in strategies:
            message = f"`{name}` is no setting of the strategy `{strategy}`"
            *rest, last = [f"`{one}`" for one in strategies]
            names = f"{', '.join(rest)} or {last}" if rest else last
            diagnostics.append(Diagnostic("PK617", message, leaf.place, f"remove it, or use {names}"))
    if strategy not in GOING_BACK:
        return
    wrong = {
        "tools": bool(profile.tools),
        "clientTools": profile.client_tools is not None,
        "reasoning": profile.reasoning is Reasoning.COVERED,
    }
    message = f"the strategy `{strategy}` draws one text, without calls and without reasoning beside it"
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        diagnostics.append(Diagnostic("PK617", message, entries.keys[name], "use `mask` here"))
    for name, value in (("topP", profile.decoding.top_p < 1.0), ("temperature", profile.decoding.temperature == 0.0)):
        leaf = decoding.leaf(name)
        if value and leaf is not None:
            message = f"the strategy `{strategy}` draws from all that the model would say"
            help = "leave `topP` at 1 and `temperature` above 0, or use `mask`"
            diagnostics.append(Diagnostic("PK617", message, leaf.place, help))


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _check_best(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    """A reward is of one text, and there is a choice only where several are drawn."""
    best, decoding = profile.decoding.best, entries.entries("decoding")
    said = decoding and decoding.entries("best")
    if best is None or decoding is None or said is None:
        return
    for name, is_wrong in (
        ("tools", bool(profile.tools)),
        ("clientTools", profile.client_tools is not None),
        ("reasoning", profile.reasoning is Reasoning.COVERED),
    ):
        if is_wrong:
            message = "a reward is of one text, and tells nothing of calls and of reasoning beside it"
            diagnostics.append(Diagnostic("PK619", message, entries.keys[name], "remove it, or `decoding.best`"))
    if profile.decoding.temperature == 0.0:
        leaf = decoding.leaf("temperature")
        message, help = "at a temperature of 0 all outputs are the same one", "raise it, or remove `best`"
        diagnostics.append(Diagnostic("PK619", message, leaf.place if leaf else decoding.keys["best"], help))
    if not _DIGEST.fullmatch(best.digest):
        message = f"`{best.digest}` is no digest of a reward model"
        help = "give `sha256:` and 64 hexadecimal digits, as its card says them"
        diagnostics.append(Diagnostic("PK619", message, said.fields["digest"].place, help))


def _check_task(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    if profile.grammar is not None and profile.client_grammar:
        message = "a request's grammar would take the place of this one"
        help = "keep `grammar`, or `clientGrammar`"
        diagnostics.append(Diagnostic("PK605", message, entries.keys["clientGrammar"], help))
    if profile.task is Task.EXTRACT and profile.grammar is None and not profile.client_grammar:
        message = "nothing says what is extracted"
        help = "name a `grammar`, or let requests bring one: `clientGrammar: true`"
        diagnostics.append(Diagnostic("PK606", message, entries.fields["task"].place, help))
    called = {"tools": bool(profile.tools), "clientTools": profile.client_tools is not None}
    for name in (name for name, is_called in called.items() if is_called and profile.task is not Task.AGENT):
        message = f"a profile that is there to {profile.task} calls no tools"
        diagnostics.append(Diagnostic("PK606", message, entries.keys[name], "remove them, or say `task: agent`"))


def _check_tools(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    first: dict[str, Place] = {}
    for entry in entries.records("tools"):
        leaf = entry.leaf("name")
        if leaf is None:
            continue
        name = str(leaf.value)
        if name in first:
            related = ((first[name], "the first one"),)
            message = f"duplicate tool name `{name}`"
            diagnostics.append(Diagnostic("PK607", message, leaf.place, "rename one of the two", related=related))
        first.setdefault(name, leaf.place)


def _check_client_tools(profile: Profile, entries: Entries, diagnostics: list[Diagnostic]) -> None:
    """Limits of tools that requests define say nothing where none may: nobody should think that some may."""
    limits = entries.entries("limits")
    for name in ("clientTools", "clientToolCharacters"):
        leaf = limits and limits.leaf(name)
        if leaf is not None and profile.client_tools is None:
            message = f"`limits.{name}` limits tools that requests define, and the profile takes none"
            diagnostics.append(Diagnostic("PK620", message, leaf.place, "say `clientTools: allow`, or remove it"))


def _can_apply(document: Document, context: CompileContext) -> bool:
    """Whether some rule's scope, and the document's, admits the profile."""
    return in_scope(document.scope, context) and any(in_scope(rule.scope, context) for rule in document.rules)
