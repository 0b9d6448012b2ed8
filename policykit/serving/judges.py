"""The judge of one request: its profile's plans in a deployment, with what the request brings."""

import re
from collections.abc import Mapping
from typing import Final

from policykit.diagnostics import CATALOGUE, Diagnostic, PolicyError
from policykit.engines.vllm.grammars import unread
from policykit.grammar.keywords import ASSERTIONS, SILENT
from policykit.profiles import Grant, Profile
from policykit.serving.deployment import Deployment
from policykit.serving.errors import Refused
from policykit.serving.judging import Judge
from policykit.serving.messages import Ask

_ALONE: Final = frozenset({"PK201", "PK202", "PK204", "PK205"})
"""Codes of what is found in a JSON Schema before it meets any rule."""
_PLACE: Final = re.compile(r" at `((?:/[^`]*)?)`")
_KEYWORDS: Final = ASSERTIONS | SILENT
"""What a client is shown of a pointer. All else in it the client wrote, and a rule may forbid it."""
_INDEX: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_MAX_PARTS: Final = 30


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
    """What a client is told: the title, and where in a schema something is none. A message, or a name in a pointer, may
    quote what a rule forbids, which no field of an answer may hold."""
    title = f"{found.code}: {CATALOGUE[found.code].title}"
    place = _PLACE.search(found.message) if found.code in _ALONE else None
    if place is None:
        return title
    parts = place[1].split("/")
    shown = [part if part in _KEYWORDS or _INDEX.fullmatch(part) else "*" for part in parts[1:]]
    if len(shown) > _MAX_PARTS:
        shown[_MAX_PARTS:] = ["…"]
    return f"{title}, at `{''.join(f'/{part}' for part in shown)}`"
