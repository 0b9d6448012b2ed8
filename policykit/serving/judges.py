"""The judge of one request: its profile's plans in a deployment, with what the request brings."""

from collections.abc import Mapping

from policykit.diagnostics import CATALOGUE, PolicyError
from policykit.engines.vllm.grammars import unread
from policykit.profiles import Grant, Profile
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused
from policykit.serving.judging import Judge
from policykit.serving.messages import Ask


def judge_for(deployment: Deployment, grant: Grant, profile: Profile, ask: Ask, facts: Mapping[str, object]) -> Judge:
    """The plans of a request, with the grammar that it brings, which is compiled in another process. Slow. Raises
    PolicyError; Refused for a grammar of the request's own."""
    context = {"locale": grant.locale, "jurisdiction": grant.jurisdiction}
    side = deployment.plan_without_grammar(profile, grant.tenant, **context)
    try:
        grammar = None if ask.grammar is None else unread(ask.grammar.form, ask.grammar.source)
        plan = deployment.plan(profile, grant.tenant, grammar=grammar, **context)
    except PolicyError as error:
        if ask.grammar is None:
            raise
        found = "; ".join(f"{d.code}: {CATALOGUE[d.code].title}" for d in error.diagnostics)
        message = f"the grammar is refused: {found}"  # no more: it may quote what a rule forbids
        raise Refused(400, "policykit_grammar_refused", message, param=ask.grammar.param) from None
    tools = ask.tools if ask.tool_choice != "none" else ()
    if ask.named_tool is not None:
        tools = (ask.named_tool,)
    return Judge(plan, side, profile, facts, tools, deployment.validators(profile))
