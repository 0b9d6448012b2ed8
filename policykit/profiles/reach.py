"""Rules that seem to be on and are not: no profile that names their policy is in their scope, or has their tool."""

from collections.abc import Iterable, Iterator

from policykit.compile.resolve import glob_matches, in_scope
from policykit.diagnostics import Diagnostic, Severity
from policykit.diagnostics.suggest import did_you_mean
from policykit.ir.document import Document, Mode, Rule, Target
from policykit.ir.plan import CompileContext
from policykit.profiles.profile import Profile, ProfileSet


def check_reach(profiles: ProfileSet) -> tuple[Diagnostic, ...]:
    """A warning for each rule that no profile can meet, and for each tool of a rule that is nearly a profile's."""
    naming: dict[tuple[str, str], tuple[Document, list[Profile]]] = {}
    for profile in profiles:
        for document in profile.policies.documents:
            if in_scope(document.scope, CompileContext(profile=profile.name)):
                naming.setdefault((document.place.file, document.name), (document, []))[1].append(profile)
    return tuple(found for document, named in naming.values() for found in _unmet(document, named))


def rules_about(profile: Profile, tool: str) -> tuple[str, ...]:
    """The names of the rules that judge calls of a tool, as its schema and outputs' rules do not."""
    return tuple(
        f"{document.name}#{rule.id}"
        for document in profile.policies.documents
        for rule in document.rules
        if rule.target is Target.TOOL_CALL
        and rule.mode is Mode.ENFORCE
        and _may_meet(document, rule, profile)
        and (not rule.tools or any(glob_matches(pattern, tool) for pattern in rule.tools))
    )


def _unmet(document: Document, named: list[Profile]) -> Iterator[Diagnostic]:
    for rule in document.rules:
        if rule.mode is Mode.OFF:
            continue
        met = [profile for profile in named if _may_meet(document, rule, profile)]
        if not met:
            profiles = ", ".join(f"`{profile.name}`" for profile in named)
            message = f"`{document.name}#{rule.id}` is on in none of the profiles that name its policy: {profiles}"
            nearest = (did_you_mean(written, (p.name for p in named)) for written in rule.scope.profiles)
            help = next((near for near in nearest if near), "correct its scope, or remove it")
            yield Diagnostic("PK618", message, rule.place, help, Severity.WARNING)
            continue
        tools = {tool.name for profile in met for tool in profile.tools}
        for written in rule.tools:
            near = did_you_mean(written, tools)
            if near and not any(glob_matches(written, tool) for tool in tools):
                message = f"`{document.name}#{rule.id}` is about a tool `{written}`, which no profile has"
                yield Diagnostic("PK618", message, rule.place, near, Severity.WARNING)


def _may_meet(document: Document, rule: Rule, profile: Profile) -> bool:
    """Whether some request under the profile is in the scope of document and rule. Locale and jurisdiction are the
    key's, which is not known here."""
    context = CompileContext(profile=profile.name)
    return all(
        in_scope(scope, context) and (not scope.tenants or _share(scope.tenants, profile.tenants))
        for scope in (document.scope, rule.scope)
    )


def _share(some: Iterable[str], others: tuple[str, ...]) -> bool:
    """Whether a name may be of both; two globs that both leave something open are taken to share one."""
    return any(
        glob_matches(one, other) or glob_matches(other, one) or ("*" in one and "*" in other)
        for one in some
        for other in others
    )
