"""What a verdict's rules found in a text, leaf by leaf and view by view."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from policykit.compile.resolve import leaves
from policykit.ir.document import Chains, Phrases, Uncited
from policykit.ir.plan import ResolvedRule
from policykit.testing.spellings import Claim
from policykit.verify import Searches, compile_check
from policykit.verify.findings import Finding
from policykit.verify.units import Readings


def claims_of(rules: Iterable[ResolvedRule], readings: Readings, searches: Searches) -> tuple[Claim, ...]:
    """Every find of every leaf of the rules on each of its views, but for those that run through several JSON strings
    or hold an escape: their characters do not stand in the text one by one."""
    found = (claim for rule in rules for claim in _claims(rule, readings, searches))
    return tuple(dict.fromkeys(found))


def _claims(rule: ResolvedRule, readings: Readings, searches: Searches) -> Iterator[Claim]:
    for leaf in leaves(rule.matcher):
        if isinstance(leaf, Chains) and any(isinstance(part, Uncited) for c in leaf.chains for part in c.parts):
            continue  # finds that something is missing, however the rest is spelled
        loose = isinstance(leaf, Phrases) and not leaf.exact
        for name in leaf.reading.views:
            on_one = replace(leaf, reading=replace(leaf.reading, views=(name,), unescape=()))
            for finding in compile_check(on_one, searches, True)(readings).findings:
                if _stands_as_read(finding, readings.text):
                    kinds = leaf.reading.unescape
                    yield Claim(rule.rule_id, finding.start, finding.end, name, loose, finding.in_json, kinds)


def _stands_as_read(finding: Finding, text: str) -> bool:
    return len(finding.pieces) == 1 and text[finding.start : finding.end] == finding.content
