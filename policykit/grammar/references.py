"""A schema in which every reference is a pointer from its root: one base, no anchors, nothing that is dynamic.

`$dynamicRef` means the outermost resource of the dynamic scope that has the anchor (2020-12, section 8.2.3.2). All that
it asks of the dynamic scope is which resource that is, for each name: a finite map, the *scope* here. A resource that
is entered under two scopes is written twice, once for each; in each copy the reference is a pointer like any other.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import quote

from policykit.grammar.compound import definitions_keyword, dynamic_name, reached, references
from policykit.grammar.schema_document import (
    DEFINITIONS,
    GENERATING,
    ONE_SCHEMA,
    SCHEMA_LIST,
    SCHEMA_MAP,
    Dialect,
    SchemaDocument,
    children,
)
from policykit.grammar.values import Json, join, lookup, split

MAX_COPIES: Final = 500
MAX_COPIED_CHARACTERS: Final = 2_000_000

Scope: TypeAlias = tuple[tuple[str, str], ...]
"""Which subschema each dynamic anchor means here: ``(name, pointer)``, sorted."""


class TooManyScopes(Exception):
    """More copies would be needed than are made."""


def is_self_contained(document: SchemaDocument) -> bool:
    """Whether every reference is static, and read from one base, into a part of the schema that stays. Definitions that
    nothing leads to count too: the validator wants to resolve what they refer to."""
    for pointer in document.referring:
        if any(document.resolve(pointer, written) is None for _, written in references(document.at(pointer))):
            return False
    for pointer, schema in reached(document).items() if document.referring else ():
        for keyword, written in references(schema):
            target = document.resolve(pointer, written)
            if keyword != "$ref" or target is None or not _stays(target):
                return False
    return document.has_one_base


def self_contained(document: SchemaDocument) -> dict[str, Json]:
    """The same schema, its references written as pointers. Every reference must lead somewhere inside it.

    Raises:
        TooManyScopes: the dynamic scopes are too many.
    """
    return _Rewriting.of(document).run()


def _stays(pointer: str) -> bool:
    """Whether what stands at a pointer is a definition, or describes text that is written: other parts of a schema may
    be said in other keywords, and are gone then."""
    steps = list(split(pointer))
    while steps:
        keyword = steps.pop(0)
        if keyword in DEFINITIONS or (keyword in SCHEMA_MAP and keyword in GENERATING):
            if not steps:
                return False
            steps.pop(0)
        elif keyword in SCHEMA_LIST and keyword in GENERATING and steps and steps[0].isdigit():
            steps.pop(0)
        elif keyword not in ONE_SCHEMA or keyword not in GENERATING:
            return False
    return True


@dataclass(slots=True)
class _Rewriting:
    """``homes`` maps the pointer of a subschema to that of its resource, ``anchors`` a resource to its dynamic anchors,
    ``asked`` a resource to the names that some reference asks for, once it is entered."""

    document: SchemaDocument
    root: dict[str, Json]
    homes: dict[str, str]
    anchors: dict[str, dict[str, str]]
    asked: dict[str, frozenset[str]]
    places: dict[tuple[str, Scope], str] = field(default_factory=dict[tuple[str, Scope], str])
    hoisted: dict[str, str] = field(default_factory=dict[str, str])
    taken: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])
    characters: int = 0
    copies: int = 0
    pending: list[tuple[str, str, Scope]] = field(default_factory=list[tuple[str, str, Scope]])

    @staticmethod
    def of(document: SchemaDocument) -> "_Rewriting":
        homes = _homes(document)
        anchors: dict[str, dict[str, str]] = {}
        for pointer, home in homes.items():
            schema = lookup(document.root, pointer)
            name = dynamic_name(schema, document.dialect)
            if name is not None:
                anchors.setdefault(home, {}).setdefault(name, pointer)
        return _Rewriting(document, copy.deepcopy(document.root), homes, anchors, _asked(document, homes, anchors))

    def run(self) -> dict[str, Json]:
        self._place("", "", ())
        self.pending.append(("", "", ()))
        self._work()
        self._without_leftovers()
        return self.root

    def _work(self) -> None:
        while self.pending:
            old, new, scope = self.pending.pop()
            if new in self.done:
                continue
            self.done.add(new)
            schema = lookup(self.root, new)
            if not isinstance(schema, dict):
                continue
            scope = self._entered(self._home(old), scope)
            original = copy.copy(schema)
            self._point(old, new, schema, scope)
            _strip(schema, self.document.dialect, is_root=not new)
            below = [path for keyword, path, _ in children(original) if keyword not in DEFINITIONS]
            if self.document.ignores_siblings(original):
                below = []
            self.pending += [(old + path, new + path, scope) for path in reversed(below)]
            for path in below:
                if self._home(old + path) == old + path:
                    self._place(old + path, new + path, scope)

    def _place(self, resource: str, at: str, scope: Scope) -> None:
        self.places.setdefault((resource, self._entered(resource, scope)), at)
        if resource == at:
            self.taken.add(resource)

    def _home(self, pointer: str) -> str:
        """The resource of a place, which need not be one of a known subschema."""
        while pointer not in self.homes:
            pointer = pointer.rpartition("/")[0]
        return self.homes[pointer]

    def _entered(self, resource: str, scope: Scope) -> Scope:
        """The scope inside a resource: what is there already is further out, and stays."""
        found = {**self.anchors.get(resource, {}), **dict(scope)}
        return tuple(sorted((name, at) for name, at in found.items() if name in self.asked.get(resource, ())))

    def _point(self, old: str, new: str, schema: dict[str, Json], scope: Scope) -> None:
        """Write the references of one subschema as pointers."""
        for keyword, written in list(references(schema)):
            target = self._target(old, keyword, written, scope)
            if target is None:
                continue
            reference: Json = "#" + quote(self._at(target, scope), safe="/~!$&'()*+,;=:@-._")
            if keyword == "$ref":
                schema["$ref"] = reference
            elif "$ref" not in schema:
                _rename(schema, keyword, "$ref", reference)
            else:
                del schema[keyword]
                members = schema.setdefault("allOf", [])
                assert isinstance(members, list)
                self.done.add(join(new, "allOf", len(members)))
                members.append({"$ref": reference})

    def _target(self, old: str, keyword: str, written: str, scope: Scope) -> str | None:
        """Where a reference leads under a scope, as a pointer into the original."""
        first = self.document.resolve(old, written)
        if first is None or keyword == "$ref":
            return first
        name = dynamic_name(lookup(self.document.root, first), self.document.dialect)
        if name is None or (keyword == "$dynamicRef" and written.partition("#")[2] != name):
            return first
        return dict(scope).get(name, first)

    def _at(self, target: str, scope: Scope) -> str:
        """The place of a subschema of the original as it is meant under a scope."""
        resource = self._home(target)
        inside = self._entered(resource, scope)
        if (resource, inside) not in self.places:
            is_free = resource not in self.taken and _is_definition(resource)
            at = resource if is_free else self._copy(resource, resource)
            self.taken.add(resource)
            self.places[resource, inside] = at
        at = self.places[resource, inside] + target[len(resource) :]
        if not _stays(at):
            if at not in self.hoisted:
                self.hoisted[at] = self._copy(target, at)
            at = self.hoisted[at]
        self.pending.append((target, at, inside))
        return at

    def _copy(self, target: str, wanted: str) -> str:
        """A place among the root's definitions where a subschema of the original stands once more."""
        found = lookup(self.document.root, target)
        self.characters += len(json.dumps(found))
        self.copies += 1
        if self.characters > MAX_COPIED_CHARACTERS or self.copies > MAX_COPIES:
            raise TooManyScopes
        keyword = definitions_keyword(self.document.dialect)
        definitions = self.root.setdefault(keyword, {})
        assert isinstance(definitions, dict)
        name = "/".join(split(wanted)[1:] if wanted.startswith(f"/{keyword}/") else split(wanted)) or "#"
        number = 2
        while (key := name if name not in definitions else f"{name} ({number})") in definitions:
            number += 1
        definitions[key] = copy.deepcopy(found)
        return join("", keyword, key)

    def _without_leftovers(self) -> None:
        """What nothing leads to is dropped: its references would be read from another base, and its identifiers set
        one. Lists keep their length."""
        kept: set[str] = set()
        for pointer in self.done:
            while pointer not in kept:
                kept.add(pointer)
                pointer = pointer.rpartition("/")[0]
        for pointer in kept:
            value = lookup(self.root, pointer)
            holds_schemas = pointer in self.done
            names_members = pointer.rpartition("/")[0] in self.done
            if isinstance(value, list):
                value[:] = [item if join(pointer, i) in kept else True for i, item in enumerate(value)]
            for key in list(value) if isinstance(value, dict) else ():
                assert isinstance(value, dict)
                holds_nothing = holds_schemas and not any(True for _ in children({key: value[key]}))
                is_list_of_names = names_members and isinstance(value[key], list)
                if join(pointer, key) not in kept and not holds_nothing and not is_list_of_names:
                    del value[key]


