"""A JSON Schema as a set of subschemas with pointers, and its references resolved inside the document."""

from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias
from urllib.parse import unquote

from policykit.grammar import uri
from policykit.grammar.values import Json, escape, lookup

ONE_SCHEMA: Final = (
    "additionalProperties", "propertyNames", "items", "additionalItems", "contains", "not", "if", "then", "else",
    "unevaluatedItems", "unevaluatedProperties", "contentSchema",
)  # fmt: skip
SCHEMA_LIST: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
SCHEMA_MAP: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions")

APPLICATORS: Final = frozenset((*ONE_SCHEMA, *SCHEMA_LIST, *SCHEMA_MAP))
_SINGLE, _LISTS, _MAPS = frozenset(ONE_SCHEMA), frozenset(SCHEMA_LIST), frozenset(SCHEMA_MAP)
_SCHEMA: Final = (dict, bool)

GENERATING: Final = frozenset({
    "properties", "patternProperties", "additionalProperties", "items", "prefixItems", "additionalItems",
    "allOf", "anyOf", "oneOf",
})  # fmt: skip
"""Applicators whose subschemas describe text that is written; the others only judge it."""

REFUTING: Final = frozenset({"not", "if", "oneOf", "contains", "unevaluatedItems", "unevaluatedProperties"})
"""Applicators under which a failure can turn into acceptance."""


DEFINITIONS: Final = ("$defs", "definitions")
REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_APPLYING: Final = APPLICATORS.difference(DEFINITIONS)
_NAMING: Final = frozenset({"$id", "id", "$anchor", "$dynamicAnchor"})
_REFERRING: Final = frozenset(REFERENCES)


class Dialect(StrEnum):
    DRAFT_4 = "http://json-schema.org/draft-04/schema"
    DRAFT_6 = "http://json-schema.org/draft-06/schema"
    DRAFT_7 = "http://json-schema.org/draft-07/schema"
    DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"
    DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"

    @property
    def ref_stands_alone(self) -> bool:
        """Whether keywords beside ``$ref`` are ignored (draft 7 and earlier)."""
        return self in (Dialect.DRAFT_4, Dialect.DRAFT_6, Dialect.DRAFT_7)


def dialect_of(schema: dict[str, Json]) -> Dialect | None:
    """The dialect that ``$schema`` names; 2020-12 where it is absent; None where it is not known."""
    named = schema.get("$schema")
    if named is None:
        return Dialect.DRAFT_2020
    if not isinstance(named, str):
        return None
    bare = named.rstrip("#").replace("https://json-schema.org/draft-0", "http://json-schema.org/draft-0")
    return next((dialect for dialect in Dialect if dialect == bare), None)


Edge: TypeAlias = tuple[str, str, Json]
"""A keyword, the pointer of a subschema that it applies, and the subschema."""


