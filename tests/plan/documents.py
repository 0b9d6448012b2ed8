"""Small policies as text, for the tests of plans."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from policykit.ir.document import PolicySet
from policykit.policy import parse_document

BLOCK: Mapping[str, Any] = {"block": {"message": "no"}}


def rule(id: str, match: Mapping[str, Any], action: Mapping[str, Any] = BLOCK, **more: Any) -> dict[str, Any]:
    return {"id": id, "match": match, "action": action, **more}


def blocks(*phrases: str, id: str = "no-guarantees") -> dict[str, Any]:
    return rule(id, {"phrases": list(phrases)})


def document(rules: Sequence[Mapping[str, Any]], name: str = "finance/x", **more: Any) -> str:
    """A policy file. JSON is YAML, so its text is valid and its places are real."""
    metadata = {"name": name, "version": "1.0.0", "owner": "a@b.c", "why": "because"}
    head = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata}
    return json.dumps({**head, **more, "rules": list(rules)}, indent=1)


def policies(*documents: str) -> PolicySet:
    return PolicySet(tuple(parse_document(text, f"{i}.policy.yaml") for i, text in enumerate(documents)))


def of(*rules: Mapping[str, Any], **more: Any) -> PolicySet:
    """One document with these rules."""
    return policies(document(rules, **more))
