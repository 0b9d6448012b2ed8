"""Entities of a match: what they mean, whether the types exist, and whether their options mean something."""

from policykit.automata.regex_normal import matches_empty, matches_nothing
from policykit.diagnostics import Diagnostic, PolicyError, did_you_mean
from policykit.entities import EntityType, entity_type, phone_regions, type_names
from policykit.ir.document import Entity, RegexSource
from policykit.ir.regex import Alternation, Assertion, Concat, Regex, Repeat
from policykit.policy.checked import Checked, Entries, Leaf, RegexLeaf

ENTITY_VIEWS = ("raw", "compat", "unmarked")
"""Views on which digits stay what they are."""
_OPTIONS = ("region", "pattern")


def entities_of(holder: Entries) -> tuple[Entity, ...]:
    """The entities that a match, or a count, names."""
    return tuple(map(_entity, holder.items("entities")))


def _entity(item: Checked) -> Entity:
    if isinstance(item, Leaf):
        return Entity(str(item.value), item.place)
    assert isinstance(item, Entries), "an entity is a name or a record"
    name, context = item.fields["type"], item.text("context")
    assert isinstance(name, Leaf), "a required text"
    patterns = tuple(RegexSource(leaf.source, leaf.parsed.regex, leaf.place) for leaf in item.regexes("pattern"))
    return Entity(
        type=str(name.value),
        place=name.place,
        region=item.text("region"),
        pattern=patterns[0] if patterns else None,
        context=None if context is None else context == "required",
        strict=item.flag("strict"),
    )


def check_entities(match: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends what is wrong with a match's entities, and those that it counts, beyond single fields."""
    count = match.entries("count")
    counted = count if count and "entities" in count.fields else None
    named = [holder for holder in (match, counted) if holder and "entities" in holder.fields]
    for holder in named:
        _check_named(holder, diagnostics)
    if named:
        _check_reading(match, diagnostics)
    if counted:
        _check_counted(counted, diagnostics)


def _check_named(holder: Entries, diagnostics: list[Diagnostic]) -> None:
    seen: set[str] = set()
    for item in holder.items("entities"):
        leaf = item if isinstance(item, Leaf) else item.leaf("type") if isinstance(item, Entries) else None
        if leaf is None:
            continue
        kind = _known(leaf, diagnostics)
        if kind and isinstance(item, Entries):
            _check_options(item, kind, diagnostics)
        if kind and kind.name in seen and not kind.options:
            message = f"the entity `{kind.name}` is named twice"
            diagnostics.append(Diagnostic("PK056", message, leaf.place, "name each entity once"))
        seen.add(kind.name if kind else "")


def _check_counted(count: Entries, diagnostics: list[Diagnostic]) -> None:
    for name in ("phrases", "regex"):
        if name in count.keys:
            message = "entities are counted by the verifier, and phrases and expressions by an automaton"
            help = "give each a `count` of its own, under `any` or `all`"
            diagnostics.append(Diagnostic("PK131", message, count.keys[name], help))
    for item in count.items("entities"):
        if isinstance(item, Entries) and "strict" in item.keys:
            message = "`strict` says nothing about entities that are counted: no mask counts them"
            diagnostics.append(Diagnostic("PK131", message, item.keys["strict"], "remove it"))


def _known(leaf: Leaf, diagnostics: list[Diagnostic]) -> EntityType | None:
    name = str(leaf.value)
    try:
        return entity_type(name)
    except KeyError:
        names = type_names()
        help = did_you_mean(name, names) or f"known entities: {', '.join(sorted(names))}"
        diagnostics.append(Diagnostic("PK090", f"unknown entity `{name}`", leaf.place, help))
    except PolicyError as error:
        diagnostics.extend(error.diagnostics)
    return None


def _check_options(item: Entries, kind: EntityType, diagnostics: list[Diagnostic]) -> None:
    for option in _OPTIONS:
        if option in item.keys and option not in kind.options:
            message = f"`{option}` means nothing for `{kind.name}`"
            diagnostics.append(Diagnostic("PK091", message, item.keys[option], "remove it"))
    if item.text("context") == "required" and not kind.words:
        message = f"there are no words that stand near `{kind.name}`"
        diagnostics.append(Diagnostic("PK091", message, item.keys["context"], "remove `context`"))
    region = item.leaf("region")
    if region and "region" in kind.options and region.value not in phone_regions():
        help = did_you_mean(str(region.value).upper(), sorted(phone_regions())) or "a country code, such as `GB`"
        diagnostics.append(Diagnostic("PK091", f"unknown region `{region.value}`", region.place, help))
    for pattern in item.regexes("pattern") if "pattern" in kind.options else ():
        _check_pattern(pattern, diagnostics)


def _check_pattern(pattern: RegexLeaf, diagnostics: list[Diagnostic]) -> None:
    regex = pattern.parsed.regex
    if _looks(regex):
        message = f"`{pattern.source}` looks at what stands beside the match"
        help = "leave `\\b`, `^` and `$` out: an entity is never part of a longer word or number"
        diagnostics.append(Diagnostic("PK091", message, pattern.place, help))
    elif matches_nothing(regex):
        message = f"`{pattern.source}` can never match"
        diagnostics.append(
            Diagnostic("PK121", message, pattern.place, "the expression has an empty class of characters")
        )
    elif matches_empty(regex):
        message = f"`{pattern.source}` matches the empty string, so it is found in every text"
        diagnostics.append(Diagnostic("PK120", message, pattern.place, "let it need a character: `+` instead of `*`"))


def _looks(regex: Regex) -> bool:
    match regex:
        case Assertion():
            return True
        case Concat(items) | Alternation(items):
            return any(map(_looks, items))
        case Repeat(item):
            return _looks(item)
        case _:
            return False


def _check_reading(match: Entries, diagnostics: list[Diagnostic]) -> None:
    for view in match.leaves("views"):
        if view.value not in ENTITY_VIEWS:
            message = f"entities cannot be read on the view `{view.value}`, which changes digits"
            help = f"use {', '.join(f'`{name}`' for name in ENTITY_VIEWS)}, or a match of their own under `any`"
            diagnostics.append(Diagnostic("PK092", message, view.place, help))
    for name in ("before", "after"):
        if name in match.keys:
            message = f"`{name}` says nothing about entities"
            help = "use `context: required`, or give the other matchers a match of their own under `any`"
            diagnostics.append(Diagnostic("PK092", message, match.keys[name], help))
    if match.text("join") == "array":
        message = "an entity does not run across the strings of an array"
        help = "remove `join`, or give the other matchers a match of their own under `any`"
        diagnostics.append(Diagnostic("PK092", message, match.keys["join"], help))
