"""Plans as text: the sources, what was decided from them, and the digest that both must give again."""

import json

from policykit.compile import FORMAT, PlanSpec
from policykit.text import UNICODE_VERSION

KIND = "policykit/plan"


def render(spec: PlanSpec) -> str:
    """The plan file's text. Reproducible: the same plan gives the same bytes."""
    context = spec.context
    grammar = spec.grammar
    data = {
        "kind": KIND,
        "format": FORMAT,
        "unicode": UNICODE_VERSION,
        "digest": spec.digest,
        "bundle_digest": spec.bundle_digest,
        "valid_until": spec.valid_until.isoformat() if spec.valid_until else None,
        "context": {
            "profile": context.profile,
            "tenant": context.tenant,
            "locale": context.locale,
            "jurisdiction": context.jurisdiction,
            "at": context.at.isoformat(),
        },
        "documents": [json.loads(document.canonical) for document in spec.policies.documents],
        "grammar": {"kind": grammar.kind.value, "source": grammar.source} if grammar else None,
        "enforcements": [
            {"subject": e.subject, "name": e.name, "level": e.level.value, "why": e.why} for e in spec.enforcements
        ],
        "residue": [{"pointer": r.pointer, "keyword": r.keyword, "why": r.why} for r in spec.residue],
        "liveness": {
            "kind": spec.liveness.kind.value,
            "why": spec.liveness.why,
            "horizon_bytes": spec.liveness.horizon_bytes,
        },
    }
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
