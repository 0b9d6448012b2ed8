"""Rules that seem to be on and are not: no profile that names their policy is in their scope, or has their tool."""

from collections.abc import Iterator, Sequence

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


def rules_about(profile: Profile, tool: str | None) -> tuple[str, ...]:
    """The names of the rules that judge calls of a tool, as its schema and outputs' rules do not. None stands for a
    tool whose name is not known: of those, the rules about all tools."""
    return tuple(
        f"{document.name}#{rule.id}"
        for document in profile.policies.documents
        for rule in document.rules
        if rule.target is Target.TOOL_CALL
        and rule.mode is Mode.ENFORCE
        and _may_meet(document, rule, profile)
        and (
            not rule.tools
            or any(pattern == "*" if tool is None else glob_matches(pattern, tool) for pattern in rule.tools)
        )
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
    scopes = document.scope, rule.scope
    tenants = [scope.tenants for scope in scopes if scope.tenants]
    return all(in_scope(scope, context) for scope in scopes) and (not tenants or _share(*tenants, profile.tenants))


def _share(*lists: Sequence[str]) -> bool:
    """Whether some name matches a glob of each list."""
    for name in (written for patterns in lists for written in patterns if "*" not in written):
        if all(any(glob_matches(pattern, name) for pattern in patterns) for patterns in lists):
            return True
    ends = {("", "")}
    for patterns in lists:
        ends = {both for one in ends for pattern in patterns if "*" in pattern if (both := _both(one, pattern))}
    return bool(ends)


def _both(ends: tuple[str, str], glob: str) -> tuple[str, str] | None:
    """How names begin and end that match globs with such ends, and a further one; what their middles want fits between
    them one after the other. None where there is no such name."""
    (head, tail), first, last = ends, glob[: glob.index("*")], glob[glob.rindex("*") + 1 :]
    if not (head.startswith(first) or first.startswith(head)) or not (tail.endswith(last) or last.endswith(tail)):
        return None
    return max(head, first, key=len), max(tail, last, key=len)
