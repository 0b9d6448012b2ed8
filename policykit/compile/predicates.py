"""Predicates when compiling: which installed function is meant."""

from dataclasses import replace

from policykit.diagnostics import PolicyError
from policykit.ir.opaque import Predicate
from policykit.predicates import installed


def identified(leaf: Predicate) -> Predicate:
    """The predicate with the identity of the installed function of its name; as it is where there is none, since a
    deployment may have it. Nothing of the function is imported.

    Raises PolicyError (PK171): the installed one has another version than the rule asks for, or two have the name.
    """
    try:
        found = installed(leaf.name)
    except ValueError as error:
        message = f"the predicate is not unique: {error}"
        raise PolicyError.of("PK171", message, leaf.place, "uninstall one of the two") from None
    if found is None:
        return leaf
    if leaf.version is not None and leaf.version != found.version:
        message = f"the rule asks for version {leaf.version} of `{leaf.name}`, installed is {found.version}"
        raise PolicyError.of("PK171", message, leaf.place, "install that version, or change the rule")
    return replace(leaf, identity=found.identity)
