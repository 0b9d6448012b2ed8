"""Matchers that a plan cannot look into: functions of others, and models."""

from dataclasses import dataclass
from typing import TypeAlias

from policykit.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Predicate:
    """What a named function finds in the text as a whole. ``args`` is a JSON object as text. ``version`` is what the
    author asks for; ``identity`` is the installed function that a plan was compiled with, by package, version and
    object, or None where it is the deployment's. ``views`` are what it is given to read, one at a time: any may match.
    """

    name: str
    args: str
    version: str | None
    place: Place
    identity: str | None = None
    views: tuple[str, ...] = ("raw",)


@dataclass(frozen=True, slots=True)
class Classifier:
    """Where a model gives a label at least the ``threshold``, in some part of the text. ``model`` is its name in the
    configuration, ``digest`` the digest of its content. ``views`` are what it is given to read, one at a time."""

    model: str
    digest: str
    label: str
    threshold: float
    place: Place
    views: tuple[str, ...] = ("raw",)


@dataclass(frozen=True, slots=True)
class Language:
    """Where the text as a whole is in one of the ``languages`` (``others``: in none of them). Does not apply to a text
    with fewer ``letters``, or whose language is told with less ``confidence``. ``identity`` is the library that a plan
    was compiled with."""

    languages: tuple[str, ...]
    others: bool
    letters: int
    confidence: float
    place: Place
    identity: str | None = None

    @property
    def name(self) -> str:
        return f"language {'not ' * self.others}{' or '.join(self.languages)}"


Opaque: TypeAlias = Predicate | Classifier | Language
