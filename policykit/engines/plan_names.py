"""What is wrong with a plan, for who asks an engine: it is told which plan, and not where that lies on the machine."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from policykit.diagnostics import Diagnostic, Place, PolicyError

_LOG = logging.getLogger("policykit.engines")


@contextmanager
def named(path: Path, plan: str, *, is_logged: bool = True) -> Generator[None]:
    """A PolicyError that comes out has ``plan`` in the place of the plan's file; the log has the file, unless it is
    said otherwise: of what a request brings there is nothing to look up in it."""
    try:
        yield
    except PolicyError as error:
        if all(_renamed(found, path, plan) == found for found in error.diagnostics):
            raise
        if is_logged:
            _LOG.error("a plan cannot be used: %s", error)
        raise PolicyError(_renamed(found, path, plan) for found in error.diagnostics) from error


def _renamed(found: Diagnostic, path: Path, plan: str) -> Diagnostic:
    def at(place: Place) -> Place:
        document = place.file.removeprefix(str(path)) if place.file.startswith(str(path)) else None
        is_plan = document is not None and document[:1] in ("", "#")  # its documents are numbered
        return replace(place, file=f"{plan}{document}") if is_plan else place

    place = found.place and at(found.place)
    return replace(found, place=place, related=tuple((at(where), label) for where, label in found.related))
