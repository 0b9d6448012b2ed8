"""Predicates when compiling: which installed function is meant."""

from dataclasses import replace

from policykit.diagnostics import PolicyError, did_you_mean
from policykit.ir.opaque import Language, Predicate
from policykit.predicates import installed
from policykit.predicates.language import labels, library


def told_by(leaf: Language) -> Language:
    """The matcher with the identity of the installed library. Raises PolicyError (PK134): there is none, or it does not
    tell one of the languages."""
    identity = library()
    if identity is None:
        message = "`language` needs the library py3langid, which is not installed"
        raise PolicyError.of("PK134", message, leaf.place, 'pip install "policykit[language]"')
    known = labels()
    for language in leaf.languages:
        if language not in known:
            help = did_you_mean(language, known) or f"the languages that it tells: {', '.join(known)}"
            raise PolicyError.of("PK134", f"{identity} does not tell the language `{language}`", leaf.place, help)
    return replace(leaf, identity=identity)


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
