"""Judging texts by grammars of requests where that can be ended: in the processes that compile them.

What judges a text holds the interpreter, so that a thread of its own helps nobody. A schema with references may be read
more than once at one place of a value, so that each level of nesting takes twice as long as the one before; what an
ambiguous grammar admits takes time that grows with the cube of a text's length.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarValidator, GrammarViolation, most_visits
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.ir.later import Later
from policykit.ir.plan import Rows

MAX_VALIDATORS = 512
"""Judges that a process keeps ready."""
MAX_READ = 50_000
"""Characters of a schema that is looked at here: a longer one may take long."""
_LONG = ('"$dynamicRef"', '"$recursiveRef"', '"unevaluated', "(?=", "(?!", "(?<")
"""With what a schema may be read more than once at one place of a value, or its expressions more than once at one of a
string."""
_NO_ROWS, _NO_SHAPE = Later.of(Rows(())), Later.of(None)
_HELP = "let the grammar have fewer alternatives and less nesting, or the text be shorter; or raise the bound"


class Maker(Protocol):
    """Calls functions of modules in another process, as :class:`policykit.plan.Compilers` does."""

    def make(self, function: Callable[..., Any], *arguments: object, place: Place | None = None) -> Any:
        """What the function makes. Raises PolicyError, PK209 where it does not come back; InternalError."""
        ...


def may_take_long(grammar: GrammarSpec) -> bool:
    """Whether judging a text by a grammar may take longer than reading it some times."""
    match grammar.kind:
        case GrammarKind.JSON_SCHEMA:
            return _visits_often(grammar.source)
        case GrammarKind.REGEX | GrammarKind.CHOICES:
            return False
        case _:
            return True


@lru_cache(MAX_VALIDATORS)
def _visits_often(schema: str) -> bool:
    """Whether no bound is known on how often one place of a value is read."""
    return len(schema) > MAX_READ or any(name in schema for name in _LONG) or most_visits(schema) is None


def violations(grammar: GrammarSpec, text: str) -> list[GrammarViolation]:
    """Every way in which a text breaks a grammar. Raises InternalError where it cannot be judged."""
    return _validator(grammar).check(text)


_validator = lru_cache(MAX_VALIDATORS)(GrammarValidator)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Judges texts by a grammar that may take long, in another process."""

    grammar: GrammarSpec
    processes: Maker

    def check(self, text: str) -> list[GrammarViolation]:
        """As :meth:`GrammarValidator.check`. Raises PolicyError (PK209) where that takes too long, or no process is to
        be had in time; InternalError."""
        judged = replace(self.grammar, rows=_NO_ROWS, outline=_NO_SHAPE)  # of which the judge reads nothing
        try:
            return self.processes.make(violations, judged, text, place=self.grammar.place)
        except PolicyError as error:
            why = "; ".join(found.message for found in error.diagnostics)
            message = f"a text cannot be judged by it: {why}"
            raise PolicyError.of("PK209", message, self.grammar.place, _HELP) from error
