"""Citations: what a mark in a text looks like, which texts must hold one, and which ids it may name."""

import re
from dataclasses import dataclass
from enum import StrEnum

from policykit.ir.regex import Concat, Regex, literal_text

ID = "{id}"
"""What stands for the id in the form of a mark."""
DEFAULT_FORM = "[{id}]"
DEFAULT_ID = "[0-9A-Za-z_-]+"


class Per(StrEnum):
    """What must hold a citation.

    A sentence ends with a line break; with a stop of a script without spaces (`。`); or with the white space behind
    another stop (`.`, `!`, `?`, `…`), where closing quotes and brackets, markdown marks, invisible characters and
    citations may stand between the two. A line ends with a line break. All of them end with the text.
    """

    SENTENCE = "sentence"
    LINE = "line"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Mark:
    """A citation as it is written: ``form`` with an id in place of `{id}`. ``id_source`` is ``id`` in RE2 syntax."""

    form: str
    id: Regex
    id_source: str

    @property
    def before(self) -> str:
        return self.form.partition(ID)[0]

    @property
    def after(self) -> str:
        return self.form.partition(ID)[2]

    @property
    def regex(self) -> Regex:
        return Concat((literal_text(self.before), self.id, literal_text(self.after)))

    @property
    def source(self) -> str:
        """The mark in RE2 syntax; its first group is the id."""
        return mark_source(self.form, self.id_source)

    def id_of(self, mark: str) -> str:
        """The id in a mark."""
        return mark[len(self.before) : len(mark) - len(self.after)]


def mark_source(form: str, id_source: str = DEFAULT_ID) -> str:
    r"""A mark of this form in RE2 syntax; its first group is the id.

    >>> mark_source("[{id}]", "[0-9]+")
    '\\[([0-9]+)\\]'
    """
    before, _, after = form.partition(ID)
    return f"{re.escape(before)}({id_source}){re.escape(after)}"


@dataclass(frozen=True, slots=True)
class Uncited:
    """A sentence, a line or a whole text that has a letter or digit and no mark, with what ends it. It is none of the
    ``free`` texts, which white space may surround."""

    mark: Mark
    per: Per
    free: tuple[str, ...] = ()
