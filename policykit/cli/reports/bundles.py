"""What a bundle holds, for people and for machines."""

import json

from policykit.bundle import Bundle
from policykit.cli.render import counted


def size_of(bundle: Bundle) -> str:
    """One line: the revision and how much there is."""
    manifest = bundle.manifest
    n_rules = manifest.policies.n_rules if manifest.policies else 0
    sizes = (counted(len(manifest.files), "file"), counted(n_rules, "rule"), counted(len(manifest.profiles), "profile"))
    return f"revision {manifest.revision}, {', '.join(sizes)}"


def as_json(bundle: Bundle) -> str:
    """The manifest with its digest, and whose signatures are right."""
    rendered = bundle.manifest.render()
    content = json.loads(rendered) | {
        "digest": bundle.manifest.digest,
        "signatures": [{"key": s.key.id, "right": s.signs(rendered)} for s in bundle.signatures],
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
