"""Loading plans from files.

A plan file holds content, not machine code: loading compiles it anew and refuses it if the result has another
digest, so a plan that was edited, or that other tables would compile differently, is never used.
"""

import copyreg
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, cast

from policykit.compile import FORMAT, PlanSpec, compile_plan
from policykit.diagnostics import Place, PolicyError
from policykit.grammar import choices, ebnf, gbnf, json_schema, lark, plain_lark, regex, structural_tag
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.ir.plan import CompileContext
from policykit.plan.plan import Plan, prune
from policykit.plan.render import KIND, render
from policykit.policy import parse_document
from policykit.verify import NONE

_GRAMMARS: dict[GrammarKind, Callable[[str, Place], GrammarSpec]] = {
    GrammarKind.JSON_SCHEMA: json_schema,
    GrammarKind.REGEX: regex,
    GrammarKind.LARK: lark,
    GrammarKind.PLAIN_LARK: plain_lark,
    GrammarKind.GBNF: gbnf,
    GrammarKind.EBNF: ebnf,
    GrammarKind.STRUCTURAL_TAG: structural_tag,
    GrammarKind.CHOICES: lambda source, place: choices(json.loads(source), place),
}

MAKE_ONE = "make one with `policykit compile -o plan.json`"


def load_plan(path: str | Path) -> Plan:
    """The plan in a file. Raises PolicyError: unreadable (PK311), a newer format (PK312), changed content (PK313)."""
    place = Place(str(path))
    try:
        data: Any = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError.of("PK311", f"cannot read the plan: {_wrong(error)}", place, MAKE_ONE) from error
    if not isinstance(data, dict) or cast(dict[str, Any], data).get("kind") != KIND:
        raise PolicyError.of("PK311", "this file is no plan", place, MAKE_ONE)
    return _checked(cast(dict[str, Any], data), place)


def _loaded(text: str) -> Plan:
    return _checked(json.loads(text), Place("<plan>"))


def _sent(plan: Plan) -> tuple[Callable[[str], Plan], tuple[str]]:
    """A plan for another process: the content of its file, compiled there and held against its digests.

    Keys, vaults and what else a deployment gives a plan stay where they are: TypeError.
    """
    if plan.resources != NONE:
        raise TypeError("a plan with resources stays in its process: send it without, and give them to it there")
    return _loaded, (render(plan.spec),)


copyreg.pickle(Plan, _sent)


def _checked(data: dict[str, Any], place: Place) -> Plan:
    """The plan that the content compiles to, if it is the plan that the content claims to be."""
    if data.get("format") != FORMAT:
        raise PolicyError.of(
            "PK312",
            f"the plan has format `{data.get('format')}`, this version reads `{FORMAT}`",
            place,
            "compile it again with this version, or use the version that wrote it",
        )
    try:
        plan = Plan(_recompile(data, place))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError.of("PK311", f"the plan is malformed: {_wrong(error)}", place, MAKE_ONE) from error
    claimed = (data.get("digest"), data.get("bundle_digest"))
    if (plan.digest, plan.bundle_digest) != claimed:
        raise PolicyError.of(
            "PK313",
            f"the plan's content gives digest `{plan.digest}`, the file says `{claimed[0]}`",
            place,
            "it was changed after compiling, or Unicode tables differ: compile it again from its policies",
        )
    return plan


def _wrong(error: Exception) -> str:
    """What an error says, in the file's words."""
    match error:
        case KeyError(args=(name,)):
            return f"`{name}` is missing"
        case OSError(strerror=str(reason)):
            return reason.lower()
        case _:
            return str(error)


def _recompile(data: dict[str, Any], place: Place) -> PlanSpec:
    documents = tuple(
        parse_document(json.dumps(document, ensure_ascii=False), f"{place.file}#{i}")
        for i, document in enumerate(data["documents"])
    )
    grammar = data["grammar"]
    made = _GRAMMARS[GrammarKind(grammar["kind"])](grammar["source"], place) if grammar else None
    parts = data["context"]
    context = CompileContext(
        parts["profile"], parts["tenant"], parts["locale"], parts["jurisdiction"], date.fromisoformat(parts["at"])
    )
    return compile_plan(PolicySet(documents), made, context, prune)
