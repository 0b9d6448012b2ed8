"""The judge of one request: its profile's plans in a deployment, with what the request brings."""

from collections.abc import Mapping

from policykit.diagnostics import CATALOGUE, Diagnostic, PolicyError
from policykit.engines.vllm.grammars import unread
from policykit.profiles import Grant, Profile
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused
from policykit.serving.judging import Judge
from policykit.serving.messages import Ask

ALONE = frozenset({"PK201", "PK202", "PK204", "PK205"})
"""Codes of what is found in a JSON Schema before it meets any rule."""
MAX_SAID = 300
"""Characters of one finding: a pointer has names in it that are as long as the client likes."""


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
        message = f"the grammar is refused: {'; '.join(map(_said, error.diagnostics))}"
        raise Refused(400, "policykit_grammar_refused", message, param=ask.grammar.param) from None
    tools = ask.tools if ask.tool_choice != "none" else ()
    if ask.named_tool is not None:
        tools = (ask.named_tool,)
    return Judge(plan, side, profile, facts, tools, deployment.validators(profile))


def _said(found: Diagnostic) -> str:
    """What a client is told. What is wrong with the grammar alone has its place in it; what else there is may
    quote what a rule forbids, and has its title only."""
    said = found.message if found.code in ALONE else CATALOGUE[found.code].title
    return f"{found.code}: {said if len(said) <= MAX_SAID else said[: MAX_SAID - 1] + '…'}"
