"""Tools that a request defines, where its profile says `clientTools: allow`.

A tool of the profile is the profile's, whatever a request says of it. Any other is the client's: what it says of the
tool is text of the request, which the model reads and the rules about inputs judge; its schema is read in a process
that can be ended; and its calls are judged like those of the profile's tools, by that schema, by the rules about calls
and by every rule about outputs.
"""

from dataclasses import replace
from functools import lru_cache

from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.grammar import GrammarValidator, json_schema
from policykit.ir.grammar import GrammarSpec
from policykit.plan import request_compilers
from policykit.profiles import Profile, Tool
from policykit.serving.arguments import Arguments
from policykit.serving.errors import Refused
from policykit.serving.messages import Ask, Defined
from policykit.serving.rewrite import not_allowed
from policykit.serving.shown import shown

MAX_KEPT = 512
"""Schemas that are kept ready, of all tenants together."""
_PLACE = Place("<request>")


def settled(ask: Ask, profile: Profile) -> Ask:
    """The request with definitions of those tools only that the profile has not. Raises Refused where it takes none of
    a request, or not so many, or not so large ones."""
    own = tuple(tool for tool in ask.defined if profile.tool(tool.name) is None)
    most = profile.client_tools
    if own and most is None:
        why = "the profile has no such tool, and takes none from a request (`clientTools: refuse`)"
        raise not_allowed(own[0].param, why)
    if most is not None and len(own) > most.most:
        raise not_allowed("tools", f"defines {len(own)} tools, the profile takes {most.most} from a request")
    for tool in own:
        if most is not None and tool.n_chars > most.max_chars:
            why = f"has {tool.n_chars} characters of name, description and schema, the profile takes {most.max_chars}"
            raise not_allowed(tool.param, why)
    return replace(ask, defined=own)


def tool_of(tool: Defined) -> tuple[Tool, Arguments]:
    """The tool, and what judges the arguments of its calls. Slow where the schema is new. Raises Refused where it is
    no schema, or takes too long to read."""
    try:
        grammar = _read(tool.schema)
    except PolicyError as error:
        message = f"the schema of `{tool.param}` is refused: {'; '.join(map(shown, error.diagnostics))}"
        raise Refused(400, "policykit_grammar_refused", message, param=tool.param) from None
    except InternalError:
        message = f"the schema of `{tool.param}` is refused: arguments cannot be judged by it"
        raise Refused(400, "policykit_grammar_refused", message, param=tool.param) from None
    return Tool(tool.name, tool.description, grammar), Arguments(grammar)


@lru_cache(MAX_KEPT)
def _read(schema: str) -> GrammarSpec:
    return request_compilers().make(judged, schema, place=_PLACE)


def judged(schema: str) -> GrammarSpec:
    """The grammar of a schema that texts have been judged by. Raises PolicyError, InternalError."""
    grammar = json_schema(schema, _PLACE)
    GrammarValidator(grammar).check("{}")
    return grammar