def children(schema: Json, pointer: str = "") -> list[Edge]:
    """Each subschema directly inside one that stands at ``pointer``."""
    found: list[Edge] = []
    if not isinstance(schema, dict) or APPLICATORS.isdisjoint(schema):
        return found
    for keyword, value in schema.items():
        if keyword not in APPLICATORS:
            continue
        at = f"{pointer}/{keyword}"
        if isinstance(value, dict) and keyword in _MAPS:
            for name, item in value.items():
                if isinstance(item, _SCHEMA):  # `dependencies` may list names instead
                    found.append((keyword, f"{at}/{escape(name)}", item))
        elif isinstance(value, _SCHEMA) and keyword in _SINGLE:
            found.append((keyword, at, value))
        elif isinstance(value, list) and keyword in _LISTS:
            found += [(keyword, f"{at}/{i}", item) for i, item in enumerate(value)]
    return found


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """``bases`` maps a pointer to its base URI, ``resources`` an absolute URI (or anchor) to a pointer.

    The root is not changed once the document is made: what has been looked up in it is kept.
    """

    root: dict[str, Json]
    dialect: Dialect
    bases: dict[str, str] = field(default_factory=dict[str, str])
    resources: dict[str, str] = field(default_factory=dict[str, str])
    referring: list[str] = field(default_factory=list[str], repr=False, compare=False)
    """The subschemas that have a reference of any kind."""
    words: set[str] = field(default_factory=set[str], repr=False, compare=False)
    """Every keyword of every subschema."""
    types: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]], repr=False, compare=False)
    """What :func:`policykit.grammar.productive.producible_types` finds, once it is asked."""
    dynamically: dict[str, Json] = field(default_factory=dict[str, Json], repr=False, compare=False)
    """What :func:`policykit.grammar.compound.reached` finds, once it is asked."""
    apart: dict[tuple[str, str], bool] = field(default_factory=dict[tuple[str, str], bool], repr=False, compare=False)
    """What :func:`policykit.grammar.emptiness.are_disjoint` finds of two subschemas as they are written."""
    _straying: list[bool] = field(default_factory=list[bool], repr=False, compare=False)
    _known: dict[str, Json] = field(default_factory=dict[str, Json], repr=False, compare=False)
    _inside: dict[str, list[Edge]] = field(default_factory=dict[str, list[Edge]], repr=False, compare=False)
    _resolved: dict[tuple[str, str], str | None] = field(
        default_factory=dict[tuple[str, str], "str | None"], repr=False, compare=False
    )
    _targets: dict[str, str | None] = field(default_factory=dict[str, "str | None"], repr=False, compare=False)
    _reached: dict[frozenset[str] | None, dict[str, Json]] = field(
        default_factory=dict["frozenset[str] | None", dict[str, Json]], repr=False, compare=False
    )

    @staticmethod
    def of(
        root: dict[str, Json], dialect: Dialect, retrieved: Mapping[str, str] = MappingProxyType({})
    ) -> "SchemaDocument":
        """The document with every identifier in it collected. ``retrieved`` maps the pointers of subschemas that are
        documents of their own to the URIs under which they were found."""
        document = SchemaDocument(root, dialect)
        document.resources[""] = ""
        for pointer, found in retrieved.items():
            document.resources.setdefault(found, pointer)
        pending: list[tuple[str, Json, str]] = [("", root, "")]
        known, inside, words, bases = document._known, document._inside, document.words, document.bases
        while pending:
            pointer, schema, base = pending.pop()
            known[pointer] = schema
            if not isinstance(schema, dict):
                continue
            words.update(schema)
            if pointer in retrieved or not _NAMING.isdisjoint(schema):
                base = document._named(pointer, schema, retrieved.get(pointer, base))
                for key in ("$anchor", "$dynamicAnchor"):
                    if isinstance(anchor := schema.get(key), str):
                        document.resources.setdefault(f"{base}#{anchor}", pointer)
            bases[pointer] = base
            if not _REFERRING.isdisjoint(schema):
                document.referring.append(pointer)
            inside[pointer] = edges = children(schema, pointer)
            if edges:
                pending += [(below, item, base) for _, below, item in edges]
        return document

    def _named(self, pointer: str, schema: dict[str, Json], base: str) -> str:
        """The base URI inside a subschema: another one than outside where it has an identifier."""
        named = schema.get("id" if self.dialect is Dialect.DRAFT_4 else "$id")
        if not isinstance(named, str) or self.ignores_siblings(schema):
            return base
        found, fragment = uri.defragment(uri.resolve(base, named))
        if fragment:  # as an anchor is written before 2019-09
            self.resources.setdefault(f"{found}#{fragment}", pointer)
            return base if named.startswith("#") else found
        self.resources.setdefault(found, pointer)
        return found

    def of_root(self, root: dict[str, Json]) -> "SchemaDocument":
        """The document of another root in the same dialect; this one, where it is its own."""
        return self if root is self.root else SchemaDocument.of(root, self.dialect)

    def resolve(self, pointer: str, reference: str) -> str | None:
        """Where a reference written at ``pointer`` leads, as a pointer; None if it leaves the document."""
        written = self.base(pointer), reference
        if written not in self._resolved:
            self._resolved[written] = self._resolve(*written)
        return self._resolved[written]

    def _resolve(self, base: str, reference: str) -> str | None:
        target, fragment = uri.defragment(uri.resolve(base, reference))
        if fragment and not fragment.startswith("/"):
            return self.resources.get(f"{target}#{unquote(fragment)}")
        if target not in self.resources:
            return None
        found = self.resources[target] + unquote(fragment)
        try:
            self.at(found)
        except KeyError:
            return None
        return found

    def may_have(self, keywords: AbstractSet[str]) -> bool:
        """Whether a subschema may have one of some keywords, of those too that only a reference leads to; False is
        sure. What a keyword is needed for need not be looked for where it is not there."""
        return not self.words.isdisjoint(keywords) or (bool(self.referring) and self.strays())

    def subschemas(self) -> Iterable[Json]:
        """Every subschema once, those that nothing leads to too, but none that only a reference makes one."""
        return self._known.values()

    @property
    def is_mixed(self) -> bool:
        """Whether a subschema says its dialect itself."""
        return any(isinstance(s, dict) and "$schema" in s and s is not self.root for s in self.subschemas())

    def strays(self) -> bool:
        """Whether a reference leads to a place that holds no subschema but for that."""
        if not self._straying:
            targets = map(self.reference, self.referring)
            self._straying.append(any(target is not None and target not in self._known for target in targets))
        return self._straying[0]

    def leaves(self, pointer: str, reference: str) -> str | None:
        """The URI of the other document that a reference names, or None."""
        target, _ = uri.defragment(uri.resolve(self.base(pointer), reference))
        return target if target and target not in self.resources else None

    def reference(self, pointer: str) -> str | None:
        """Where the ``$ref`` of the subschema at ``pointer`` leads, if it has one."""
        if pointer not in self._targets:
            schema = self.at(pointer)
            written = schema.get("$ref") if isinstance(schema, dict) else None
            self._targets[pointer] = self.resolve(pointer, written) if isinstance(written, str) else None
        return self._targets[pointer]

    def targets(self) -> set[str]:
        """Where references lead, as pointers."""
        found = map(self.reference, self.reachable(keywords=None)) if self.referring else ()
        return {target for target in found if target is not None}

    def reachable(self, start: str = "", keywords: frozenset[str] | None = GENERATING) -> Mapping[str, Json]:
        """The subschemas that bear on the value, by pointer, in definition order (``keywords`` None: all of them)."""
        if start:
            return self._reach(start, keywords)
        if keywords not in self._reached:
            self._reached[keywords] = self._reach(start, keywords)
        return self._reached[keywords]

    def reachable_without(self, dropped: AbstractSet[str]) -> Mapping[str, Json]:
        """The subschemas that bear on the value other than through a keyword of ``dropped`` (pointers of keywords)."""
        return self._reach("", GENERATING, dropped) if dropped else self.reachable()

    def _reach(
        self, start: str, keywords: frozenset[str] | None, dropped: AbstractSet[str] = frozenset()
    ) -> dict[str, Json]:
        found: dict[str, Json] = {}
        pending = [(start, self.at(start))]
        while pending:
            pointer, schema = pending.pop()
            if pointer in found:
                continue
            found[pointer] = schema
            below = self.edges(pointer, schema, keywords)
            if dropped:
                below = [edge for edge in below if f"{pointer}/{edge[0]}" not in dropped]
            pending += [(target, item) for _, target, item in reversed(below)]
        return found

    def edges(self, pointer: str, schema: Json, keywords: frozenset[str] | None = GENERATING) -> list[Edge]:
        """What the subschema at a pointer applies: through ``keywords`` (None: all of them), and through `$ref`."""
        if not isinstance(schema, dict):
            return []
        inside = () if self.ignores_siblings(schema) else self.children(pointer)
        found = [edge for edge in inside if edge[0] in (_APPLYING if keywords is None else keywords)]
        target = self.reference(pointer) if "$ref" in schema else None
        return found if target is None else [*found, ("$ref", target, self.at(target))]

    def children(self, pointer: str) -> Sequence[Edge]:
        """The subschemas directly inside one: whether or not they are applied."""
        found = self._inside.get(pointer)
        if found is None:
            found = self._inside[pointer] = children(self.at(pointer), pointer)
        return found

    def at(self, pointer: str) -> Json:
        """What stands at a pointer. Raises KeyError where nothing does."""
        return self._known[pointer] if pointer in self._known else lookup(self.root, pointer)

    @property
    def has_one_base(self) -> bool:
        """Whether a reference means the same wherever it is written."""
        return len(set(self.bases.values())) <= 1

    def ignores_siblings(self, schema: dict[str, Json]) -> bool:
        """Whether only the ``$ref`` of this subschema counts."""
        return "$ref" in schema and self.dialect.ref_stands_alone

    def base(self, pointer: str) -> str:
        """The base URI of references written at ``pointer``."""
        while pointer and pointer not in self.bases:
            pointer = pointer.rpartition("/")[0]
        return self.bases.get(pointer, "")
