"""What a test run found, as values."""

import shlex
from dataclasses import dataclass
from enum import StrEnum

from policykit.diagnostics import Place
from policykit.ir.verdict import Violation
from policykit.testing.golden import Golden


class Status(StrEnum):
    """``errored`` is a test that could not be judged; it is neither passed nor failed."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One expectation that did not hold. ``part`` is `decision`, `rules`, `exceptions`, `errors`, `output`, `golden`,
    or the name of what OPA decides, or a classifier scores, otherwise than the test states."""

    part: str
    want: str
    got: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A rule that fired, with the text it matched (None for an absence). ``is_shadow`` rules change no output."""

    violation: Violation
    text: str | None
    is_shadow: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """A rule that should have fired and did not, and the nearest thing to a match."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test. ``errors`` says why it could not be judged.

    ``n_variants`` other forms of its text were judged too; of those that came out otherwise ``failed_variants`` says
    what was done, and ``given`` and the mismatches are those of the first. ``golden`` is a file that does not hold
    the output, where nothing else is wrong.
    """

    __test__ = False  # not a pytest class

    document: str
    name: str
    place: Place
    given: str
    status: Status
    mismatches: tuple[Mismatch, ...] = ()
    saw: tuple[Seen, ...] = ()
    missed: tuple[Missed, ...] = ()
    errors: tuple[str, ...] = ()
    n_variants: int = 0
    failed_variants: tuple[str, ...] = ()
    golden: Golden | None = None

    @property
    def replay(self) -> str:
        """The command that runs this test alone."""
        return shlex.join(["policykit", "test", self.place.file, "--only", self.name])


@dataclass(frozen=True, slots=True)
class Untested:
    """A document without tests, which is a failure."""

    document: str
    place: Place


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A rule that no test of its document expects to fire."""

    document: str
    rule: str
    place: Place


@dataclass(frozen=True, slots=True)
class TestReport:
    """Results in the order of the documents and their tests. Coverage is counted over ``n_rules`` rules."""

    __test__ = False  # not a pytest class

    results: tuple[TestResult, ...]
    untested: tuple[Untested, ...]
    uncovered: tuple[Uncovered, ...]
    n_rules: int

    @property
    def passed(self) -> bool:
        """Whether every test passed, every document has one, and there was at least one."""
        return bool(self.results) and not self.untested and self.count(Status.PASSED) == len(self.results)

    @property
    def coverage(self) -> float:
        """The share of rules that some test expects to fire, in [0, 1]; 1 where there are no rules."""
        return 1 - len(self.uncovered) / self.n_rules if self.n_rules else 1.0

    def count(self, status: Status) -> int:
        return sum(result.status is status for result in self.results)
