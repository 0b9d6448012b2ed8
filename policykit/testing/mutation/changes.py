"""Every small change of a policy's rules that a test could notice, made on the tree of its file.

Operators beside those of :mod:`.regexes` and :mod:`.conditions`: an item of a list, an optional field or an exception
is taken out (deletion: Deng, Offutt, Li, Empirical evaluation of the statement deletion mutation operator, ICST 2013);
another action, another word of a closed choice, a number or day by one, a threshold by a tenth, a flag the other way.
What no verdict shows is left alone, and named with its reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from policykit.diagnostics import Place
from policykit.policy.nodes import Entry, Mapping, Node, Scalar, Sequence
from policykit.policy.shapes import Either, Many, Record, Ref, Shape
from policykit.policy.table import RECORDS
from policykit.testing.mutation.scalars import other_scalars
from policykit.testing.mutation.source import Source, TextEdit, scalar, written
from policykit.text import is_separator

_NO_PART = frozenset({"apiVersion", "kind", "tests", "id"})
"""What makes the file a policy, names its parts or tests it: nothing that a rule does."""
_REWARD = "it is read by rewards and reports; no test states one"
_PEOPLE = "it says who answers for an exception and why; no verdict depends on it"
_WORDING = "its wording changes what is shown, and nothing that is decided"
_ELSEWHERE = "it says where things are kept or queued, which a test does not have"
UNSEEN = {
    "metadata": "it identifies the document; no verdict depends on it",
    "facts": "conditions are checked against it when the policy is read",
    "severity": _REWARD,
    "cost": _REWARD,
    "why": "it is an explanation for people",
    "message": _WORDING,
    "code": _REWARD,
    "approvedBy": _PEOPLE,
    "reason": _PEOPLE,
    "queue": _ELSEWHERE,
    "key": _ELSEWHERE,
    "vault": _ELSEWHERE,
    "reversible": _ELSEWHERE,
    "ttl": "approvals of a test are given in the minute in which they are used",
    "bindTo": "approvals of a test are of exactly what it gives",
    "onMatch": "it says where the rule is enforced, not what it finds",
    "strict": "the mask alone reads it; a verdict finds the same",
    "onError": "a test in which a check cannot run is neither passed nor failed",
    "args": "what a predicate is given is known to its author alone",
    "model": "it names a model of the deployment",
    "digest": "it identifies a model of the deployment",
    "version": "it identifies what is asked",
}
"""Fields that are not changed, and why not."""
_DROPPED = frozenset(
    {
        "when",
        "require",
        "before",
        "after",
        "scope",
        "tool",
        "exact",
        "squeeze",
        "unescape",
        "notRequester",
        "distinctBy",
    }
    | {"match", "views", "join", "default", "target", "all", "any", "not", "entities", "approvals", "phrases", "regex"}
    | {"profiles", "tenants", "locales", "jurisdictions", "mode", "context", "region", "text"}
    | {"near", "count", "length", "streamSafe"}
)
_ACTIONS = {"block": "{escalate: {queue: mutant}}", "escalate": "{block: {}}", "transform": "{block: {}}",
            "allow": "{block: {}}"}  # fmt: skip

Row: TypeAlias = "Change | Unchanged"
Rebuild: TypeAlias = Callable[[Node | None], Node | None]
"""The whole tree with another node in one place, or without it."""


@dataclass(frozen=True, slots=True)
class Change:
    """``root`` is the policy's tree with the change, ``edit`` the same change of its text; ``rule`` is where it is."""

    what: str
    rule: str | None
    place: Place
    root: Mapping
    edit: TextEdit


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A field that is left as it is, and why."""

    field: str
    rule: str | None
    why: str
    place: Place


def changes(root: Mapping, source: Source) -> Iterator[Row]:
    """All changes, in the order of the file, and what is left alone. Some of the changes may not load, and are then no
    policies at all."""
    walk = _Walk(source)

    def whole(node: Node | None) -> Node | None:
        return node

    yield from walk.record(root, RECORDS["document"], whole, None)


class _Walk:
    def __init__(self, source: Source) -> None:
        self._source = source

    def record(self, node: Mapping, record: Record, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        if record.name == "rule":
            rule = next(
                (e.value.text for e in node.entries if e.key.text == "id" and isinstance(e.value, Scalar)), rule
            )
        if record.name == "action":
            yield from self._flipped(node, rebuild, rule)
        if record.name == "match":
            yield from self._other_matches(node, rebuild, rule)
        for index, entry in enumerate(node.entries):
            field = record.field(entry.key.text)
            if field is None or (field.name in _NO_PART and record.name != "citations"):
                continue
            if field.name in UNSEEN:
                yield Unchanged(field.name, rule, UNSEEN[field.name], entry.key.place)
                continue
            inner = self._entry_rebuild(node, index, rebuild)
            if field.name in _DROPPED or _is_dropped_here(entry, record):
                edit = self._source.removal(node, index)
                yield from self._change(f"drop `{field.name}`", rule, entry.key.place, inner(None), edit)
            yield from self._value(entry.value, field.shape, field.name, inner, rule)

    def _value(self, node: Node, shape: Shape, name: str, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        match shape:
            case Ref(record) if isinstance(node, Mapping):
                yield from self.record(node, RECORDS[record], rebuild, rule)
            case Either(text, record):
                yield from self._value(node, record if isinstance(node, Mapping) else text, name, rebuild, rule)
            case Many(item) if isinstance(node, Sequence):
                yield from self._items(node, item, name, rebuild, rule)
            case Many(item):
                yield from self._value(node, item, name, rebuild, rule)
            case _ if isinstance(node, Scalar):
                for what, text, plain in other_scalars(node, shape, name):
                    put = text if plain else written(text)
                    root = rebuild(scalar(text, node, plain=plain))
                    yield from self._change(what, rule, node.place, root, self._source.replacement(node, put))
            case _:
                pass

    def _items(self, node: Sequence, shape: Shape, name: str, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        for index, item in enumerate(node.items):
            rest = (*node.items[:index], *node.items[index + 1 :])
            inner = _item_rebuild(node, index, rebuild)
            if rest:
                within = rule
                shown = f"`{item.text}`" if isinstance(item, Scalar) else f"number {index + 1}"
                if name in ("rules", "except") and isinstance(item, Mapping):
                    shown = f"`{_id_of(item)}`"
                    within = rule or _id_of(item)
                root = rebuild(Sequence(rest, node.place))
                edit = self._source.removal(node, index)
                yield from self._change(f"drop {shown} from `{name}`", within, item.place, root, edit)
            yield from self._value(item, shape, name, inner, rule)

    def _flipped(self, node: Mapping, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        """The action in place of which something else is done."""
        for entry in node.entries:
            put = _ACTIONS.get(entry.key.text)
            if put is None:
                continue
            to = put[1:].partition(":")[0]
            fields = (_entry("queue", scalar("mutant", entry.value), entry),) if to == "escalate" else ()
            action = Mapping((_entry(to, Mapping(fields, entry.value.place), entry),), node.place)
            edit = self._source.replacement(node, put)
            yield from self._change(f"`{to}` in place of `{entry.key.text}`", rule, node.place, rebuild(action), edit)

    def _other_matches(self, node: Mapping, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        """Options that are not said, turned on; `all` for `any` and the other way; what `not` negates."""
        present = {entry.key.text: entry for entry in node.entries}
        if ("phrases" in present and "exact" not in present) and _has_separator(present["phrases"].value):
            yield from self._put(node, "exact", "true", rebuild, rule)
        if present.keys() & {"phrases", "regex", "entities"} and "views" not in present:
            yield from self._put(node, "views", "[raw]", rebuild, rule)
        for this, other in (("all", "any"), ("any", "all")):
            entry = present.get(this)
            if entry and isinstance(entry.value, Sequence) and len(entry.value.items) > 1:
                root = rebuild(Mapping((_entry(other, entry.value, entry),), node.place))
                edit = self._source.replacement(entry.key, other)
                yield from self._change(f"`{other}` in place of `{this}`", rule, entry.key.place, root, edit)
        if "not" in present:
            inner = present["not"].value
            put = self._source.text[slice(*self._source.span(inner.place))]
            edit = self._source.replacement(node, put)
            yield from self._change("what `not` negates", rule, node.place, rebuild(inner), edit)

    def _put(self, node: Mapping, name: str, value: str, rebuild: Rebuild, rule: str | None) -> Iterator[Row]:
        at = node.entries[0]
        put: Node = scalar(value, at.key, plain=True)
        if value.startswith("["):
            put = Sequence((scalar(value[1:-1], at.key, plain=True),), at.key.place)
        root = rebuild(Mapping((_entry(name, put, at), *node.entries), node.place))
        edit = self._source.insertion(node, f"{name}: {value}")
        yield from self._change(f"put `{name}: {value}`", rule, at.key.place, root, edit)

    def _entry_rebuild(self, node: Mapping, index: int, rebuild: Rebuild) -> Rebuild:
        def inner(value: Node | None) -> Node | None:
            entry = node.entries[index]
            kept = () if value is None else (Entry(entry.key, value),)
            return rebuild(replace(node, entries=(*node.entries[:index], *kept, *node.entries[index + 1 :])))

        return inner

    def _change(self, what: str, rule: str | None, place: Place, root: Node | None, edit: TextEdit) -> Iterator[Row]:
        if isinstance(root, Mapping):
            yield Change(what, rule, place, root, edit)


def _is_dropped_here(entry: Entry, record: Record) -> bool:
    """An optional part whose name means something else in other records; a list that goes with its only item."""
    if entry.key.text == "except" and isinstance(entry.value, Sequence):
        return len(entry.value.items) == 1
    if record.name == "citations":
        return entry.key.text in ("id", "free", "sources")
    return entry.key.text == "within" and record.name == "match"


def _item_rebuild(node: Sequence, index: int, rebuild: Rebuild) -> Rebuild:
    def inner(value: Node | None) -> Node | None:
        kept = () if value is None else (value,)
        return rebuild(replace(node, items=(*node.items[:index], *kept, *node.items[index + 1 :])))

    return inner


def _id_of(node: Mapping) -> str | None:
    named = next((entry.value for entry in node.entries if entry.key.text == "id"), None)
    return named.text if isinstance(named, Scalar) else None


def _entry(key: str, value: Node, at: Entry) -> Entry:
    return Entry(Scalar(key, True, at.key.place, at.key.place), value)


def _has_separator(node: Node) -> bool:
    items = node.items if isinstance(node, Sequence) else (node,)
    texts = (item.text for item in items if isinstance(item, Scalar))
    return any(is_separator[ord(char)] for text in texts for char in text)
