"""The natural language of a text, by py3langid: a naive Bayes model over byte sequences, offline and deterministic.

Departures from the library: a text with few letters, or whose language is not told with enough confidence, has none.
"""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from policykit.predicates.contract import PredicateError
from policykit.text import is_letter

PACKAGE = "py3langid"


def library() -> str | None:
    """The installed library with its version, which decides about languages; None where there is none."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return None


def labels() -> tuple[str, ...]:
    """The languages that the library tells apart (ISO 639 codes), sorted. Raises PredicateError where it is missing."""
    return tuple(sorted(set(map(str, _identifier().labels))))


def told(text: str, letters: int, confidence: float) -> tuple[str | None, str]:
    """The language of a text, and how it was told; None where the text has fewer letters, or no language has at least
    the confidence (a probability over all languages)."""
    found = sum(bool(is_letter[ord(char)]) for char in text)
    if found < letters:
        return None, f"too short to tell the language: {found} letters, {letters} are wanted"
    label, share = _identifier().classify(text)
    if float(share) < confidence:
        return (
            None,
            f"the language is not told with confidence: {label} with {float(share):.2f}, {confidence:g} is wanted",
        )
    return str(label), f"{label} with {float(share):.2f}"


@cache
def _identifier() -> Any:  # the package ships no types
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # pyright: ignore
    except ImportError as error:
        raise PredicateError(f"{PACKAGE} is not installed: {error}") from None
    return cast(Any, LanguageIdentifier).from_model_file(MODEL_FILE, norm_probs=True)
