"""The facts' JSON Schema: a file that a document names becomes part of the document."""

import json
from pathlib import Path
from typing import cast

from policykit.diagnostics import Diagnostic
from policykit.policy.checked import DataLeaf, Entries, Json
from policykit.policy.nodes import MAX_BYTES


def inline_facts(document: Entries, folder: Path, diagnostics: list[Diagnostic]) -> None:
    """Put the content of `facts.schema` in its place, as `facts.inline`: from here on there are no files.

    A document that was saved with its content, as in a plan, so loads to the same digest.
    """
    facts = document.entries("facts")
    named = facts.leaf("schema") if facts else None
    if facts is None or named is None:
        return
    try:
        with (folder / str(named.value)).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        content: object = json.loads(data)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except OSError as error:
        _refuse((error.strerror or str(error)).lower(), facts, diagnostics)
    except (ValueError, RecursionError) as error:
        _refuse(str(error), facts, diagnostics)
    else:
        key = facts.keys.pop("schema")
        del facts.fields["schema"]
        facts.keys["inline"] = key
        facts.fields["inline"] = DataLeaf(cast(Json, content), named.place)


def _refuse(why: str, facts: Entries, diagnostics: list[Diagnostic]) -> None:
    named = facts.fields["schema"]
    message = f"the facts' schema cannot be read: {why}"
    diagnostics.append(Diagnostic("PK061", message, named.place, "name a JSON Schema file beside the policy"))
