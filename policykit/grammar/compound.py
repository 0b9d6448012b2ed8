"""A schema and the documents that it refers to as one document (a compound schema document, 2020-12, section 9.3)."""

import copy
from typing import Final

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar.documents import Documents, document_at
from policykit.grammar.schema_document import DEFINITIONS, REFERENCES, Dialect, SchemaDocument, dialect_of
from policykit.grammar.values import Json, join

MAX_DOCUMENTS: Final = 500


def compound(root: dict[str, Json], dialect: Dialect, documents: Documents, place: Place) -> SchemaDocument:
    """The schema with every document that it needs among its definitions, each under its URI.

    A document that is not there is left out: what refers to it still leaves.

    Raises:
        PolicyError: PK201 (a document is not JSON), PK202 (it is no schema), PK205 (it is in another dialect),
            PK206 (too many documents).
    """
    keyword = definitions_keyword(dialect)
    document = SchemaDocument.of(root, dialect)
    retrieved: dict[str, str] = {}
    missing: set[str] = set()
    while wanted := [name for name in _left_for(document) if name not in missing]:
        root = copy.deepcopy(root) if not retrieved else root  # the author's own stays as it is
        definitions = root.setdefault(keyword, {})
        for name in wanted:
            found = document_at(documents, name, place)
            if found is None or not isinstance(definitions, dict):
                missing.add(name)
                continue
            key = _unused(definitions, name)
            definitions[key] = _schema(found, name, dialect, place)
            retrieved[join("", keyword, key)] = name
        if len(retrieved) > MAX_DOCUMENTS:
            message = f"the schema refers to more than {MAX_DOCUMENTS} documents"
            raise PolicyError.of("PK206", message, place, "refer to fewer")
        document = SchemaDocument.of(root, dialect, retrieved)
    return document


def definitions_keyword(dialect: Dialect) -> str:
    """Where a dialect keeps schemas for later use."""
    return "$defs" if dialect in (Dialect.DRAFT_2019, Dialect.DRAFT_2020) else "definitions"


def _left_for(document: SchemaDocument) -> list[str]:
    """The URIs of the documents that references lead out to, each once."""
    found: dict[str, None] = {}
    for pointer, schema in reached(document).items() if document.referring else ():
        for _, written in references(schema):
            name = document.leaves(pointer, written)
            if name is not None:
                found[name] = None
    return list(found)


def reached(document: SchemaDocument) -> dict[str, Json]:
    """The subschemas that may bear on a value, by pointer; a dynamic reference may lead to every anchor of its name.
    Kept with the document."""
    if not document.dynamically:
        document.dynamically.update(_reached(document))
    return document.dynamically


def _reached(document: SchemaDocument) -> dict[str, Json]:
    anchors: dict[str, list[str]] = {}
    for pointer in document.bases:
        name = dynamic_name(document.at(pointer), document.dialect)
        if name is not None:
            anchors.setdefault(name, []).append(pointer)
    found: dict[str, Json] = {}
    pending = [""]
    while pending:
        pointer = pending.pop()
        if pointer in found:
            continue
        found[pointer] = schema = document.at(pointer)
        for keyword, written in references(schema):
            target = document.resolve(pointer, written)
            if target is not None:
                name = None if keyword == "$ref" else dynamic_name(document.at(target), document.dialect)
                pending += [target, *(anchors.get(name, ()) if name is not None else ())]
        if isinstance(schema, dict) and not document.ignores_siblings(schema):
            pending += [path for keyword, path, _ in document.children(pointer) if keyword not in DEFINITIONS]
    return found


def dynamic_name(schema: Json, dialect: Dialect) -> str | None:
    """The name under which a subschema is found dynamically; in 2019-09 there is one, and it is empty."""
    if not isinstance(schema, dict):
        return None
    if dialect is Dialect.DRAFT_2019:
        return "" if schema.get("$recursiveAnchor") is True else None
    name = schema.get("$dynamicAnchor")
    return name if isinstance(name, str) else None


def references(schema: Json) -> list[tuple[str, str]]:
    """The references of a subschema, with the keywords that hold them."""
    if not isinstance(schema, dict) or _REFERRING.isdisjoint(schema):
        return []
    return [(keyword, written) for keyword in REFERENCES if isinstance(written := schema.get(keyword), str)]


_REFERRING: Final = frozenset(REFERENCES)


def _unused(definitions: dict[str, Json], name: str) -> str:
    while name in definitions:
        name += "'"
    return name


def _schema(found: Json, name: str, dialect: Dialect, place: Place) -> Json:
    """A document as a subschema of this dialect."""
    if isinstance(found, bool):
        return found
    if not isinstance(found, dict):
        raise PolicyError.of("PK202", f"the document `{name}` is no schema: an object or a boolean", place)
    own = dialect_of(found) if "$schema" in found else dialect
    if own is not dialect:
        what = f"`{found['$schema']}`" if own is None else own.name.lower().replace("_", "-")
        message = f"the document `{name}` is written in {what}, and the schema that refers to it is not"
        advice = f'write both in one dialect: `"$schema": "{dialect.value}"`'
        raise PolicyError.of("PK205", message, place, advice)
    return copy.deepcopy(found)


def reference_faults(document: SchemaDocument, place: Place) -> list[Diagnostic]:
    """References that lead nowhere, and those to documents that are not there."""
    found: list[Diagnostic] = []
    entered = reached(document) if document.referring else {}
    for pointer, schema in sorted(entered.items(), key=lambda found: found[0]):
        for keyword, written in references(schema):
            if document.resolve(pointer, written) is not None:
                continue
            at = join(pointer, keyword)
            if document.leaves(pointer, written):
                message = f"`{written}` at `{at}` is in another document"
                advice = (
                    "nothing is fetched: give the document (`documents=`, `--documents`), or put it beside the file"
                )
                found.append(Diagnostic("PK203", message, place, advice))
            else:
                found.append(Diagnostic("PK204", f"`{written}` at `{at}` leads nowhere", place))
    return found
