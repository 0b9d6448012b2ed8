"""Outputs that stand in files of their own: exactly the output and one line feed, so that editors keep them."""

from dataclasses import dataclass
from pathlib import Path

from policykit.ir.document import TestCase


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden file and the output that it would have to hold."""

    path: str
    output: str

    def write(self) -> None:
        """Raises OSError."""
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{self.output}\n".encode())


def golden_path(test: TestCase) -> Path | None:
    """Where the test's golden file is: relative to the folder of the file that the test stands in."""
    return None if test.expect.golden is None else Path(test.place.file).parent / test.expect.golden


def read_golden(path: Path) -> str:
    """The output in a golden file. Raises OSError, or ValueError where it is not UTF-8."""
    return path.read_bytes().decode("utf-8").removesuffix("\n")
