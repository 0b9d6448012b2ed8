"""Digests: the same content has the same digest, everywhere and whatever its formatting."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from policykit.compile.entities import fingerprints
from policykit.compile.resolve import leaves, opaque
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.ir.opaque import Classifier
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.text import escapes_digest, tables_digest

FORMAT = 1
"""Version of the plan's format and of what it means. A change of meaning raises it."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Of the bundle, and of the plan that it gives in a context."""

    bundle: str
    plan: str


def digests(
    policies: PolicySet,
    grammar: GrammarSpec | None,
    pruned: GrammarSpec | None,
    context: CompileContext,
    rules: Sequence[ResolvedRule],
) -> Digests:
    """Those of a plan; ``pruned`` is the grammar without what the rules forbid in it."""
    bundle = bundle_digest(policies, grammar)
    return Digests(bundle, plan_digest(bundle, pruned, context, rules))


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def bundle_digest(policies: PolicySet, grammar: GrammarSpec | None) -> str:
    """Covers documents, grammar, Unicode tables, entity types, the names of escapes where some are decoded, and format;
    ignores comments, key order, formatting and file names."""
    documents = sorted(document.canonical for document in policies.documents)
    grammars = [[grammar.kind.value, grammar.source]] if grammar else []
    content: dict[str, object] = {"format": FORMAT, "tables": tables_digest()}
    entities = fingerprints(policies)
    if entities:
        content["entities"] = entities
    rules = [rule for document in policies.documents for rule in document.rules]
    if any(leaf.reading.unescape for rule in rules for leaf in leaves(rule.matcher)):
        content["escapes"] = escapes_digest()
    return _sha256({**content, "documents": documents, "grammars": grammars})


def _identities(rule: ResolvedRule) -> list[str]:
    """The installed predicates, and the library that tells languages, that the rule was compiled with, or an allow rule
    that it stands for."""
    own = [leaf.identity for leaf in opaque(rule.matcher) if not isinstance(leaf, Classifier) and leaf.identity]
    return own + [identity for allow in rule.admits or () for identity in _identities(allow)]


def plan_digest(
    bundle: str, grammar: GrammarSpec | None, context: CompileContext, rules: Sequence[ResolvedRule]
) -> str:
    """Covers the bundle, the grammar and the resolved rule set."""
    resolved = [
        # An exception ends with time, so the same documents can give a plan with it and one without.
        [rule.name, rule.mode.value, rule.level.value, *([e.id for e in rule.exceptions],) * bool(rule.exceptions)]
        + [f"predicate {identity}" for identity in _identities(rule)]
        for rule in rules
    ]
    scope = [context.profile, context.tenant, context.locale, context.jurisdiction]
    source = [grammar.kind.value, grammar.source, grammar.lowered] if grammar else None
    return _sha256({"bundle": bundle, "grammar": source, "context": scope, "rules": resolved})