def _homes(document: SchemaDocument) -> dict[str, str]:
    """The resource of each subschema: where the identifier stands that is in force."""
    found: dict[str, str] = {}
    pending: list[tuple[str, Json, str]] = [("", document.root, "")]
    while pending:
        pointer, schema, outer = pending.pop()
        is_own = bool(pointer) and document.base(pointer) != document.base(pointer.rpartition("/")[0])
        found[pointer] = home = pointer if is_own else outer
        pending.extend((pointer + below, item, home) for _, below, item in children(schema))
    return found


def _asked(
    document: SchemaDocument, homes: Mapping[str, str], anchors: Mapping[str, Mapping[str, str]]
) -> dict[str, frozenset[str]]:
    """Which names matter inside each resource: those of its dynamic references and of what it leads to."""
    names = {name for found in anchors.values() for name in found}
    asked: dict[str, set[str]] = {home: set() for home in homes.values()}
    leads: dict[str, set[str]] = {home: set() for home in homes.values()}
    for pointer, home in homes.items():
        schema = lookup(document.root, pointer)
        for keyword, written in references(schema):
            target = document.resolve(pointer, written)
            if target is None:
                continue
            leads[home].add(_nearest(homes, target))
            if keyword != "$ref":
                name = dynamic_name(lookup(document.root, target), document.dialect)
                if name in names:
                    asked[home].add(name)
                    leads[home] |= {resource for resource, found in anchors.items() if name in found}
        for _, below, _ in children(schema):
            leads[home].add(homes[pointer + below])
    return _closure(asked, leads)


