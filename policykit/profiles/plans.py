"""Plans of profiles: compiled once for a request context, and again when a rule begins or ends."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import date
from threading import Lock

from policykit.diagnostics import Diagnostic, PolicyError
from policykit.ir.grammar import GrammarSpec
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Level, Rows
from policykit.ir.verdict import Decision
from policykit.plan import Plan, Unread, compile as compile_plan, request_compilers
from policykit.plan.plan import today
from policykit.profiles.profile import OutputRules, Profile, ProfileSet
from policykit.profiles.reach import rules_about

MAX_PLANS = 512
"""Plans that are kept; the least recently used go first."""


@dataclass(slots=True)
class _Kept:
    """A plan and the day that it was compiled for. The lock is held while it is compiled: by one thread only."""

    lock: Lock = field(default_factory=Lock)
    at: date = date.max
    plan: Plan | None = None

    def holds(self, day: date) -> Plan | None:
        """The plan, where it is the day's."""
        plan = self.plan
        if plan is None or day < self.at or (plan.valid_until is not None and day >= plan.valid_until):
            return None
        return plan


_Key = tuple[str, str | None, str | None, str | None, tuple[str, ...] | None]


class Plans:
    """At most ``size`` plans by what they are compiled from; safe for threads.

    A plan that has expired is compiled again; one that was compiled for a later day does not serve an earlier one.
    """

    def __init__(self, size: int = MAX_PLANS) -> None:
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()

    def plan_for(
        self,
        profile: Profile,
        *,
        tenant: str | None = None,
        locale: str | None = None,
        jurisdiction: str | None = None,
        at: date | None = None,
        grammar: GrammarSpec | Unread | None = None,
    ) -> Plan:
        """The plan of :func:`plan_for`."""
        if grammar is not None and not profile.client_grammar:
            message = f"the profile `{profile.name}` takes no grammar from a request"
            raise PolicyError.of("PK616", message, grammar.place, "leave it out, or use another profile")
        day = at or today()
        used = grammar or profile.grammar
        key = (profile.digest, tenant, locale, jurisdiction, _key_of(used))
        kept = self._entry(key)
        with kept.lock:
            plan = kept.holds(day)
            if plan is None:
                plan = _compiled(profile, used, (tenant, locale, jurisdiction), day)
                plan = replace(plan, spec=replace(plan.spec, rows=_with_tools(plan.spec.rows, profile)))
                kept.plan, kept.at = plan, day
            return plan

    def _entry(self, key: _Key) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(key, _Kept())
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return kept


def _compiled(
    profile: Profile,
    grammar: GrammarSpec | Unread | None,
    context: tuple[str | None, str | None, str | None],
    day: date,
) -> Plan:
    """The plan for tenant, locale and jurisdiction; in another process where the grammar is a request's."""
    tenant, locale, jurisdiction = context
    asked = {"profile": profile.name, "tenant": tenant, "locale": locale, "jurisdiction": jurisdiction}
    if isinstance(grammar, Unread):
        plan = request_compilers().compile(profile.policies, grammar, at=day, **asked)
    else:
        plan = compile_plan(profile.policies, grammar, at=day, **asked)
    if plan.spec.grammar is not None:
        plan.spec.grammar.check_names_no_token("servers that judge answers")
    return plan


def _key_of(grammar: GrammarSpec | Unread | None) -> tuple[str, ...] | None:
    match grammar:
        case None:
            return None
        case Unread(reads, arguments):
            return (reads.__module__, reads.__qualname__, *arguments)
        case _:
            return (grammar.kind.value, grammar.source)


def _with_tools(rows: Later[Rows], profile: Profile) -> Later[Rows]:
    return Later(lambda: replace(rows(), enforcements=(*rows().enforcements, *tool_rows(profile))))


def tool_rows(profile: Profile) -> tuple[Enforcement, ...]:
    """Where calls of tools are judged, which no mask does: it reads a call as the text that it is."""
    rows = tuple(
        Enforcement(
            "tool", tool.name, Level.OUTPUT,
            f"verifier, when the call is complete: its schema, {_about_calls(profile, tool.name)}, "
            f"{_ABOUT_OUTPUTS[tool.output_rules]}",
            profile.place,
        )
        for tool in profile.tools
    )  # fmt: skip
    if (own := profile.client_tools) is None:
        return rows
    names = rules_about(profile, None)
    about = (
        f"tools that a request defines (at most {own.most}, of {own.max_chars} characters each); verifier, when the "
        f"call is complete: the request's own schema, {_rules_about_calls(names)}, "
    )
    why = f"{about}{_ABOUT_OUTPUTS[OutputRules.APPLY]}; what it says of them is judged as input"
    return (*rows, Enforcement("tool", "*", Level.OUTPUT, why, profile.place))


_DECODED = "of the arguments as decoded text; the mask reads them as they are written, and escapes hide them from it"
_ABOUT_OUTPUTS = {
    OutputRules.APPLY: f"and every rule about outputs {_DECODED}",
    OutputRules.BLOCK: f"and the rules that stop outputs {_DECODED}",
    OutputRules.IGNORE: "and no rule about outputs: what no output may say may stand there",
}


def _about_calls(profile: Profile, tool: str) -> str:
    return _rules_about_calls(rules_about(profile, tool))


def _rules_about_calls(names: tuple[str, ...]) -> str:
    return f"the rules about calls ({', '.join(names)})" if names else "no rule about calls"


_PLANS = Plans()


def plan_for(
    profile: Profile,
    *,
    tenant: str | None = None,
    locale: str | None = None,
    jurisdiction: str | None = None,
    at: date | None = None,
    grammar: GrammarSpec | Unread | None = None,
) -> Plan:
    """The plan that a request is served under, compiled at most once while it is valid.

    ``at`` is the day (default: today, UTC). ``grammar`` is the request's own, which only a profile with
    ``client_grammar`` takes; where nobody has read it yet, that and the plan are made within the bounds on grammars of
    requests. Raises PolicyError with every conflict, PK616 for a grammar that is not taken, and PK209.
    """
    return _PLANS.plan_for(profile, tenant=tenant, locale=locale, jurisdiction=jurisdiction, at=at, grammar=grammar)


def check_profiles(profiles: ProfileSet, at: date | None = None) -> tuple[Diagnostic, ...]:
    """Everything that keeps the profiles from being served: plans that do not compile, and fallbacks that break them.

    Warnings of the plans are among what is returned.
    """
    found: list[Diagnostic] = []
    for profile in profiles:
        try:
            plan = plan_for(profile, at=at)
        except PolicyError as error:
            found.extend(error.diagnostics)
            continue
        found.extend(plan.spec.warnings)
        verdict = plan.verify(profile.fallback)
        if verdict.violations and verdict.decision in (Decision.BLOCK, Decision.ESCALATE):
            rules = ", ".join(f"`{rule}`" for rule in verdict.rules)
            message = f"the fallback of `{profile.name}` would itself be stopped by {rules}"
            found.append(Diagnostic("PK609", message, profile.place, "write a text that the profile's plan lets pass"))
    return tuple(dict.fromkeys(found))
