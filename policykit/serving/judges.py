"""The judge of one request: its profile's plans in a deployment, with what the request brings."""

from collections.abc import Mapping
from dataclasses import replace

from policykit.diagnostics import PolicyError
from policykit.engines.vllm.grammars import unread
from policykit.profiles import Grant, Profile
from policykit.serving.client_tools import settled, tool_of
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused
from policykit.serving.judging import Judge
from policykit.serving.messages import Ask
from policykit.serving.shown import shown


def judge_for(deployment: Deployment, grant: Grant, profile: Profile, ask: Ask, facts: Mapping[str, object]) -> Judge:
    """The plans of a request, with the grammar and the tools that it brings, which are compiled in another process.
    Slow. Raises PolicyError; Refused for a grammar or a tool of the request's own."""
    own = tuple(map(tool_of, settled(ask, profile).defined))
    context = {"locale": grant.locale, "jurisdiction": grant.jurisdiction}
    side = deployment.plan_without_grammar(profile, grant.tenant, **context)
    try:
        grammar = None if ask.grammar is None else unread(ask.grammar.form, ask.grammar.source)
        plan = deployment.plan(profile, grant.tenant, grammar=grammar, **context)
    except PolicyError as error:
        if ask.grammar is None:
            raise
        message = f"the grammar is refused: {'; '.join(map(shown, error.diagnostics))}"
        raise Refused(400, "policykit_grammar_refused", message, param=ask.grammar.param) from None
    tools = ask.tools if ask.tool_choice != "none" else ()
    if ask.named_tool is not None:
        tools = (ask.named_tool,)
    validators = {**deployment.validators(profile), **{tool.name: validator for tool, validator in own}}
    known = (*profile.tools, *(tool for tool, _ in own))
    offered = (validators[tool] for tool in tools if tool in validators)
    waits = plan.verifier.waits_for_grammar or any(arguments.is_elsewhere for arguments in offered)
    return Judge(plan, side, replace(profile, tools=known), facts, tools, validators, waits=waits)