def _closure(asked: Mapping[str, set[str]], leads: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    found = {home: frozenset(names) for home, names in asked.items()}
    changed = True
    while changed:
        changed = False
        for home, targets in leads.items():
            now = found[home].union(*(found[target] for target in targets))
            changed = changed or now != found[home]
            found[home] = now
    return found


def _nearest(homes: Mapping[str, str], pointer: str) -> str:
    while pointer not in homes:
        pointer = pointer.rpartition("/")[0]
    return homes[pointer]


def _is_definition(pointer: str) -> bool:
    """Whether a subschema stands where only references lead."""
    return pointer.rpartition("/")[0].endswith(tuple(f"/{keyword}" for keyword in DEFINITIONS))


def _strip(schema: dict[str, Json], dialect: Dialect, is_root: bool) -> None:
    """Take away what only named the subschema."""
    names = ["$anchor", "$dynamicAnchor", "$recursiveAnchor"]
    names += [] if is_root else ["$schema", "$vocabulary", "id" if dialect is Dialect.DRAFT_4 else "$id"]
    for name in names:
        schema.pop(name, None)


def _rename(schema: dict[str, Json], old: str, new: str, value: Json) -> None:
    items = [(new, value) if key == old else (key, item) for key, item in schema.items()]
    schema.clear()
    schema.update(items)
