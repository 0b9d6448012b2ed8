"""The sentences that every report shares."""

from policykit.ir.verdict import Violation
from policykit.testing.report import Mismatch, Seen, TestResult

NO_TESTS = "the document has no tests"


def visible(text: str) -> str:
    """``text`` in double quotes on one line; what cannot be seen is spelled out."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in escaped) + '"'


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def sides(mismatch: Mismatch) -> tuple[str, str]:
    """What was wanted and what came, as shown."""
    if mismatch.part == "output":
        return visible(mismatch.want), visible(mismatch.got)
    return mismatch.want, mismatch.got


def saw_line(seen: Seen) -> str:
    """One rule that fired and where."""
    violation = seen.violation
    shadow = " (shadow)" if seen.is_shadow else ""
    return f"`{violation.rule}`{shadow} fired{_where(violation)}{_matched(seen)}"


def _where(violation: Violation) -> str:
    if violation.start is None:
        return ""
    view = f" on view `{violation.view}`" if violation.view not in (None, "raw") else ""
    return f" at {violation.start}..{violation.end}{view}"


def _matched(seen: Seen) -> str:
    if seen.text is None:
        return f": {seen.violation.matched}"
    return f": {visible(seen.text)} is `{seen.violation.matched}`"


def details(result: TestResult) -> list[tuple[str, str]]:
    """Labelled lines on a test that did not pass, most telling first."""
    lines: list[tuple[str, str]] = []
    for mismatch in result.mismatches:
        want, got = sides(mismatch)
        lines += [("want", f"{mismatch.part}: {want}"), ("got", f"{mismatch.part}: {got}")]
    lines += [("error", error) for error in result.errors]
    lines += [("spelled", line) for line in variant_lines(result)]
    lines += [("saw", saw_line(seen)) for seen in result.saw]
    lines += [("missed", f"`{missed.rule}`: {missed.why}") for missed in result.missed]
    return [*lines, ("given", visible(result.given)), ("replay", result.replay)]


def variant_lines(result: TestResult) -> list[str]:
    """Which other forms of the test's text came out otherwise; the other lines are about the first."""
    if not result.failed_variants:
        return []
    count = f"one of {result.n_variants} forms of the text comes out otherwise; the rest is about this one"
    return [f"{result.failed_variants[0]}: {count}", *result.failed_variants[1:]]


def explained(result: TestResult) -> str:
    """The details as lines of text, their labels aligned."""
    rows = details(result)
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {line}" for label, line in rows)


def uncovered_message(rule: str) -> str:
    return f"no test expects rule `{rule}`"
