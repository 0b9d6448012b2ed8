"""Where something stands in a user's file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A half-open range of characters in one file.

    Lines and columns count from 1, columns in code points; ``end_column`` is the column after the
    last character. A place that is only a file (a grammar object built in memory) has line 1, column 1.
    """

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"
