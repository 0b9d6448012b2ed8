"""What of a rule's entities a mask can carry.

A validator and context words decide what is valid, and a mask knows neither. Forms alone it can forbid: exactly where
the type is nothing but its form, and too much where the author says `strict`. Forbidding too much is sound where a
find is forbidden, and unsound where a find is required.
"""

from dataclasses import dataclass
from typing import assert_never

from policykit.entities import fingerprint, is_exact
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Chains,
    Entities,
    Entity,
    Matcher,
    Not,
    Phrases,
    PolicySet,
    Regexes,
    Sources,
    Tally,
)
from policykit.ir.opaque import Classifier, Language, Predicate


@dataclass(frozen=True, slots=True)
class EntityUse:
    """An entity of a matcher; ``is_found`` is False below a `not`, where its absence counts. ``is_counted``: one alone
    decides nothing."""

    entity: Entity
    is_found: bool
    is_counted: bool = False


def uses(matcher: Matcher | None, is_found: bool = True) -> tuple[EntityUse, ...]:
    """Every entity of a matcher, in order."""
    match matcher:
        case None | Phrases() | Regexes() | Chains() | Sources() | Predicate() | Classifier() | Language():
            return ()
        case Tally(item):
            return tuple(EntityUse(use.entity, is_found, is_counted=True) for use in uses(item))
        case Entities(entities):
            return tuple(EntityUse(entity, is_found) for entity in entities)
        case AnyOf(items) | AllOf(items):
            return tuple(use for item in items for use in uses(item, is_found))
        case Not(item):
            return uses(item, not is_found)
        case _:
            assert_never(matcher)


def unmaskable(matcher: Matcher | None) -> tuple[str, ...]:
    """The entity types that keep a rule out of the mask, each once."""
    kept_out = (
        use.entity.type
        for use in uses(matcher)
        if use.is_counted or (not is_exact(use.entity) and not (use.is_found and use.entity.strict))
    )
    return tuple(dict.fromkeys(kept_out))


def widened(matcher: Matcher | None) -> tuple[str, ...]:
    """The entity types of which a mask forbids more than what is valid, each once."""
    return tuple(dict.fromkeys(use.entity.type for use in uses(matcher) if not is_exact(use.entity)))


def fingerprints(policies: PolicySet) -> list[tuple[str, ...]]:
    """What decides the finds of every entity type that the documents name, sorted."""
    named = {
        use.entity.type for document in policies.documents for rule in document.rules for use in uses(rule.matcher)
    }
    return sorted(fingerprint(name) for name in named)
