"""Entities: identifiers of people, accounts, companies and machines, found by form and validated by their check digits.

Each type is one value; the families are one file each; the registry is one tuple, which other packages can add to.
"""

from policykit.entities.checks import phone_regions
from policykit.entities.entity import Check, EntityType, Guard
from policykit.entities.patterns import (
    arriving_patterns,
    body_of,
    entity_patterns,
    fits_numbers,
    guarded,
    is_exact,
    labels_of,
    needs_context,
    value_of,
    words_of,
)
from policykit.entities.registry import ENTITY_TYPES, entity_type, fingerprint, type_names
from policykit.entities.search import EntityFinder, Read

__all__ = [
    "ENTITY_TYPES",
    "Check",
    "EntityFinder",
    "EntityType",
    "Guard",
    "Read",
    "arriving_patterns",
    "body_of",
    "entity_patterns",
    "entity_type",
    "fingerprint",
    "fits_numbers",
    "guarded",
    "is_exact",
    "labels_of",
    "needs_context",
    "phone_regions",
    "type_names",
    "value_of",
    "words_of",
]
